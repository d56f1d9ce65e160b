"""Workers that die at chosen moments, and which of them are there."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT

_DYING = """
import os, sys
from pkgutil import resolve_name

def no_memory(*_):
    raise MemoryError

if "factory_assets.execution.workers" in sys.orig_argv:
    from tests.killed_steps import KillPoint, die_after

    for number, moment in enumerate(os.environ["MOMENTS"].split(";")):
        try:
            os.mkdir(os.path.join(os.environ["MARKS"], str(number)))
        except FileExistsError:
            continue
        owner, name, call = moment.split(":")
        if call == "no memory":
            setattr(resolve_name(owner), name, no_memory)
        else:
            die_after(KillPoint(owner, name, int(call)))
        break
"""


def let_workers_die(folder: Path, monkeypatch: pytest.MonkeyPatch, *moments: str) -> None:
    """Let the first worker that starts die at the first moment, and so on."""
    (folder / "sitecustomize.py").write_text(_DYING)
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{PROJECT}")
    monkeypatch.setenv("MOMENTS", ";".join(moments))
    (folder / "marks").mkdir()
    monkeypatch.setenv("MARKS", str(folder / "marks"))


def children() -> list[str]:
    """Return the numbers of the processes that this process has started, by whichever thread."""
    threads = os.listdir(f"/proc/{os.getpid()}/task")
    return [one for thread in threads for one in _text(f"self/task/{thread}/children").split()]


def worker_processes() -> list[str]:
    """Return the command lines of the workers that this process has started and that still run."""
    lines = [_text(f"{pid}/cmdline") for pid in children()]
    return [line for line in lines if "factory_assets.execution.workers" in line]


def _text(name: str) -> str:
    """Return what the system says of a thread or process; nothing if it has ended meanwhile."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path("/proc", name).read_text()
    return ""
