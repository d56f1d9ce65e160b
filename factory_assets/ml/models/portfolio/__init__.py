"""Several models of which a weighted mean is kept: their fits, their weights, the blend."""
