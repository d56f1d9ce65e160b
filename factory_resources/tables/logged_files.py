"""What the Delta Lake log of a table says, as a reader of the table sees it.

Writing the log belongs in `delta_log`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from factory_resources.delta_protocol import LOG, commit_path, newest_commit
from factory_resources.errors import StorageError
from factory_resources.file_digest import file_sha256

_NEEDED, _PARTITION = ("path", "num_records", "size_bytes"), "partition."
"""Columns that are read of what the log says of a file, and what those of partitions begin with."""


@dataclass(frozen=True)
class LoggedFile:
    """A file of the current version of a table, as the log describes it."""

    name: str
    rows: int | None
    bytes: int


def logged_files(folder: Path) -> dict[str | None, frozenset[LoggedFile]]:
    """Return the files of the current version by partition; None is the key of an undivided table.

    Raises:
        StorageError: the log is missing or damaged.
    """
    from deltalake import DeltaTable

    with _readable(folder):
        actions = DeltaTable(str(folder)).get_add_actions(flatten=True)
    found: dict[str | None, set[LoggedFile]] = {}
    # Arrow's own library is not needed for it: the front door does without.
    columns = {
        name: actions.column(number).to_pylist()
        for number, name in enumerate(actions.schema.names)
        if name in _NEEDED or name.startswith(_PARTITION)
    }
    for values in zip(*columns.values(), strict=True):
        action = dict(zip(columns, values, strict=True))
        file = LoggedFile(action["path"], action.get("num_records"), action["size_bytes"])
        [partition] = [v for k, v in action.items() if k.startswith(_PARTITION)] or [None]
        found.setdefault(partition, set()).add(file)
    return {partition: frozenset(files) for partition, files in found.items()}


def current_files(folder: Path) -> set[str]:
    """Return the names of the files of a table's newest version; none if the table has no log.

    Raises:
        StorageError: the log is damaged.
    """
    from deltalake import DeltaTable

    if not DeltaTable.is_deltatable(str(folder)):
        return set()
    return {file.name for files in logged_files(folder).values() for file in files}


def past_versions(folder: Path) -> list[str]:
    """Return every data version in a table's log, newest first; its files may be removed.

    Raises:
        StorageError: the log is damaged.
    """
    from deltalake import DeltaTable

    with _readable(folder):
        if not DeltaTable.is_deltatable(str(folder)):
            return []
        commits = DeltaTable(str(folder)).history()
    return [str(commit["data_version"]) for commit in commits if "data_version" in commit]


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, ValueError) as error:
        raise StorageError(
            f"cannot be read ({str(error).splitlines()[0]})",
            where=str(folder / LOG),
            remedy="run the pipeline with --no-reuse, which repairs what an earlier version of the "
            "factory wrote; else find out who changed it, and restore it from a backup",
        ) from error


def commit_digest(folder: Path) -> tuple[str, str] | None:
    """Return name and SHA-256 of the newest commit in a table's log; None if it has none."""
    if (number := newest_commit(folder)) < 0:
        return None
    path = commit_path(folder, number)
    return path.name, file_sha256(path)
