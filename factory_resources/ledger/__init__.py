"""The ledger: what the factory did, as an append-only log, and the single file that verifies it."""
