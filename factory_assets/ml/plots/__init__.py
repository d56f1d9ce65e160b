"""Plots for the UI and MLflow, drawn without a display."""
