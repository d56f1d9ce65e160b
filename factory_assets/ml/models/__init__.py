"""The kinds of model, each behind `base.Model`."""
