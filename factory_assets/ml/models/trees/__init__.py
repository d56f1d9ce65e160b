"""Tree ensembles of scikit-learn and LightGBM."""
