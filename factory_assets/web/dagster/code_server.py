"""The socket at which the pipelines are asked for, and the request to reload them.

The process that listens there belongs in `cli.code_server`.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from factory_resources.errors import FactoryError

_RELOADED_WITHIN = 180.0
"""Seconds for which a request waits for the pipelines to be loaded."""


def answers(path: Path) -> bool:
    """Whether something listens at a socket; the code server does when it has loaded."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def reload_request(path: Path) -> Path:
    """Return the file that asks for another code server.

    Args:
        path: the link that leads to the socket of the present one.
    """
    return path.with_suffix(".reload")


def reload_code(path: Path) -> None:
    """Ask for another code server, and wait until it has loaded the pipelines as they are now.

    Raises:
        FactoryError: it does not come up; the present one still answers.
    """
    before, request = os.readlink(path), reload_request(path)
    request.touch()
    deadline = time.monotonic() + _RELOADED_WITHIN
    while request.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    if os.readlink(path) == before:
        raise FactoryError(
            "the pipelines were not reloaded", remedy="read code.log in the home's folder logs"
        )
