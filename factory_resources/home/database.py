"""Where the factory keeps what it writes in tables: SQLite files of the home, or one PostgreSQL."""

import os
from pathlib import Path


def database_address(file: Path, schema: str) -> str:
    """For SQLAlchemy. On a shared PostgreSQL everybody has a schema of his own, since several have
    tables of the same names.

    Args:
        file: the database without `FACTORY_DATABASE_URL`.
        schema: with it.
    """
    declared = os.environ.get("FACTORY_DATABASE_URL")
    if not declared:
        return f"sqlite:///{file}"
    server = "postgresql+psycopg2://" + declared.partition("://")[2]
    return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"


def make_schema(uri: str, schema: str) -> None:
    """Make the schema where it is missing; SQLite has none."""
    import sqlalchemy as sa

    if uri.startswith("sqlite"):
        return
    engine = sa.create_engine(uri)
    try:
        with engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
    finally:
        engine.dispose()
