"""Protection of the web pages and the data: request guard, offline switches, secrets."""
