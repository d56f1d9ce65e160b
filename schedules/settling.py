"""Which files came or changed and are whole: judged by names, sizes and times alone.

A file is whole when it kept still for a while, between two looks too, and nothing in its name says
that somebody is still writing it.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

HALF = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp", "~")
"""Ends of the names of files that somebody is still writing."""

Files = Mapping[str, Sequence[Path]]
"""Files by what needs all of them, such as the key of a partition."""


@dataclass(frozen=True)
class State:
    """What is remembered between two looks: digests of names, sizes and times."""

    done: Mapping[str, str] = field(default_factory=dict)
    """Of what was whole."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Of what was not, or not yet known to be."""

    @classmethod
    def read(cls, cursor: str | None) -> "State":
        """What `written` wrote; nothing is remembered where there is nothing."""
        if not cursor:
            return cls()
        return cls(*json.loads(zlib.decompress(base64.b85decode(cursor))))

    def written(self) -> str:
        """Short: there may be thousands of partitions."""
        content = json.dumps([dict(self.done), dict(self.waiting)], separators=(",", ":"))
        return base64.b85encode(zlib.compress(content.encode(), 9)).decode()


def settled(files: Files, before: State, now: float, settle: float) -> tuple[dict[str, str], State]:
    """What has become whole since the last look, each with its digest, and what to remember.

    A file that vanishes meanwhile is no error; what needs it waits.

    Args:
        now: seconds since the epoch.
        settle: seconds for which a file must have kept still.
    """
    whole: dict[str, str] = {}
    done: dict[str, str] = {}
    waiting: dict[str, str] = {}
    for key, paths in files.items():
        seen = [path for path in paths if not path.name.startswith(".")]
        digest, changed = _look(seen)
        if not seen:
            continue
        if before.done.get(key) == digest:
            done[key] = digest
        elif before.waiting.get(key) != digest or _unsafe(seen, changed, now, settle):
            waiting[key] = digest
        else:
            whole[key] = done[key] = digest
    return whole, State(done, waiting)


def _look(paths: Sequence[Path]) -> tuple[str, float | None]:
    """Digest of names, sizes and times; and when the last of the files changed.

    None where one is gone.
    """
    signs, changed = [], 0.0
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            return "", None
        # Nobody can set the time of the inode's change: a copy that keeps the old times has a new
        # one, and so has a file that is moved here.
        signs.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}")
        changed = max(changed, stat.st_ctime)
    return sha256("\n".join(signs).encode(errors="surrogateescape")).hexdigest()[:12], changed


def _unsafe(paths: Sequence[Path], changed: float | None, now: float, settle: float) -> bool:
    if changed is None or any(path.name.lower().endswith(HALF) for path in paths):
        return True
    # A clock that was set back must not make a file young for ever.
    return 0 <= now - changed < settle
