"""Carry a factory's databases from SQLite in the home to PostgreSQL, and back.

Tables are made by the libraries that own them; here their rows are copied and compared. What a
table means belongs to its owner, and what a command prints, to `factory_assets.cli.migrate`.
"""
