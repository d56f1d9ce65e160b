"""Turn rows into a fitted model: preparation, fitting, search."""
