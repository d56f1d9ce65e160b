"""Write the log of a table in partitions anew, so that nothing is left of what it said before.

What a log says from commit to commit belongs in `delta_log`.
"""

import json
import os
from pathlib import Path

from factory_resources.delta_protocol import LAST_CHECKPOINT, LOG, newest_commit
from factory_resources.durability import sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.tables.delta_log import PARTITION, add_action
from factory_resources.tables.logged_files import logged_files


def renew_log(table: str, home: Home) -> None:
    """Let one commit with its checkpoint take the place of the whole log of a table in partitions.

    The files of the newest version stay as they are. Earlier versions cannot be read any more; the
    names of partitions that are gone are nowhere. No commit gets the number of an earlier one,
    whose digest a record may have.

    Raises:
        StorageError: the log cannot be read or written.
    """
    folder = home.tables / table
    with home.lock(f"{table.replace('/', '.')}.log"), home.scratch() as scratch:
        number = newest_commit(folder) + 1
        _write_log(folder, scratch)
        with storage_errors(folder):
            _take_over(folder / LOG, scratch / LOG, number)


def _write_log(folder: Path, to: Path) -> None:
    """Write a log with one commit, and its checkpoint, that has the present files of a table."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    adds = [
        add_action(file.name, file.rows, file.bytes, partition)
        for partition, files in logged_files(folder).items()
        for file in sorted(files, key=lambda one: one.name)
    ]
    try:
        schema = DeltaTable(str(folder)).schema()
        create_table_with_add_actions(str(to), schema, adds, partition_by=[PARTITION])
        DeltaTable(str(to)).create_checkpoint()
    except (DeltaError, OSError) as error:
        raise StorageError(
            f"its log cannot be rewritten ({' '.join(str(error).split())[:300]})",
            where=str(folder),
            remedy="free space or make the folder writable; then run the command again",
        ) from error


def _take_over(old: Path, new: Path, number: int) -> None:
    """Put a log with the commit 0 in the place of another one, with this number."""
    before = [path for path in old.iterdir() if path.name != LAST_CHECKPOINT]
    last = json.loads((new / LAST_CHECKPOINT).read_text())
    (new / LAST_CHECKPOINT).write_text(json.dumps({**last, "version": number}))
    for path in sorted(new.glob(f"{0:020}.*")):
        sync_path(path)
        os.replace(path, old / f"{number:020}{path.name[20:]}")
    sync_path(new / LAST_CHECKPOINT)
    os.replace(new / LAST_CHECKPOINT, old / LAST_CHECKPOINT)
    # Not before the new log is on the disk: there is no other.
    sync_path(old)
    for path in before:
        path.unlink(missing_ok=True)
