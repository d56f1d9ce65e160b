"""What a home knows of erasures, and how it is searched and scrubbed. Knows no stage."""
