"""A scikit-learn estimator that the user names."""
