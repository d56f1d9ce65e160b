"""A user's own estimator."""
