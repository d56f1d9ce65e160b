"""Describe the result of a stage for Dagster: metadata, checks, plots, lineage."""
