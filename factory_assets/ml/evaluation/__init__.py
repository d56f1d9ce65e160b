"""Measure how good a candidate is: test set, gates, folds, baselines, robustness."""
