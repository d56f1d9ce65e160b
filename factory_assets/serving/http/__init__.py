"""Answers prediction requests over HTTP."""
