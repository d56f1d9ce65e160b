"""The factory's folder on disk: paths, locks, database addresses, and removal of garbage."""
