"""Measure which training rows moved a prediction."""
