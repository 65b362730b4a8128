"""Files: how the stages meet. Every write is atomic: a temporary name, fsync, then a rename."""
