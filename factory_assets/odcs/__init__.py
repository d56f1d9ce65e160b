"""Contracts in the Open Data Contract Standard, read and written."""
