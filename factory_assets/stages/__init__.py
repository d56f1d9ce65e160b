"""One module a stage: plain functions from the last stage's value to the next.

No Dagster; heavy imports inside.
"""
