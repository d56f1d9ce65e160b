"""`factory check`: find mistakes in declarations before a run."""
