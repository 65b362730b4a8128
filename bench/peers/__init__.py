"""Other clients on the same server, each run by the interpreter of an environment of its own: URL, requests -> rate."""
