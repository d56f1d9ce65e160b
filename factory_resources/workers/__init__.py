"""The processes of Dagster's runs: how one starts and ends, and what dead ones have left.

What a run computes belongs in `factory_assets`.
"""
