"""After a home was moved or copied: MLflow's tables name the new place of the artifacts.

MLflow keeps absolute addresses and has no call to change them.
"""

from pathlib import Path

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def relocate(database: str, old: Path, new: Path) -> None:
    """Replace the folder `old` by `new` at the start of every address, in one transaction.

    Args:
        database: SQLAlchemy address of MLflow's tables.
        old: the folder of all artifacts until now.
        new: the folder in which they are.
    """
    import sqlalchemy as sa

    before, after = old.as_uri(), new.as_uri()
    values = {"after": after, "start": len(before) + 1, "before": before, "length": len(before)}
    engine = sa.create_engine(database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for table, column in _ADDRESSES:
            statement = (
                f"UPDATE {table} SET {column} = :after || substr({column}, :start) "
                f"WHERE substr({column}, 1, :length) = :before"
            )
            connection.execute(sa.text(statement), values)
