"""Figures of merit, with intervals and by group."""
