"""Performance of a model that answers: estimated without labels, real with them, compared live."""
