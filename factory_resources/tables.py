"""Immutable snapshots of tables: DuckDB's Parquet files, committed to a Delta Lake log."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from factory_resources.home import Home


class Snapshot(BaseModel):
    """One version of a table. Its path is below the home's tables, so a home can be moved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    """The table's folder, `<pipeline>/<name>`."""
    data_version: str
    """SHA-256 of the Parquet file."""
    file: str
    """The Parquet file's name in the table's folder."""
    rows: int
    bytes: int
    columns: dict[str, str]
    """Column to DuckDB type, in order, identity columns included."""

    def path(self, home: Home) -> Path:
        return home.tables / self.table / self.file
