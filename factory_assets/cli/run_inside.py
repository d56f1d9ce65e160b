"""Start a command of `factory` again inside a boundary, and wait for it.

This process stays outside: it ends what killed runs have left, which nobody inside can see, and
enters the report of the boundary in the ledger. What a run may reach belongs in
`execution.run_boundary`; commands that are no runs, but call code of the user, in `code_inside`.
"""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from threading import Thread
from typing import IO
from uuid import uuid4

import click
from rich.console import Console

from factory_assets.execution.boundary_level import is_inside
from factory_assets.execution.boundary_reports import (
    REPORT_VARIABLE,
    enter_reports,
    report_file,
)
from factory_assets.execution.run_boundary import run_boundary
from factory_assets.spec import Pipeline
from factory_resources.boundary.boundary import Boundary, level_here
from factory_resources.boundary.inside import NOT_SET_UP
from factory_resources.boundary.syscalls import die_with_parent
from factory_resources.errors import BoundaryError
from factory_resources.home.home import Home
from factory_resources.home.processes import is_alive
from factory_resources.home.run_markers import killed_runs
from factory_resources.interpreter import module_command
from factory_resources.tracking.run_history import PROCESS_TAG, stored_runs


def run_inside(
    arguments: Iterable[str],
    pipelines: Sequence[Pipeline],
    home: Home,
    console: Console | None,
    *,
    looks: bool = False,
    workers: str = "",
) -> int | None:
    """Run a command on pipelines inside a boundary; return its exit code.

    None, after a line that says why, if no boundary is possible or wanted, or this process is
    inside one already: then it is to be done in this process.

    Args:
        arguments: the command line after `factory`.
        console: where it is said if less holds than a machine can do; None to say nothing.
        looks: whether it looks at answers, and may have to tell people of alarms.
        workers: who works on partitions, as FACTORY_WORKERS says it.

    Raises:
        BoundaryError: a boundary is required, and there can be none; nothing was run.
    """
    boundary = boundary_here(pipelines, home, console, looks=looks, workers=workers)
    if boundary is None:
        return None
    _end_killed_runs(home)
    name = uuid4().hex
    command = boundary.command(factory_command(arguments), report_file(home, name))
    code = await_command(command, {REPORT_VARIABLE: name})
    report = enter_reports(home).get(name)
    if report and report.level != "namespaces":
        _tell(console, f"boundary: {report.level}; {report.reason}")
    return code


def boundary_here(
    pipelines: Sequence[Pipeline],
    home: Home,
    console: Console | None,
    *,
    looks: bool = False,
    workers: str = "",
) -> Boundary | None:
    """Return the boundary in which what concerns these pipelines is to be done.

    None, after a line that says why, if no boundary is possible or wanted, or this process is
    inside one already.

    Raises:
        BoundaryError: a boundary is required, and there can be none.
    """
    if is_inside():
        return None
    boundary = run_boundary(pipelines, home, looks=looks, workers=workers)
    if boundary.level == "off":
        return None
    if os.getuid() == 0 or sys.platform != "linux":
        if console is None and boundary.level != "required":
            return None
        reason = level_here()[1]
        if boundary.level == "required":
            raise BoundaryError(
                f"a boundary is required, and there is none here: {reason}",
                where=", ".join(one.name for one in pipelines),
                remedy="docs/boundary.md says what it needs",
            )
        _tell(console, f"boundary: none; {reason}")
        return None
    return boundary


def factory_command(arguments: Iterable[str]) -> list[str]:
    """Return the command line of `factory` with these arguments."""
    return module_command("factory_assets.cli", *_debug(), *arguments)


def await_command(
    command: Sequence[str], variables: Mapping[str, str], output: IO[bytes] | None = None
) -> int:
    """Start a command in a boundary, wait for it, and return its exit code.

    If a signal has ended it, that is 128 and its number, and a line tells it.

    Args:
        output: where its standard output goes; None for this process's own.
    """
    with _passed_on(1) as printed, _passed_on(2) as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdout=output or printed,
            stderr=errors,
            # Killed, this process would leave a run behind that nobody waits for.
            preexec_fn=die_with_parent,
        )
        # Whoever presses Ctrl-C sends the signal to both, and that one ends as it should.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    code = 128 - code if code < 0 else code
    # Of one that Ctrl-C has ended, the command has told.
    if code - 128 in signal.valid_signals() - {signal.SIGINT}:
        click.echo(
            f"error: the process that did the work was ended ({signal.strsignal(code - 128)}), "
            "as the system ends one if memory is full; run the command again",
            err=True,
        )
    # It has said why on standard error.
    return 2 if code == NOT_SET_UP else code


@contextmanager
def _passed_on(stream: int) -> Iterator[int | None]:
    """Yield a pipe to a standard stream of this process if that is a socket; None for any other.

    A boundary lets no socket in. Those of `ssh` without a terminal and of systemd's journal are.
    """
    try:
        is_socket = stat.S_ISSOCK(os.fstat(stream).st_mode)
    except OSError:
        # It is closed.
        is_socket = False
    if not is_socket:
        yield None
        return
    read, write = os.pipe()
    copying = Thread(target=_copy, args=(read, stream), daemon=True)
    copying.start()
    try:
        yield write
    finally:
        os.close(write)
        copying.join()


def _copy(source: int, target: int) -> None:
    """Copy what comes until it ends; if nobody takes it any more, nobody need write it."""
    with suppress(OSError):
        while content := os.read(source, 1 << 16):
            while content:
                content = content[os.write(target, content) :]
    os.close(source)


def _tell(console: Console | None, line: str) -> None:
    if console:
        console.print(line, style="yellow", highlight=False, markup=False)


def _debug() -> list[str]:
    context = click.get_current_context(silent=True)
    return ["--debug"] if context and context.find_root().obj else []


def _end_killed_runs(home: Home) -> None:
    """End runs whose process is gone. Dagster, which is slow to import, is needed for these only.

    Otherwise they would hold what a run has to wait for, such as the GPU.
    """
    markers = killed_runs(home)
    identities = [
        one.tags.get(PROCESS_TAG)
        for one in stored_runs(home, datetime.now(UTC))
        if one.state == "running"
    ]
    if not markers and not any(identity and not is_alive(identity) for identity in identities):
        return
    import dagster as dg

    from factory_resources.tracking.dead_runs import end_all_dead_runs
    from factory_resources.tracking.registry import Registry
    from factory_resources.workers.dead_runs import end_dead_runs

    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance)
    end_all_dead_runs(Registry(home))
    for marker in markers:
        marker.unlink(missing_ok=True)
