"""The only code that talks to a paid API: requests, ledger, budget, prices, clients."""
