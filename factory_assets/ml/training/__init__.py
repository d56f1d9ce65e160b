"""From rows to a fitted model: preparation, fitting, search."""
