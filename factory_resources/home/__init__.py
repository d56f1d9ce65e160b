"""The factory's folder on disk: its paths, locks, databases and what can be removed."""
