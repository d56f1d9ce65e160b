"""Clusters of machines that compute for the factory: how they are reached, and who is let in.

What is computed there belongs in `factory_assets.execution.workers`.
"""
