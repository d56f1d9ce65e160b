"""What turned out to be true of logged answers: kept for ever, and bound in the ledger."""
