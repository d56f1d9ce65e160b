"""What was computed and learned: the factory's records, MLflow's registry, Optuna's studies.

What a record means belongs in `factory_assets.results`.
"""
