"""`factory install-service`: let systemd start the factory, and back it up, at the right times."""
