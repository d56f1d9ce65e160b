"""Data from a database: a table or a query, with credentials only by name."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import Columns, Name, Spec
from factory_assets.spec.contract import duplicates

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
"""The name of a secret; its value is in the environment or a file, never in a declaration."""
DatabaseName = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*|sqlite:.+)$")]
"""The name of a secret that holds a database's URL, or `sqlite:` and a path."""


class DatabaseSource(Spec):
    """A table or a query of PostgreSQL or SQLite, read in a transaction that can only read.

    Its rows are sorted, because a database promises no order.
    """

    database: DatabaseName
    """The name of a secret that holds a URL (`postgresql://…`, `sqlite:///…`), or `sqlite:path`."""
    table: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    """The table or view, such as `readings` or `plant.readings`; or `query`."""
    query: Annotated[str | None, Field(min_length=1, max_length=100_000)] = None
    """One SELECT; `:name` takes the value of a parameter."""
    key: Columns = ()
    """The columns by which the rows are sorted and numbered, then by all others."""
    parameters: dict[Name, bool | int | float | str] = {}
    """The values of the query's parameters; bound by the database, never put into the text."""
    timeout: Annotated[int, Field(ge=1, le=86_400)] = 600
    """Seconds after which the database's answer is given up."""

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a database needs either `table` or `query`")
        if self.parameters and self.query is None:
            raise ValueError("parameters need `query`")
        if repeated := duplicates(self.key):
            raise ValueError(f"key names {repeated[0]!r} twice")
        return self


__all__ = ["DatabaseName", "DatabaseSource", "SecretName"]
