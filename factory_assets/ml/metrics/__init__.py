"""Evaluation metrics, their confidence intervals and their comparison between groups."""
