"""Addresses of the factory's databases: SQLite files in the home, or one PostgreSQL server."""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any


def database_address(file: Path, schema: str) -> str:
    """Return the SQLAlchemy address of a database.

    On a shared PostgreSQL each library has a schema of its own, since several use the same table
    names.

    Args:
        file: the SQLite file, used if `FACTORY_DATABASE_URL` is not set.
        schema: the schema, used if it is set.
    """
    declared = os.environ.get("FACTORY_DATABASE_URL")
    if not declared:
        return f"sqlite:///{file}"
    server = "postgresql+psycopg2://" + declared.partition("://")[2]
    return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"


def make_schema(uri: str, schema: str) -> None:
    """Create the schema if it is missing; SQLite has none."""
    import sqlalchemy as sa

    if uri.startswith("sqlite"):
        return
    engine = sa.create_engine(uri)
    try:
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    finally:
        engine.dispose()


def query_sqlite(file: Path, statement: str, values: Mapping[str, Any]) -> list[Any]:
    """Run a SELECT on a SQLite file and return its rows; none if there is no file yet."""
    import sqlite3

    if not file.exists():
        return []
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        return connection.execute(statement, values).fetchall()
