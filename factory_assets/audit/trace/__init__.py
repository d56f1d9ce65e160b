"""Trace a model version, a snapshot or a row back to its sources, and a source forward."""
