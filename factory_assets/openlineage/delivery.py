"""Write events to a file of the home, or send them by HTTP; what is not taken waits in the home.

Nothing here fails a run: an event that cannot be written or sent is not worth a training. What an
event says belongs in `events`.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from factory_assets.openlineage.events import Event
from factory_assets.spec.settings import OpenLineageSettings
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.logs import set_aside

_SECONDS = 2.0
"""How long the server may take, and how long one event waits for those before it."""

_LARGEST = 10_000_000
"""Bytes of a file of events: one that grows larger is set aside, and the spool takes no more,
since `factory openlineage` has the events of every recorded run."""

_REFUSED = frozenset({400, 413, 422})
"""Answers of a server that will not take the event later either."""

SPOOL, REFUSED = "spool.jsonl", "refused.jsonl"


def deliver(
    settings: OpenLineageSettings, event: Event, home: Home, *, may_send: bool = True
) -> bool:
    """Write or send an event, after those that wait. If that is not possible, it waits itself.

    Args:
        may_send: whether the server may be asked.

    Returns:
        Whether it was written or sent.
    """
    folder = events_folder(home)
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    with suppress(OSError, StorageError), home.lock("openlineage"):
        folder.mkdir(parents=True, exist_ok=True)
        if settings.address is None:
            _append(folder / settings.file, line)
            return True
        server = _Server(settings.address, settings.path, folder / REFUSED)
        spool = folder / SPOOL
        if may_send and _send_waiting(server, spool, home) and server.takes(line):
            return True
        if _size(spool) < _LARGEST:
            _append(spool, line)
    return False


def events_folder(home: Home) -> Path:
    """Return the folder of what is written, or waits to be sent."""
    return home.path / "openlineage"


@dataclass(frozen=True)
class _Server:
    """Who is sent events."""

    address: str
    """`HOST:PORT`."""
    path: str
    refused: Path
    """The file of the events that it will never take."""

    def takes(self, line: bytes) -> bool:
        """Send one event; False if it has to be sent again."""
        place = urlsplit(f"//{self.address}")
        connection = HTTPConnection(place.hostname or "", place.port, timeout=_SECONDS)
        try:
            connection.request("POST", self.path, line, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except (OSError, HTTPException, UnicodeError):
            return False
        finally:
            connection.close()
        if status in _REFUSED:
            _append(self.refused, line)
            return True
        return 200 <= status < 300


def _send_waiting(server: _Server, spool: Path, home: Home) -> bool:
    """Send the events that wait, in order, as long as there is time; return whether none is left.

    Killed before the spool is written anew, they are sent twice: their ids are the same.
    """
    if not _size(spool):
        return True
    until, sent = time.monotonic() + _SECONDS, 0
    with spool.open("rb") as file:
        for line in file:
            if time.monotonic() > until or not server.takes(line):
                break
            sent += len(line)
        file.seek(sent)
        left = file.read() if sent else None
    if left is not None:
        home.write_atomic(spool, left)
    return left == b""


def _append(path: Path, line: bytes) -> None:
    if _size(path) > _LARGEST:
        set_aside(path)
        os.truncate(path, 0)
    whole = _size(path)
    try:
        with path.open("ab") as file:
            file.write(line)
    except OSError:
        # A full disk takes a part of a line, to which the next event would be added.
        with suppress(OSError):
            os.truncate(path, whole)
        raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
