"""Where the data comes from."""

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import (
    ColumnName,
    Columns,
    Name,
    Reference,
    Spec,
    Strings,
    nearest,
)
from factory_assets.spec.contract import Contract, Promised, duplicates
from factory_assets.spec.sources import (
    AssetSource,
    DatabaseSource,
    DeltaSource,
    FileSource,
    ImageSource,
    SnapshotSource,
)


class PythonSource(Spec):
    """A function that returns a pandas frame or an Arrow table."""

    python: Reference
    """The function, `module:function`; a module beside the `defs.yaml` is found first."""
    args: dict[str, Any] = {}
    """Keyword arguments of the function; `${FACTORY_…}` is replaced in strings."""
    reads: Strings | None = None
    """The files (globs) that the function reads. When given, also as an empty list, it is called
    again only after a change of them, of its arguments or of its code; otherwise on every run."""


SOURCES: tuple[str, ...] = (
    "files",
    "images",
    "python",
    "database",
    "delta",
    "pipeline",
    "asset",
)
"""The key that tells each kind of source."""


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    if given is None:
        return None
    meant = (nearest(key, SOURCES) for key in given)
    return next((kind for kind in SOURCES if kind in given), next(filter(None, meant), "files"))


Source = Annotated[
    Annotated[FileSource, Tag("files")]
    | Annotated[ImageSource, Tag("images")]
    | Annotated[PythonSource, Tag("python")]
    | Annotated[DatabaseSource, Tag("database")]
    | Annotated[DeltaSource, Tag("delta")]
    | Annotated[SnapshotSource, Tag("pipeline")]
    | Annotated[AssetSource, Tag("asset")],
    Discriminator(_kind),
]


class Join(Spec):
    """Columns from another table: for each row those of the one row there with the same key.

    The rows, their order and their identity stay those of the source.
    """

    source: Source
    """The other table; of any kind."""
    on: Columns
    """The columns of the source that name the row; values are compared as text."""
    key: Columns = ()
    """The columns of the other table that are named so; by default those of `on`."""
    columns: Columns | None = None
    """Which columns to add, by default all others; `[]` only checks that there is such a row."""
    required: bool = False
    """Whether a row without its like goes to quarantine, under the rule `join:<name>`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.on:
            raise ValueError("on is empty")
        if self.key and len(self.key) != len(self.on):
            raise ValueError(f"key has {len(self.key)} columns, and `on` {len(self.on)}")
        if repeated := duplicates(self.columns or ()):
            raise ValueError(f"columns names {repeated[0]!r} twice")
        return self


class Ingest(Spec):
    """Read the source and hold it to its contract."""

    source: Source | None = None
    """Files, a database, a Delta table, a Python function, or what the factory has made; or
    `sources`."""
    sources: dict[Name, Source] = {}
    """Instead of one source several by name, such as one a site: the rows of all, in the order of
    their names."""
    label: ColumnName | None = None
    """With `sources`: the column that holds the name of each row's source, such as the site."""
    joins: dict[Name, Join] = {}
    """Other tables by name, whose columns are added to the source's."""
    contract: Promised = Contract()
    """What the data promises: a list of columns, a mapping, or the path of a contract's file. Other
    columns are not read. Without a contract all are read, and typed by their values."""
    missing: Strings = ("",)
    """Tokens that mean "no value" in every column."""
    max_quarantine: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The largest share of rows that may go to quarantine before the pipeline stops."""

    @property
    def tables(self) -> dict[str | None, Source]:
        """The sources of rows by name, in the order of their rows; the name of a single one is
        None."""
        return {None: self.source} if self.source else dict(sorted(self.sources.items()))

    @property
    def every_source(self) -> tuple[Source, ...]:
        """All that is read, joined tables too."""
        return (*self.tables.values(), *(join.source for _, join in sorted(self.joins.items())))

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that hold the label of each row's file or source."""
        of_files = (s.label for s in self.tables.values() if isinstance(s, FileSource))
        return tuple(dict.fromkeys(filter(None, (*of_files, self.label))))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a contract promises, and those of labels; none without a contract."""
        if not self.contract.columns:
            return ()
        return (*self.contract.names, *self.labels)

    @model_validator(mode="after")
    def _contract_knows_its_columns(self) -> Self:
        if self.contract.columns and (unknown := self.contract.unknown_columns(self.columns)):
            raise ValueError("\n".join(unknown))
        return self

    @model_validator(mode="after")
    def _one_kind_of_sources(self) -> Self:
        if (self.source is None) == (not self.sources):
            raise ValueError("ingest needs either `source` or `sources`")
        if self.sources and not self.label:
            raise ValueError("sources need `label`, the column that holds each source's name")
        if self.label and not self.sources:
            raise ValueError("label needs `sources`; the label of files belongs into their source")
        of_files = {getattr(source, "label", None) for source in self.sources.values()}
        if len(of_files) > 1 or self.label in of_files:
            raise ValueError("sources: all of them have the same label of files, or none")
        return self
