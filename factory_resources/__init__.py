"""WITH WHAT: one module an outside system or capability.

Nothing here knows assets, spec or Dagster.
"""
