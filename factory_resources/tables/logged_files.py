"""What the Delta Lake log of a table says, as a reader of the table sees it.

Writing the log belongs in `delta_log`.
"""

from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from factory_resources.errors import StorageError
from factory_resources.tables.delta_protocol import commit_path, newest_commit

LOG = "_delta_log"


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
    import pyarrow
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        actions = pyarrow.table(DeltaTable(str(folder)).get_add_actions(flatten=True))
    except (DeltaError, OSError, ValueError) as error:
        raise StorageError(
            f"cannot be read ({str(error).splitlines()[0]})",
            where=str(folder / LOG),
            remedy="find out who changed it, then restore it from a backup",
        ) from error
    found: dict[str | None, set[LoggedFile]] = {}
    for action in actions.to_pylist():
        file = LoggedFile(action["path"], action.get("num_records"), action["size_bytes"])
        [partition] = [v for k, v in action.items() if k.startswith("partition.")] or [None]
        found.setdefault(partition, set()).add(file)
    return {partition: frozenset(files) for partition, files in found.items()}


def commit_digest(folder: Path) -> tuple[str, str] | None:
    """Return name and SHA-256 of the newest commit in a table's log; None if it has none."""
    if (number := newest_commit(folder)) < 0:
        return None
    path = commit_path(folder, number)
    with path.open("rb") as file:
        return path.name, file_digest(file, "sha256").hexdigest()
