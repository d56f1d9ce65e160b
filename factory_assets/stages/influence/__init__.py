"""Influence: which training rows moved a prediction, and how far that is to be believed.

What a group of rows did is claimed, and measured by leaving groups out; not what one row caused.
"""
