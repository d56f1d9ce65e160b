"""Rows and tables: sources, contracts, profiles, leaks, privacy, transforms.

Knows no model; what learns from the rows belongs in `ml`.
"""
