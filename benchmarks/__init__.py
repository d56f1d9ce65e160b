"""Measure what the factory costs compared with plain scripts; see `python -m benchmarks`."""
