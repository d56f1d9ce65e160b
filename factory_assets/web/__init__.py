"""The front door: one address for the UIs of Dagster and MLflow, and pages of the factory."""
