"""The kinds of model, each a class that implements `base.Model`."""
