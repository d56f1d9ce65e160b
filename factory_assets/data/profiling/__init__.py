"""What a table looks like, and how that moved since the last version."""
