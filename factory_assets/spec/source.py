"""Where the data comes from."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import ColumnName, Columns, Reference, Spec, Strings, listed
from factory_assets.spec.contract import Contract, duplicates
from factory_assets.spec.source_database import DatabaseSource

FileFormat = Literal["csv", "parquet", "jsonl"]


class FileSource(Spec):
    """Text, Parquet or JSON Lines files, each plain, gz, zst or inside a zip.

    Relative paths start at the folder of the `defs.yaml`; `${FACTORY_DATA}` and other `FACTORY_`
    variables are replaced.
    """

    files: Strings | dict[str, str]
    """A path or glob, a list of them, or a map from label to path or glob."""
    label: ColumnName | None = None
    """With a map of files: the column that holds each file's label, such as the site."""
    format: FileFormat | None = None
    """Read from the file's name where it is left out; `csv` is any separated text."""
    delimiter: Annotated[str | None, Field(min_length=1, max_length=4)] = None
    """The separator of text files; a blank takes any run of blanks. Found where left out."""
    header: bool = True
    """Whether the first line of a text file names the columns."""
    columns: Columns = ()
    """The names of the columns of a text file without a header, in order."""
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    """How a text file writes its characters."""
    member: str | None = None
    """The file to read inside a zip (a glob); needed where the zip holds several."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.label and not isinstance(self.files, dict):
            raise ValueError("label needs files as a map from label to path")
        if isinstance(self.files, dict) and not self.label:
            raise ValueError("files as a map need `label`, the column that holds each file's label")
        if not self.files:
            raise ValueError("files is empty")
        if self.columns and self.header:
            raise ValueError("columns is for text without a header; set `header: false` as well")
        if repeated := duplicates(self.columns):
            raise ValueError(f"columns names {repeated[0]!r} twice")
        return self


class PythonSource(Spec):
    """A function that returns a pandas frame or an Arrow table."""

    python: Reference
    """The function, `module:function`; a module beside the `defs.yaml` is found first."""
    args: dict[str, Any] = {}
    """Keyword arguments of the function; `${FACTORY_…}` is replaced in strings."""
    reads: Strings | None = None
    """The files (globs) that the function reads. When given, also as an empty list, it is called
    again only after a change of them, of its arguments or of its code; otherwise on every run."""


SOURCES: tuple[str, ...] = ("files", "python", "database")
"""The key that tells each kind of source."""


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    if given is None:
        return None
    return next((kind for kind in SOURCES if kind in given), "files")


Source = Annotated[
    Annotated[FileSource, Tag("files")]
    | Annotated[PythonSource, Tag("python")]
    | Annotated[DatabaseSource, Tag("database")],
    Discriminator(_kind),
]


class Ingest(Spec):
    """Read the source and hold it to its contract."""

    source: Source
    """Files, a database, or a Python function."""
    contract: Contract = ()
    """The promised columns; others are not read. Without a contract all are read, and typed by
    their values."""
    missing: Strings = ("",)
    """Tokens that mean "no value" in every column."""
    max_quarantine: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The largest share of rows that may go to quarantine before the pipeline stops."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a contract promises, and that of the labels; none without a contract."""
        label = self.source.label if isinstance(self.source, FileSource) else None
        if not self.contract:
            return ()
        return (*(column.name for column in self.contract), *((label,) if label else ()))

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if repeated := duplicates(tuple(column.name for column in self.contract)):
            raise ValueError(f"contract names column {repeated[0]!r} twice")
        return self


__all__ = [
    "DatabaseSource",
    "FileFormat",
    "FileSource",
    "Ingest",
    "PythonSource",
    "Source",
    "listed",
]
