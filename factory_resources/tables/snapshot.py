"""Snapshots of tables, and how to read their rows; `writer` writes them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from factory_resources.errors import StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home
from factory_resources.store.location import uses_store

if TYPE_CHECKING:
    import pyarrow


class TableFile(BaseModel):
    """One Parquet file of a snapshot, named by the digest of its content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    rows: int
    bytes: int
    copy_number: int = 0
    """Distinguishes equal files of one snapshot, since a log names a file only once."""

    @property
    def name(self) -> str:
        suffix = f"-{self.copy_number}" if self.copy_number else ""
        return f"{self.sha256}{suffix}.parquet"


class Snapshot(BaseModel):
    """One version of a table. Paths are derived from the home, so a home can be moved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    """The table's folder, `<pipeline>/<name>`."""
    files: tuple[TableFile, ...]
    """In row order."""
    columns: dict[str, str]
    """Column to DuckDB type, in order, identity columns included."""

    @property
    def data_version(self) -> str:
        """SHA-256 of the file; for several files, of their digests in order."""
        digests = [file.sha256 for file in self.files]
        return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def paths(self, home: Home) -> list[Path]:
        """Return where the files are in the home, or will be once they are fetched."""
        return [home.tables / self.table / file.name for file in self.files]


def fetched_paths(snapshot: Snapshot, home: Home) -> list[Path]:
    """Return the files, those fetched from the factory's store that the home lacks.

    Raises:
        StorageError: the store cannot be used, or has another file of that name.
    """
    paths = snapshot.paths(home)
    fetch(paths, home)
    return paths


def fetch(paths: Iterable[Path], home: Home) -> None:
    """Fetch files of snapshots from the factory's store that the home lacks, as `fetched_paths`."""
    missing = [path for path in paths if not path.is_file()]
    if missing and uses_store(home):
        from factory_resources.store.store import shared_store

        if store := shared_store(home):
            store.fetch(missing)


def union(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Join the rows of several snapshots of one table, in order; empty files are left out.

    Raises:
        StorageError: their columns differ.
    """
    first = snapshots[0]
    for other in snapshots[1:]:
        if other.columns != first.columns:
            changed = {*first.columns.items()} ^ {*other.columns.items()}
            names = ", ".join(sorted(name for name, _ in changed))
            raise StorageError(
                f"its parts have different columns ({names})",
                where=first.table,
                remedy="materialise the older ones again; if their files are gone, let "
                "`partitions` begin later, or have fewer keys",
            )
    seen: Counter[str] = Counter()
    files = []
    every = [file for snapshot in snapshots for file in snapshot.files]
    for file in [file for file in every if file.rows] or every[:1]:
        files.append(file.model_copy(update={"copy_number": seen[file.sha256]}))
        seen[file.sha256] += 1
    return first.model_copy(update={"files": tuple(files)})


def union_or_none(snapshots: Sequence[Snapshot | None]) -> Snapshot | None:
    """Return the `union` of the snapshots that are not None, or None if there are none."""
    existing = [snapshot for snapshot in snapshots if snapshot is not None]
    return union(existing) if existing else None


def read_arrow(
    snapshot: Snapshot,
    home: Home,
    columns: Iterable[str] | None = None,
    *,
    check: bool = True,
) -> "pyarrow.Table":
    """Return the rows in stored order; `columns` selects and orders the columns.

    Args:
        check: whether to compare each file with its digest first.

    Raises:
        StorageError: a file is missing, damaged or changed.
    """
    import pyarrow
    import pyarrow.parquet

    names = None if columns is None else list(columns)
    tables = []
    for path in fetched_paths(snapshot, home):
        with _readable(snapshot, path):
            if check:
                require_unchanged([path])
            # Not as a data set: pyarrow would take names such as a=b in the path for partitions.
            tables.append(pyarrow.parquet.ParquetFile(path).read(columns=names))
    # One file may have no missing value where another has some.
    return pyarrow.concat_tables(tables, promote_options="default")


def read_batches(
    snapshot: Snapshot, home: Home, columns: Iterable[str], *, rows: int, check: bool = True
) -> "Iterator[pyarrow.RecordBatch]":
    """Yield the rows in stored order, at most `rows` per batch.

    Args:
        check: whether to compare each file with its digest first.

    Raises:
        StorageError: a file is missing, damaged or changed.
    """
    import pyarrow.parquet

    names = list(columns)
    for path in fetched_paths(snapshot, home):
        if check:
            with _readable(snapshot, path):
                require_unchanged([path])
        # With read-ahead, the whole file would stay in memory.
        with (
            _readable(snapshot, path),
            pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file,
        ):
            yield from file.iter_batches(batch_size=rows, columns=names)


def require_unchanged(paths: Iterable[Path]) -> None:
    """Compare files of snapshots with their names, which are their digests; missing ones pass.

    Whoever reads such files calls this first: the size alone does not show that rows were changed.

    Raises:
        StorageError: a file was changed.
    """
    for path in paths:
        if not path.is_file():
            continue
        if file_sha256(path) != path.stem.partition("-")[0]:
            raise StorageError(
                "the file is not what was written: its SHA-256 differs from its name",
                where=str(path),
                remedy="find out who changed it, then delete it and run again",
            )


@contextmanager
def _readable(snapshot: Snapshot, path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        raise StorageError(
            f"snapshot {snapshot.data_version[:12]} of {snapshot.table} cannot be read ({error})",
            where=str(path),
            remedy="materialise the pipeline again",
        ) from error


def exists(snapshot: Snapshot, home: Home) -> bool:
    """Whether all files of the snapshot exist with their full size, here or in the store."""
    sizes = {
        path: file.bytes
        for path, file in zip(snapshot.paths(home), snapshot.files, strict=True)
        if not (path.is_file() and path.stat().st_size == file.bytes)
    }
    if not sizes or not uses_store(home):
        return not sizes
    from factory_resources.store.store import shared_store

    store = shared_store(home)
    return store is not None and store.sizes([*sizes]) == sizes
