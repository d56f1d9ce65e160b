"""What Dagster shows of a stage: metadata, checks, plots, lineage."""
