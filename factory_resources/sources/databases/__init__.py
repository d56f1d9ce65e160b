"""Tables and queries of PostgreSQL and SQLite, read-only and in a fixed order."""
