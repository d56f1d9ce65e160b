"""Decide which files are new or changed, and complete, by their names, sizes and times alone.

A file is complete if it has not changed for a while and between two looks, and its name does not
mark it as unfinished. Listing the files belongs in `factory_assets.components.sensors`.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

UNFINISHED_SUFFIXES = (
    ".part",
    ".partial",
    ".filepart",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    ".swp",
    "~",
)
"""Ends of the names of files that are still being written."""

Files = Mapping[str, Sequence[Path]]
"""Files by what needs all of them, such as a partition key."""


@dataclass(frozen=True)
class State:
    """What is remembered between two looks: digests of names, sizes and times."""

    done: Mapping[str, str] = field(default_factory=dict)
    """Digests of what was complete."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Digests of what was incomplete, or not yet known to be complete."""

    @classmethod
    def read(cls, cursor: str | None) -> "State":
        """Read what `written` returned; without a cursor, nothing is remembered.

        Nor is it with another one, as a person may write it in the UI.
        """
        try:
            done, waiting = json.loads(zlib.decompress(base64.b85decode(cursor or "")))
            return cls(dict(done), dict(waiting))
        except (ValueError, TypeError, zlib.error):
            return cls()

    def written(self) -> str:
        """Return the state as a cursor, compressed: there may be thousands of partitions."""
        content = json.dumps([dict(self.done), dict(self.waiting)], separators=(",", ":"))
        return base64.b85encode(zlib.compress(content.encode(), 9)).decode()


def settle_files(
    files: Files, before: State, now: float, settle: float
) -> tuple[dict[str, str], State]:
    """Return what became complete since the last look, with digests, and what to remember.

    A file that vanishes meanwhile is not an error; what needs it waits.

    Args:
        files: the files that exist now.
        before: the state after the last look.
        now: seconds since the epoch.
        settle: seconds for which a file must have remained unchanged.
    """
    complete: dict[str, str] = {}
    done: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for key, paths in files.items():
        visible = [path for path in paths if not path.name.startswith(".")]
        digest, changed = _look(visible)
        if not visible:
            continue
        if before.done.get(key) == digest:
            done[key] = digest
        elif before.waiting.get(key) != digest or _unfinished(visible, changed, now, settle):
            waiting[key] = digest
        else:
            complete[key] = done[key] = digest
    return complete, State(done, waiting)


def _look(paths: Sequence[Path]) -> tuple[str, float | None]:
    """Return the digest of names, sizes and times, and the time of the last change.

    The time is None if one of the files is gone.
    """
    states, changed = [], 0.0
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            return "", None
        # The time of the inode's change cannot be set: it is new even for a copy that preserves old
        # times, and for a file that is moved here.
        states.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}")
        changed = max(changed, stat.st_ctime)
    return sha256("\n".join(states).encode(errors="surrogateescape")).hexdigest()[:12], changed


def _unfinished(paths: Sequence[Path], changed: float | None, now: float, settle: float) -> bool:
    if changed is None or any(path.name.lower().endswith(UNFINISHED_SUFFIXES) for path in paths):
        return True
    # If the clock was set back, the age is negative; the file must not wait forever.
    return 0 <= now - changed < settle
