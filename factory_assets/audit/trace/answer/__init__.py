"""Trace one answer back to the version, the people, the runs and the sources behind it."""
