"""Rows and tables: sources, contracts, profiles, leaks, privacy, transforms.

Nothing here knows a model; what learns from the rows belongs in `ml`.
"""
