"""The `ingest` section: where rows come from, which tables are joined, what the data promises.

Reading the data belongs in `data.sources`.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import (
    ColumnName,
    Columns,
    Name,
    Reference,
    Resources,
    Spec,
    Strings,
    is_unset,
    nearest,
    suggest,
)
from factory_assets.spec.contract import Contract, Promised, duplicates
from factory_assets.spec.sources import (
    AnswersSource,
    AssetSource,
    DatabaseSource,
    DeltaSource,
    FileSource,
    ImageSource,
    SnapshotSource,
)


class PythonSource(Spec):
    """A Python function that returns a pandas DataFrame or an Arrow table."""

    python: Reference
    """The function, written `module:function`, such as `readings:load`. A module beside the
    `defs.yaml` takes precedence."""
    args: dict[str, Any] = {}
    """Keyword arguments of the function, such as `{year: 2024}`. In strings, `${FACTORY_…}` is
    replaced by that environment variable."""
    reads: Strings | None = None
    """The files that the function reads, as paths or globs; `[]` if it reads none. If given, the
    function is called again only after a change of these files, its arguments or its code. Default:
    it is called in every run."""


SOURCES: tuple[str, ...] = (
    "files",
    "images",
    "python",
    "database",
    "delta",
    "pipeline",
    "asset",
    "answers",
)
"""The key that identifies each kind of source."""


def _kind(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    if keys is None:
        return None
    misspelt = (nearest(key, SOURCES) for key in keys)
    return next((kind for kind in SOURCES if kind in keys), next(filter(None, misspelt), "files"))


Source = Annotated[
    Annotated[FileSource, Tag("files")]
    | Annotated[ImageSource, Tag("images")]
    | Annotated[PythonSource, Tag("python")]
    | Annotated[DatabaseSource, Tag("database")]
    | Annotated[DeltaSource, Tag("delta")]
    | Annotated[SnapshotSource, Tag("pipeline")]
    | Annotated[AssetSource, Tag("asset")]
    | Annotated[AnswersSource, Tag("answers")],
    Discriminator(_kind),
]


class Join(Spec):
    """Columns of another table, added to each row from the one row there with the same key.

    The rows, their order and their identity stay those of the source.
    """

    source: Source
    """The other table, a source of any kind; each key must occur only once in it."""
    on: Columns
    """The columns of the source that contain the key, such as `machine`. Values are compared as
    text."""
    key: Columns = ()
    """The columns of the other table that contain the key, in the order of `on`. Default: the names
    in `on`."""
    columns: Columns | None = None
    """The columns to add. Default: all columns of the other table but its key. `[]` adds none, and
    with `required` only checks that a match exists."""
    prefix: Annotated[str, Field(max_length=64, pattern=r"^([^_]|$)", exclude_if=is_unset)] = ""
    """Text to put before the name of each added column, such as `machine_`, if the source has
    columns of the same names. Default: none."""
    rename: Annotated[dict[ColumnName, ColumnName], Field(exclude_if=is_unset)] = {}
    """Other names for added columns, such as `{model: machine_model}`; they get no prefix. Default:
    the names in the other table."""
    required: bool = False
    """Whether a row without a match goes to quarantine, under the rule `join:<name>`. With `false`,
    the added columns have no value in such a row."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.on:
            raise ValueError("on is empty; name the columns that contain the key")
        if self.key and len(self.key) != len(self.on):
            raise ValueError(
                f"key has {len(self.key)} columns, but `on` has {len(self.on)}; give as many"
            )
        if repeated := duplicates(self.columns or ()):
            raise ValueError(f"columns names {repeated[0]!r} twice")
        for name in self.rename:
            if self.columns is not None and name not in self.columns:
                raise ValueError(
                    f"rename: {name!r} is not in `columns`; {suggest(name, self.columns)}"
                )
            if self.columns is None and name in (self.key or self.on):
                raise ValueError(
                    f"rename: {name!r} is a key, which is added only if `columns` names it"
                )
        if repeated := duplicates(tuple(self.adds(self.columns or self.rename).values())):
            raise ValueError(f"two added columns are named {repeated[0]!r}; change `rename`")
        return self

    def adds(self, available: Iterable[str]) -> dict[str, str]:
        """Map each column of the other table that is added to the name that it gets.

        Args:
            available: the columns of the other table.
        """
        key = self.key or self.on
        columns = [c for c in available if c not in key] if self.columns is None else self.columns
        return {column: self.rename.get(column, f"{self.prefix}{column}") for column in columns}


class Ingest(Spec):
    """Where the data comes from, and what it promises.

    Rows that break the contract go to quarantine.
    """

    source: Source | None = None
    """Where the rows come from: files, images, a database, a Delta table, a Python function,
    another pipeline, an asset, or answers whose outcomes are known. Either `source` or `sources` is
    required."""
    sources: dict[Name, Source] = {}
    """Several sources by name instead of `source`, such as one for each site. All their rows are
    read, in the alphabetical order of the names."""
    label: ColumnName | None = None
    """With `sources`, required: the name of the new column that contains the name of each row's
    source, such as `site`."""
    joins: dict[Name, Join] = {}
    """Other tables by name, whose columns are added to those of the source."""
    contract: Promised = Contract()
    """What the data promises: a list of columns, a mapping, or the path of a contract file. Only
    promised columns are read. Default: all columns are read, and their types are inferred from the
    values."""
    missing: Strings = ("",)
    """Tokens that mean "no value" in every column, such as `["", "?"]`. Default: only the empty
    text."""
    max_quarantine: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The largest share of the rows (0 to 1) that may go to quarantine; the pipeline stops if more
    do."""
    resources: Annotated[Resources | None, Field(exclude_if=is_unset)] = None
    """What one process of this stage needs, such as `{memory: 8 GB}`. Default: not known."""

    @property
    def tables(self) -> dict[str | None, Source]:
        """The sources of rows by name, in the order of their rows; a single source has the name
        None.
        """
        return {None: self.source} if self.source else dict(sorted(self.sources.items()))

    @property
    def every_source(self) -> tuple[Source, ...]:
        """All sources that are read, joined tables included."""
        return (*self.tables.values(), *(join.source for _, join in sorted(self.joins.items())))

    @property
    def file_patterns(self) -> Iterator[str]:
        """The patterns of the files of rows, each with that of its members."""
        for source in self.tables.values():
            if isinstance(source, FileSource):
                yield from (f"{path}{source.member or ''}" for path in source.patterns)
            elif isinstance(source, ImageSource):
                yield from source.images

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that contain the label of each row's file or source."""
        of_files = (s.label for s in self.tables.values() if isinstance(s, FileSource))
        return tuple(dict.fromkeys(filter(None, (*of_files, self.label))))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the contract promises, and those of labels; empty without a contract."""
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
            raise ValueError("sources need `label`, the name of a column for each source's name")
        if self.label and not self.sources:
            raise ValueError("label needs `sources`; the label of files belongs in `source`")
        of_files = {getattr(source, "label", None) for source in self.sources.values()}
        if len(of_files) > 1 or self.label in of_files:
            raise ValueError(
                "sources: their labels of files must be equal (or all left out), and differ from "
                "ingest.label"
            )
        return self
