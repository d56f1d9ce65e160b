"""Data in files."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Columns, Spec, Strings
from factory_assets.spec.contract import duplicates
from factory_assets.spec.source_database import SecretName

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


__all__ = ["FileFormat", "FileSource", "Storage"]
