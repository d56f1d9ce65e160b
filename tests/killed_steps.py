"""Work in processes of its own that are killed with SIGKILL right after a named step of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

_SECONDS = 300


@dataclass(frozen=True)
class KillPoint:
    """A function, as the module or class that owns it and its name there."""

    owner: str
    name: str
    call: int = 1
    """After which of its calls the process dies."""


def quick_processes() -> ForkServerContext:
    """Return the context whose processes start at once.

    All tests of a process have one server of forks.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.forked_modules"])
    return context


def die_after(step: KillPoint) -> None:
    """End this process, without any cleaning up, after this step."""
    owner, calls = resolve_name(step.owner), 0
    original = getattr(owner, step.name)

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        found = original(*arguments, **options)
        calls += 1
        if calls == step.call:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, step.name, dying)


def run_killed(work: Callable[..., object], *arguments: Any, step: KillPoint | None = None) -> None:
    """Do work in a process that is killed after a step, to which it must come.

    Args:
        step: None if the work ends its process itself.
    """
    code = _run(work, arguments, step)
    assert code == -signal.SIGKILL, f"{work.__name__} never came to {step}: {code}"


def run_whole(work: Callable[..., object], *arguments: Any) -> None:
    """Do work in a process that nobody kills."""
    assert _run(work, arguments, None) == 0, work.__name__


def killed_at(module: str, folder: Path, progress: str) -> list[str]:
    """Kill the process of a module when it prints a line that begins so; return all its lines.

    Args:
        folder: its first argument; the second one is `progress`, at which it waits.
    """
    command = [sys.executable, "-m", module, str(folder), progress]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith(progress):
                break
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return lines


def print_progress(text: str, last: str = "") -> None:
    """Print a line; wait to be killed if it begins with `last`."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    if last and text.startswith(last):
        signal.pause()


def _run(
    work: Callable[..., object], arguments: tuple[Any, ...], step: KillPoint | None
) -> int | None:
    process = quick_processes().Process(target=_work, args=(work, arguments, step, {**os.environ}))
    process.start()
    process.join(_SECONDS)
    if hangs := process.is_alive():
        # Else its exit code would be that of a process that died after its step.
        process.kill()
        process.join()
    assert not hangs, f"{work.__name__} did not end within {_SECONDS} s"
    return process.exitcode


def _work(
    work: Callable[..., object],
    arguments: tuple[Any, ...],
    step: KillPoint | None,
    environment: Mapping[str, str],
) -> None:
    # The server of these processes may be older than the test.
    os.environ.clear()
    os.environ.update(environment)
    if step:
        die_after(step)
    work(*arguments)
