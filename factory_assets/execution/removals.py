"""What the ledger says of files that are removed; removing them belongs in `home.garbage`."""

from collections.abc import Iterable, Sequence

from factory_assets.execution.ledger_entries import begin_ledger
from factory_resources.home.garbage import Garbage
from factory_resources.home.home import Home
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.ledger import Ledger

_PATHS = 300
"""Paths in one entry; an entry has at most 65,535 bytes."""


def append_removed(garbage: Iterable[Garbage], home: Home) -> None:
    """Append what is going to be removed, of all that entries name.

    Raises:
        StorageError: the ledger cannot be written; nothing may be removed.
    """
    paths = [
        str(item.path.relative_to(home.path))
        for item in garbage
        if item.kind in {"record", "table file"}
    ]
    if entries := removed_files(paths, "nothing needs it any more"):
        begin_ledger(home)
        Ledger(home).append(entries)


def removed_files(paths: Sequence[str], reason: str) -> list[FilesRemoved]:
    """Return the entries about files that are going to be removed, by their paths in the home."""
    return [
        FilesRemoved(paths=tuple(paths[start : start + _PATHS]), reason=reason)
        for start in range(0, len(paths), _PATHS)
    ]
