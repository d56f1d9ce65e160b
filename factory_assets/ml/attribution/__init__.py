"""Which training rows moved a prediction."""
