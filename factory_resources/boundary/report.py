"""The report of a boundary: the evidence of what a command could reach, as JSON.

These are named tuples, not dataclasses, whose module takes 10 ms of every start.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Level = Literal["namespaces", "seccomp", "none"]
"""How much holds: everything; no internet at all, but daemons of this machine; nothing."""

_SCOPED, _TRUNCATED = 6, 3
"""Versions of Landlock that limit signals and abstract sockets, and emptying a file."""


def open_ways(level: Level, landlock: int, kept: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what stays open at a level, beside what was declared.

    Args:
        landlock: the kernel's version of Landlock; 0 if it has none.
        kept: paths that only namespaces keep read-only.
    """
    if level == "none":
        return ("everything that the user can reach",)
    if level == "namespaces":
        return () if landlock else ("named pipes in readable folders",)
    ways = ["unix sockets of daemons on this machine", "files in /dev/shm"]
    ways += [f"changing {path}" for path in kept]
    if landlock < _SCOPED:
        ways += ["abstract unix sockets", "signals to the user's other processes"]
    if landlock < _TRUNCATED:
        ways.append("emptying files of the user")
    return tuple(ways)


class Traffic(NamedTuple):
    """What passed through one allowed address."""

    address: str
    ip: str
    connections: int
    sent: int
    """Bytes from inside to the address."""
    received: int
    """Bytes from the address to inside."""
    error: str = ""
    """Why the last connection that failed did."""


class Seal(NamedTuple):
    """What held when the command was started, as the process saw it that became the command."""

    layers: tuple[str, ...] = ()
    landlock: int = 0
    """Version of Landlock; 0 if the kernel has none."""
    filter_sha256: str = ""
    namespaces: Mapping[str, str] = {}
    status: Mapping[str, str] = {}
    """Lines of /proc/self/status: capabilities, seccomp, no new privileges."""
    tries: Mapping[str, str] = {}
    """Each way out that was tried, and how the kernel refused it; "open" if it did not."""
    interfaces: tuple[str, ...] = ()

    def leaks(self) -> list[str]:
        """Return the ways that were found open."""
        return [way for way, outcome in self.tries.items() if outcome == "open"]


class BoundaryReport(NamedTuple):
    """What a command could reach, and what it did reach of what was allowed."""

    level: Level
    reason: str
    """Why the level is not "namespaces"; empty if it is."""
    open_ways: tuple[str, ...]
    command: tuple[str, ...]
    allow: tuple[str, ...]
    writable: tuple[str, ...]
    readable: tuple[str, ...]
    user: int
    """The system user that the command ran as."""
    started: float
    """Seconds since 1970."""
    ended: float
    exit_code: int
    seal: Seal = Seal()
    outside: Mapping[str, str] = {}
    """The namespaces of the process that started it, to compare with those of the seal."""
    traffic: tuple[Traffic, ...] = ()

    def json(self) -> str:
        """Return the report as JSON."""
        fields = self._asdict()
        fields["seal"] = self.seal._asdict()
        fields["traffic"] = [one._asdict() for one in self.traffic]
        return json.dumps(fields, indent=1) + "\n"

    def write(self, path: str) -> None:
        """Write the report to a file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        unfinished = f"{path}.{os.urandom(4).hex()}.tmp"
        with open(unfinished, "x", encoding="utf-8") as file:
            file.write(self.json())
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)


def parse_report(text: str) -> BoundaryReport:
    """Return the report that `BoundaryReport.json` has written.

    Raises:
        ValueError: it is none.
    """
    try:
        fields = json.loads(text)
        fields["seal"] = parse_seal(fields["seal"])
        fields["traffic"] = tuple(Traffic(**one) for one in fields["traffic"])
        return BoundaryReport(**_with_tuples(fields))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not a report of a boundary: {error}") from None


def parse_seal(fields: Mapping[str, Any]) -> Seal:
    """Return the seal of its JSON.

    Raises:
        TypeError: a field is unknown.
    """
    return Seal(**_with_tuples(fields))


def _with_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
