"""Columns and values that name a person."""
