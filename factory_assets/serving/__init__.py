"""Scores from a deployed model."""
