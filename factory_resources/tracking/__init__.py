"""Storage of results: the factory's records, MLflow's runs and models, Optuna's studies.

What a record's value means belongs in `factory_assets.results`.
"""
