"""The sealed SQL engine, and the expressions that may enter it."""
