"""Run attempts one after the other, each in a process of its own; print how they ended as JSON."""

import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence

from factory_resources.boundary.escapes.registry import ATTEMPTS, World

_MODULES = ("network", "machine", "files", "libraries")
_SECONDS, _SLOW_SECONDS = 20, 60
RETURNED = "returned"


def register() -> None:
    """Import the modules that register attempts."""
    for name in _MODULES:
        importlib.import_module(f"factory_resources.boundary.escapes.{name}")


def run_attempts(world: World, tokens: Mapping[str, str]) -> dict[str, str]:
    """Run attempts by name, each with its token; return "returned" or why it ended otherwise."""
    return {name: _run(name, world._replace(token=token)) for name, token in tokens.items()}


def _run(name: str, world: World) -> str:
    one = ATTEMPTS[name]
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _attempt(name, world, write_end)
    os.close(write_end)
    ready, _, _ = select.select([read_end], [], [], _SLOW_SECONDS if one.slow else _SECONDS)
    ending = os.read(read_end, 4096).decode(errors="replace") if ready else "no end"
    os.close(read_end)
    _kill(child)
    return ending or "it was killed"


def _kill(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError:
        # It made no session, or is in another namespace.
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _attempt(name: str, world: World, write_end: int) -> None:
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        ATTEMPTS[name].run(world)
        ending = RETURNED
    except BaseException as error:  # noqa: BLE001 - whatever a library raises is how it ended
        lines = str(error).strip().splitlines()
        ending = f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
    os.write(write_end, ending.encode(errors="backslashreplace"))
    os._exit(0)


def main(arguments: Sequence[str]) -> int:
    """Run the attempts that the arguments have as JSON: the world, and the tokens by name."""
    world, tokens = (json.loads(text) for text in arguments)
    register()
    json.dump(run_attempts(World(**world), tokens), sys.stdout)
    return 0
