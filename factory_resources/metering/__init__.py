"""Measure what a computation costs: time, memory, energy."""
