"""The kinds of sources: files, images, databases, Delta tables, other pipelines, assets, answers.

Python functions as sources are declared in `ingest`. Reading a source belongs in `data.sources`.
"""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from factory_assets.spec.base import ColumnName, Columns, Name, Spec, Strings
from factory_assets.spec.contract import duplicates

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
"""The name of a secret; its value comes from the environment or a file, never from a
declaration."""

AssetPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$", max_length=256)]
"""The key of a Dagster asset, its parts joined by slashes."""


class SnapshotSource(Spec):
    """The latest snapshot of another pipeline.

    If automation is on in the UI, new data there makes this pipeline run.
    """

    pipeline: Name
    """The name of the other pipeline."""
    stage: Literal["ingest", "clean"] = "clean"
    """Which of its tables to read: `ingest` has the rows that fulfil the contract, `clean` those
    that fulfil the rules of `clean` as well."""


class AssetSource(Spec):
    """The table of a Dagster asset that an `assets.py` of yours defines.

    If automation is on in the UI, new data there makes this pipeline run.
    """

    asset: AssetPath
    """The key of the asset, its parts joined by slashes, such as `raw/orders`."""


def _day(value: Any) -> Any:
    """Read a day: in YAML as it is read here, a date is text."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a day; write it as 2026-03-01") from error


class AnswersSource(Spec):
    """The answers of a pipeline whose outcomes are known: what was asked, and what was true.

    A row has the columns that were logged, by their names in the source, the outcome under the name
    that the target has there, and, unless a logged column has the same name, `id`, `version` (which
    answered), `answered` and `observed`. A sensitive column is read if `deploy.log.sensitive` of
    that pipeline is `encrypt`; mark it as sensitive in this contract too.
    """

    answers: Name
    """The name of the pipeline that answered, which may be this one."""
    since: Annotated[date | None, BeforeValidator(_day)] = None
    """Read only answers since this day (UTC), such as `2026-03-01`. Default: all that are on
    record."""


FileFormat = Literal["csv", "parquet", "jsonl", "arff"]


class Storage(Spec):
    """S3-compatible storage, such as MinIO or Ceph. Its keys are secrets, given by name only."""

    endpoint: Annotated[str, Field(min_length=1)] = "${FACTORY_S3_ENDPOINT}"
    """The URL of the storage, such as `https://storage.example.org:9000`. Default: the environment
    variable `FACTORY_S3_ENDPOINT`."""
    region: Annotated[str, Field(min_length=1)] = "us-east-1"
    """The region of the storage; most self-hosted storage accepts any."""
    access_key: SecretName = "FACTORY_S3_ACCESS_KEY"
    """The name of the secret that contains the access key."""
    secret_key: SecretName = "FACTORY_S3_SECRET_KEY"  # noqa: S105 - a name
    """The name of the secret that contains the secret key."""


class FileSource(Spec):
    """Separated text, Parquet, JSON Lines or ARFF files, each plain, gz, zst or inside a zip.

    Relative paths start at the folder of the `defs.yaml`. `${FACTORY_DATA}` and other environment
    variables that begin with `FACTORY_` are replaced.
    """

    files: Strings | dict[str, str]
    """A path or glob such as `data/*.csv`, a list of them, or a mapping from label to path or glob
    such as `{berlin: b.csv, munich: m.csv}`. Paths that begin with `s3://bucket/` are objects in
    `storage`."""
    storage: Storage | None = None
    """With `s3://` paths: the storage that contains the objects."""
    label: ColumnName | None = None
    """With `files` as a mapping, required: the name of the new column that contains each file's
    label, such as `site`."""
    format: FileFormat | None = None
    """The format of the files; `csv` is any separated text. Default: recognised from the file's
    name."""
    delimiter: Annotated[str | None, Field(min_length=1, max_length=4)] = None
    """The separator of text files, such as `";"`. A blank, `" "`, treats any run of blanks as one
    separator. Default: detected."""
    header: bool = True
    """Whether the first line of a text file contains the names of the columns. With `false` the
    columns are named by `columns`, or else `column_1`, `column_2` and so on."""
    columns: Columns = ()
    """With `header: false`: the names of the columns of a text file, in order."""
    skip: Annotated[int, Field(ge=0, le=1000, exclude_if=lambda lines: lines == 0)] = 0
    """How many lines at the beginning of a text file are not read, such as a title above the
    header."""
    until: Annotated[str | None, Field(min_length=1, exclude_if=lambda text: text is None)] = None
    """How the line begins at which a text file ends: it and all lines below it are not read, such
    as `Total`. A file without such a line is read to its end."""
    encoding: Literal["utf-8", "latin-1", "windows-1252", "utf-16"] = "utf-8"
    """The character encoding of text files."""
    member: str | None = None
    """The file to read inside a zip (a glob), such as `data/*.csv`; required if the zip contains
    several files."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The paths and globs, without labels."""
        return tuple(self.files.values()) if isinstance(self.files, dict) else self.files

    @property
    def remote(self) -> bool:
        """Whether the files are objects in storage."""
        return self.patterns[0].startswith("s3://")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.label and not isinstance(self.files, dict):
            raise ValueError("label needs `files` as a mapping from label to path")
        if isinstance(self.files, dict) and not self.label:
            raise ValueError(
                "files as a mapping need `label`, the name of a column for each file's label"
            )
        if not self.files:
            raise ValueError("files is empty; give at least one path")
        remote = [pattern.startswith("s3://") for pattern in self.patterns]
        if any(remote) and not all(remote):
            raise ValueError("files must be either all in s3:// storage or all local")
        if self.storage and not all(remote):
            raise ValueError(
                "storage is for files that begin with s3://; leave it out for local files"
            )
        if self.columns and self.header:
            raise ValueError("columns is for text without a header; set `header: false` too")
        if repeated := duplicates(self.columns):
            raise ValueError(f"columns names {repeated[0]!r} twice")
        return self


IMAGE_COLUMNS = ("path", "sha256", "pixels")
"""The columns of each row: the path of the file, the digest of its bytes, and its pixels."""


class ImageSource(Spec):
    """PNG and JPEG files, scaled to one size; one row for each file.

    A row has the columns `path`, `sha256` (of the file) and `pixels` (the input of `kind: cnn`).
    Relative paths start at the folder of the `defs.yaml`.
    """

    images: Strings
    """A path or glob, or a list of them, such as `scans/**/*.png`."""
    size: Annotated[int, Field(ge=4, le=512)] = 64
    """The width and the height in pixels to which every image is scaled."""
    colours: Literal["rgb", "grey"] = "rgb"
    """`rgb` reads three numbers per pixel, `grey` one."""
    label: ColumnName | None = None
    """The name of a new column that contains the name of each image's folder, such as its class.
    Default: no such column."""

    @model_validator(mode="after")
    def _are_local(self) -> Self:
        if any(pattern.startswith("s3://") for pattern in self.images):
            raise ValueError(
                "images are read from files of this machine, not from s3:// storage; copy them here"
            )
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if self.label in IMAGE_COLUMNS:
            raise ValueError(
                f"label {self.label!r} is a column of every image source; choose another name"
            )
        return self


DatabaseName = Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*|sqlite:.+)$")]
"""The name of a secret that contains a database's URL, or `sqlite:` and a path."""


class DatabaseSource(Spec):
    """A table or a query of PostgreSQL or SQLite, read in a read-only transaction.

    The rows are sorted, because a database guarantees no order.
    """

    database: DatabaseName
    """The name of a secret that contains a URL (`postgresql://…` or `sqlite:///…`); or `sqlite:`
    and a path, which needs no secret."""
    table: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    """The table or view, such as `readings` or `plant.readings`. Either `table` or `query` is
    required."""
    query: Annotated[str | None, Field(min_length=1, max_length=100_000)] = None
    """One SELECT statement instead of a table; `:name` stands for the value of a parameter."""
    key: Columns = ()
    """The columns by which the rows are sorted and numbered; all other columns break ties. Default:
    all columns."""
    parameters: dict[Name, bool | int | float | str] = {}
    """The values of the query's parameters, such as `{since: "2024-01-01"}`. The database binds
    them; they never become part of the SQL text."""
    timeout: Annotated[int, Field(ge=1, le=86_400)] = 600
    """The most seconds that a query may take; the run fails if it takes longer."""

    @model_validator(mode="after")
    def _table_or_query(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("a database needs either `table` or `query`")
        if self.parameters and self.query is None:
            raise ValueError("parameters need `query`; a table has none")
        if repeated := duplicates(self.key):
            raise ValueError(f"key names {repeated[0]!r} twice")
        return self


class DeltaSource(Spec):
    """A Delta table on disk that another system writes; its partition columns are read too."""

    delta: Annotated[str, Field(min_length=1)]
    """The folder of the table; a relative path starts at the folder of the `defs.yaml`."""
    version: Annotated[int, Field(ge=0)] | None = None
    """The version of the table to read. Default: the newest."""
