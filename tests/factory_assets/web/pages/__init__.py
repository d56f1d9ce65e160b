"""The factory's own pages."""
