"""Runs of stages as events of OpenLineage. When a stage runs belongs in `execution`."""
