"""Answer questions about earlier results, read only: trace, reproduce, influence."""
