"""Notice which line of code asks for an address that the boundary does not allow.

Python tells it by its audit hooks. It is evidence that helps to find the line, and no protection:
what a C library asks for goes unnoticed, and the kernel refuses that just the same.
"""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from factory_assets.execution.boundary_level import boundary_level
from factory_resources.boundary.addresses import join_address
from factory_resources.boundary.inside import is_allowed
from factory_resources.errors import FactoryError
from factory_resources.home.home import PROJECT

_MOST = 20
"""Addresses that are remembered of a block."""


class Asked(NamedTuple):
    """An address that was asked for, and the line of code that did."""

    address: str
    line: str

    @property
    def is_loopback(self) -> bool:
        """Whether it may be another process inside."""
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def __str__(self) -> str:
        return (
            f"{self.line} asked for {self.address}, which the boundary does not allow; if it may, "
            f"declare boundary: {{allow: ['{self.address}']}}"
        )


class _Hook:
    """The audit hook of this process, of which there is one: Python cannot remove it."""

    def __init__(self) -> None:
        self.asked: list[Asked] | None = None
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.asked is None or len(self.asked) >= _MOST:
            return
        address = _address(event, arguments)
        if address is None or is_allowed(*address):
            return
        asked = Asked(join_address(*address), _line(sys._getframe(1)))
        if asked not in self.asked:
            self.asked.append(asked)


@contextmanager
def noticed_addresses() -> Iterator[list[Asked]]:
    """Collect what a block asks for, if there is a boundary around this process.

    An error of the block says it.
    """
    if boundary_level() == "none":
        yield []
        return
    hook = _hook()
    asked = hook.asked = []
    try:
        yield asked
    except FactoryError as error:
        if asked:
            # It need not be the cause, as where a library only wants to report how it is used.
            error.remedy = f"{error.remedy}; {asked[-1]}"
        raise
    except Exception as error:
        for one in asked:
            error.add_note(str(one))
        raise
    finally:
        hook.asked = None


@cache
def _hook() -> _Hook:
    return _Hook()


def _address(event: str, arguments: tuple[Any, ...]) -> tuple[str, int | str] | None:
    """Return host and port of an event; None if it is another, or about a local socket."""
    match event, arguments:
        case "socket.connect", (_, (str() as host, int() as port, *_)):
            return host, port
        case "socket.getaddrinfo", (str() as host, int() | str() as port, *_):
            return host, port
        case _:
            return None


def _line(frame: FrameType | None) -> str:
    """Return file and line of the innermost code that is the user's own; else of any."""
    libraries = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], "<")
    ours = tuple(str(PROJECT / name) for name in ("factory_assets", "factory_resources"))
    found = "code"
    while frame:
        file = frame.f_code.co_filename
        if not file.startswith(libraries):
            place = f"{Path(file).name}:{frame.f_lineno}"
            if not file.startswith(ours) or "/defs/" in file:
                return place
            found = place if found == "code" else found
        frame = frame.f_back
    return found
