"""Where the Delta protocol puts the log of a table, and the features that such a log declares.

A time without a zone is such a feature: a log whose columns contain one, but which does not declare
it, cannot be read by anyone. What a log records belongs in `delta_log`.
"""

import json
import os
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from factory_resources.durability import sync_path

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema


LOG = "_delta_log"
"""The folder of the log in that of a table."""

LAST_CHECKPOINT = "_last_checkpoint"
"""The file that names the newest checkpoint of a log."""

_TYPE, _FEATURE = "timestamp_ntz", "timestampNtz"
"""The type of a time without a zone in a schema, and the feature that it needs."""

_PROTOCOL = {
    "minReaderVersion": 3,
    "minWriterVersion": 7,
    "readerFeatures": [_FEATURE],
    "writerFeatures": [_FEATURE],
}


def declare_features(table: "DeltaTable", schema: "Schema") -> None:
    """Declare, in a commit of its own, what columns of the schema need and the log lacks."""
    from deltalake import TableFeatures

    declared = table.protocol().reader_features or ()
    if _TYPE in schema.to_json() and _FEATURE not in declared:
        table.alter.add_feature(
            TableFeatures.TimestampWithoutTimezone, allow_protocol_versions_increase=True
        )


def newest_commit(folder: Path) -> int:
    """Return the number of the newest commit in the log of a table; -1 if there is none."""
    try:
        names = os.listdir(folder / LOG)
    except FileNotFoundError:
        return -1
    # There may be thousands, and nearly all are commits: 20 digits and this ending.
    commits = (name for name in names if name[20:] == ".json" and name[0].isdecimal())
    return int(max(commits, default="-1").removesuffix(".json"))


def commit_path(folder: Path, number: int) -> Path:
    return folder / LOG / f"{number:020}.json"


def withdraw_commits(folder: Path, before: int) -> None:
    """Remove the commits of a table after the given one, which nobody else may have read."""
    for number in range(newest_commit(folder), before, -1):
        for path in commit_path(folder, number).parent.glob(f"{number:020}.*"):
            if "checkpoint" in path.name:
                path.with_name(LAST_CHECKPOINT).unlink(missing_ok=True)
            path.unlink()


def sync_commits(folder: Path, before: int) -> None:
    """Return once the commits of a table after the given one are on the disk.

    The library leaves that to the system, which takes its time: a power cut would leave empty files
    under their names, and nobody could read the table any more.

    Raises:
        OSError: the disk cannot be written.
    """
    newest = newest_commit(folder)
    for number in range(before + 1, newest + 1):
        path = commit_path(folder, number)
        sync_path(path)
        if (checkpoint := path.with_suffix(".checkpoint.parquet")).exists():
            sync_path(checkpoint)
            sync_path(path.with_name(LAST_CHECKPOINT))
    if newest > before:
        sync_path(folder / LOG)
    if before < 0:
        sync_path(folder)


def lacks_feature(folder: Path) -> bool:
    """Whether the newest commit gave a table its first time without declaring the feature.

    Earlier versions of the factory wrote such commits. It is always the newest, because nobody can
    commit after it.
    """
    newest = newest_commit(folder)
    text = commit_path(folder, newest).read_text("utf-8") if newest >= 0 else ""
    if '"metaData"' not in text or _TYPE not in text:
        return False
    # As text: opening the table takes longer than everything else that an unchanged run does.
    for number in range(newest, -1, -1):
        path = commit_path(folder, number)
        if path.is_file() and '"protocol"' in (text := path.read_text("utf-8")):
            return _FEATURE not in text
    # Delta Lake has removed the older commits, whose protocol is in a checkpoint.
    return _is_refused(folder)


def _is_refused(folder: Path) -> bool:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        DeltaTable(str(folder))
    except DeltaError as error:
        return _FEATURE in str(error)
    return False


def declare_missing_feature(folder: Path) -> None:
    """Repair a log that `lacks_feature`, by a commit that declares the feature.

    It is written by hand, because the library opens no such log. The caller holds the table's lock.
    """
    actions = [
        {
            "commitInfo": {
                "timestamp": int(time.time() * 1000),
                "operation": "ADD FEATURE",
                "operationParameters": {"name": json.dumps([_FEATURE])},
            }
        },
        {"protocol": _PROTOCOL},
    ]
    path = commit_path(folder, newest_commit(folder) + 1)
    with NamedTemporaryFile(
        "w", dir=path.parent, prefix="_commit_", suffix=".json.tmp", delete=False
    ) as file:
        file.write("\n".join(map(json.dumps, actions)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)
