"""`factory check`: mistakes in declarations, found before a run."""
