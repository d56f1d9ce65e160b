"""The factory that is up: where it can be reached, and which process it is."""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from factory_resources.home.home import Home
from factory_resources.home.processes import POD_VARIABLE, is_alive, process_identity

_PATIENCE = 1.0
"""Seconds within which the front door must take a connection."""


def running_file(home: Home) -> Path:
    """Return the file with the address of the factory that is up."""
    return home.path / ".address"


def running_address(home: Home) -> str | None:
    """Return the address of the factory that is up; None if none is.

    The file alone may be that of a factory that was killed. Whoever sees its process knows; in
    another pod or on another machine, the front door must take connections at its address. Here
    it need not: that is the address for browsers, which may come through a proxy elsewhere.
    """
    try:
        address = running_file(home).read_text(encoding="utf-8")
        process = up_process(home)
        if process and POD_VARIABLE not in os.environ and is_alive(process.identity):
            return address
        place = urlsplit(address)
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), _PATIENCE).close()
    except (OSError, ValueError):
        return None
    return address


@dataclass(frozen=True)
class UpProcess:
    """The process of a `factory up`."""

    home: str
    """The folder that it serves: the file may have been copied with another home."""
    identity: str
    arguments: Sequence[str]
    """Of its command line, without the program."""


@contextmanager
def recorded_process(home: Home, arguments: Sequence[str]) -> Iterator[None]:
    """Record in the home, as long as the block runs, that this process is its `factory up`."""
    file = _process_file(home)
    process = UpProcess(str(home.path), process_identity(os.getpid()), [*arguments])
    home.write_atomic(file, json.dumps(asdict(process)).encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def up_process(home: Home) -> UpProcess | None:
    """Return the process that was recorded; it may have been killed since."""
    try:
        found = UpProcess(**json.loads(_process_file(home).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.home == str(home.path) else None


def _process_file(home: Home) -> Path:
    return home.path / ".up.json"
