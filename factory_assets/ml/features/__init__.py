"""Encoding of table columns into the arrays that a model reads."""
