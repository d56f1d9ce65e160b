"""The past, read only: trace, reproduce, influence."""
