"""What keeps others out and data in: the request guard, offline switches, secrets."""
