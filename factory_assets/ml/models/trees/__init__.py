"""Tree ensembles, by scikit-learn and LightGBM."""
