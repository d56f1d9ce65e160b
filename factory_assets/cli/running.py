"""Where the factory that is up can be reached."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

from factory_resources.home.home import Home

_PATIENCE = 1.0
"""Seconds within which the front door must take a connection."""


def running_file(home: Home) -> Path:
    """Return the file with the address of the factory that is up."""
    return home.path / ".address"


def running_address(home: Home) -> str | None:
    """Return the address at which the front door takes connections; None if it takes none.

    The file alone may be that of a factory that was killed.
    """
    try:
        address = running_file(home).read_text(encoding="utf-8")
        place = urlsplit(address)
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), _PATIENCE).close()
    except (OSError, ValueError):
        return None
    return address
