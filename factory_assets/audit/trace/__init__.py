"""From a version, a snapshot or a row back to its sources, and forward again."""
