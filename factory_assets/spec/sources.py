"""Data that the factory itself has made: another pipeline's snapshot, or an asset's table.

Data in files.

Data in images: one row a file.

Data from a database: a table or a query, with credentials only by name.

Data in a Delta table that another system writes.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Columns, Name, Spec, Strings
from factory_assets.spec.contract import duplicates

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
"""The name of a secret; its value is in the environment or a file, never in a declaration."""

AssetPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$", max_length=256)]
"""The key of a Dagster asset, its parts joined by slashes."""


class SnapshotSource(Spec):
    """What another pipeline made last; new data there flows on to this pipeline."""

    pipeline: Name
    """The other pipeline."""
    stage: Literal["ingest", "clean"] = "clean"
    """Its stage: `ingest` is held to the contract, `clean` to the rules as well."""


class AssetSource(Spec):
    """The table of a Dagster asset in an `assets.py` of your own; new data flows on."""

    asset: AssetPath
    """The asset's key, its parts joined by slashes, such as `raw/orders`."""


FileFormat = Literal["csv", "parquet", "jsonl"]


class Storage(Spec):
    """S3-compatible storage, such as MinIO or Ceph; keys only by name."""

    endpoint: Annotated[str, Field(min_length=1)] = "${FACTORY_S3_ENDPOINT}"
    """Its address, such as `https://storage.example.org:9000`."""
    region: Annotated[str, Field(min_length=1)] = "us-east-1"
    """Its region; most storage of one's own takes any."""
    access_key: SecretName = "FACTORY_S3_ACCESS_KEY"
    """The name of the secret that holds the access key."""
    secret_key: SecretName = "FACTORY_S3_SECRET_KEY"  # noqa: S105 - a name
    """The name of the secret that holds the secret key."""


class FileSource(Spec):
    """Text, Parquet or JSON Lines files, each plain, gz, zst or inside a zip.

    Relative paths start at the folder of the `defs.yaml`; `${FACTORY_DATA}` and other `FACTORY_`
    variables are replaced.
    """

    files: Strings | dict[str, str]
    """A path or glob, a list of them, or a map from label to one; `s3://bucket/…` for objects."""
    storage: Storage | None = None
    """With `s3://`: where the objects are."""
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

    @property
    def patterns(self) -> tuple[str, ...]:
        """The paths and globs."""
        return tuple(self.files.values()) if isinstance(self.files, dict) else self.files

    @property
    def remote(self) -> bool:
        """Whether they are objects of storage."""
        return self.patterns[0].startswith("s3://")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.label and not isinstance(self.files, dict):
            raise ValueError("label needs files as a map from label to path")
        if isinstance(self.files, dict) and not self.label:
            raise ValueError("files as a map need `label`, the column that holds each file's label")
        if not self.files:
            raise ValueError("files is empty")
        remote = [pattern.startswith("s3://") for pattern in self.patterns]
        if any(remote) and not all(remote):
            raise ValueError("files are either all in s3:// storage or all local")
        if self.storage and not all(remote):
            raise ValueError("storage is for files that begin with s3://")
        if self.columns and self.header:
            raise ValueError("columns is for text without a header; set `header: false` as well")
        if repeated := duplicates(self.columns):
            raise ValueError(f"columns names {repeated[0]!r} twice")
        return self


IMAGE_COLUMNS = ("path", "sha256", "pixels")
"""The columns of each row: where the file is, the digest of its bytes, and what it shows."""


class ImageSource(Spec):
    """PNG and JPEG files, brought to one size; relative paths start at the folder of the
    `defs.yaml`."""

    images: Strings
    """One or more paths or globs, such as `scans/**/*.png`."""
    size: Annotated[int, Field(ge=4, le=512)] = 64
    """Every image becomes so many pixels wide and high."""
    colours: Literal["rgb", "grey"] = "rgb"
    """Three numbers a pixel, or one."""
    label: ColumnName | None = None
    """The column that holds the name of each image's folder."""

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if self.label in IMAGE_COLUMNS:
            raise ValueError(f"label {self.label!r} is a column of every image; choose another")
        return self


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


class DeltaSource(Spec):
    """A Delta table on disk, its newest version or one of before; partition columns are columns."""

    delta: Annotated[str, Field(min_length=1)]
    """The table's folder; relative paths start at the folder of the `defs.yaml`."""
    version: Annotated[int, Field(ge=0)] | None = None
    """The version to read; the newest where it is left out."""
