"""The factory's own pages: rendered by the server, readable without script."""
