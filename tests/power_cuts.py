"""What a power cut would take from a home, by the calls to the system that were made before it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory_resources.home.home import Home
from factory_resources.ledger.log import Log

_REBUILT = ("/latest/", "/runs/", "/foreseen/", "/locks/")
"""Pointers to records, which the next run writes again, and locks."""


class PowerCut:
    """Notes which names and which bytes are on the disk, as nothing else promises that they stay.

    Args:
        relied_on: folders of the home whose files others rely on.
    """

    def __init__(self, home: Home, patch: pytest.MonkeyPatch, *relied_on: str) -> None:
        self._home, self._relied_on = home, relied_on
        self._bytes: set[tuple[int, float]] = set()
        self._names: set[Path] = set()
        self.lost_at_entries: dict[str, list[str]] = {}
        """What was lost if the power went when an entry was appended, by its kind."""
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, self._noting_sync(getattr(os, name)))
        for name in ("replace", "rename"):
            patch.setattr(os, name, self._noting_move(getattr(os, name)))
        patch.setattr(Log, "append", self._noting_entries(Log.append))
        self._keep_all()

    def lost(self) -> list[str]:
        """Return the files that would be lost, or be empty."""
        files = [path for name in self._relied_on for path in (self._home.path / name).rglob("*")]
        return sorted(
            str(path.relative_to(self._home.path))
            for path in files
            if path.is_file() and not any(part in str(path) for part in _REBUILT)
            if not self._is_kept(path)
        )

    def back_again(self) -> list[str]:
        """Return the files that were removed, and would be there again."""
        folders = [self._home.path / name for name in self._relied_on]
        return sorted(
            str(path.relative_to(self._home.path))
            for path in self._names
            if not path.exists() and any(path.is_relative_to(folder) for folder in folders)
        )

    def _is_kept(self, path: Path) -> bool:
        above = [one for one in path.parents if one.is_relative_to(self._home.path)][:-1]
        return self._names.issuperset([path, *above]) and _state(path) in self._bytes

    def _keep_all(self) -> None:
        for path in self._home.path.rglob("*"):
            self._names.add(path)
            self._bytes.add(_state(path))

    def _noting_sync(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def noting(handle: int) -> None:
            sync(handle)
            path = Path(os.readlink(f"/proc/self/fd/{handle}"))
            if path.is_dir():
                self._names = {name for name in self._names if name.parent != path}
                self._names.update(path.iterdir())
            else:
                self._bytes.add(_state(path))

        return noting

    def _noting_move(self, move: Callable[..., None]) -> Callable[..., None]:
        def noting(source: Any, target: Any, **options: Any) -> None:
            move(source, target, **options)
            self._names.discard(Path(target))
            inside = [name for name in self._names if Path(source) in name.parents]
            self._names.update(Path(target) / name.relative_to(source) for name in inside)

        return noting

    def _noting_entries(self, append: Callable[..., range]) -> Callable[..., range]:
        def noting(log: Log, entries: Any, *arguments: Any, **options: Any) -> range:
            lost = self.lost()
            for entry in entries:
                kind = entry.body.partition(b'"kind":"')[2].partition(b'"')[0].decode()
                self.lost_at_entries.setdefault(kind, []).extend(lost)
            return append(log, entries, *arguments, **options)

        return noting


def _state(path: Path) -> tuple[int, float]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
