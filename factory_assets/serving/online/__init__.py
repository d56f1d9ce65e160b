"""Prepares and scores the rows of single requests, without HTTP."""
