"""Run every attempt twice, without a boundary and inside one, and say which of them got out.

The attempts need a process of their own, without threads, because it enters another network:
`run_trial` starts it, and `main` is what it does.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from factory_resources.boundary.boundary import Boundary
from factory_resources.boundary.escapes import outside
from factory_resources.boundary.escapes.attempting import RETURNED, register, run_attempts
from factory_resources.boundary.escapes.registry import ATTEMPTS, World
from factory_resources.boundary.report import BoundaryReport, Level, parse_report
from factory_resources.errors import BoundaryError

_ROOT = Path(__file__).resolve().parents[3]
_INSIDE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from factory_resources.boundary.escapes.attempting import main; sys.exit(main(sys.argv[1:]))"
)
_SETTLE_SECONDS = 3

TrialOutcome = Literal["held", "out", "no control"]


class TrialResult(NamedTuple):
    """How one attempt went."""

    name: str
    what: str
    result: TrialOutcome
    """"no control": it does not get out without a boundary either, so it shows nothing."""
    detail: str
    """How it ended inside; without control, how the control ended."""


class EscapeTrial(NamedTuple):
    """All attempts of one boundary."""

    level: Level
    reason: str
    landlock: int
    """The kernel's version of Landlock."""
    user: int
    """Who tried it."""
    results: tuple[TrialResult, ...]


class _Run(NamedTuple):
    tokens: dict[str, str]
    ended: dict[str, str]


def run_trial(
    level: Literal["auto", "required", "seccomp"],
    user: tuple[int, int],
    names: Sequence[str] = (),
    *,
    slow: bool = False,
) -> EscapeTrial:
    """Try to leave a boundary in every way, or in the named ones.

    Args:
        user: who tries it; if this process is root's, it becomes this user inside.
        slow: also try the attempts that import large libraries.

    Raises:
        BoundaryError: the trial could not be made.
    """
    options = {"level": level, "user": user, "names": [*names], "slow": slow}
    done = subprocess.run(
        [sys.executable, "-c", _START_TRIAL, str(_ROOT), json.dumps(options)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BoundaryError(
            lines[-1] if lines else f"the attempts ended with exit code {done.returncode}",
            remedy="nothing was sent; docs/boundary.md says what a machine needs",
        )
    trial = json.loads(done.stdout)
    results = tuple(TrialResult(*one) for one in trial["results"])
    return EscapeTrial(trial["level"], trial["reason"], trial["landlock"], trial["user"], results)


_START_TRIAL = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from factory_resources.boundary.escapes.trial import main; main(sys.argv[1])"
)


def main(text: str) -> None:
    """Make the trial that `run_trial` asks for, and print it as JSON."""
    options = json.loads(text)
    user = (options["user"][0], options["user"][1])
    register()
    names = options["names"] or [
        name for name, one in ATTEMPTS.items() if options["slow"] or not one.slow
    ]
    try:
        outside.enter_network()
    except OSError as error:
        sys.exit(f"the kernel lets this user make no network to try it in: {error.strerror}")
    parent = Path(tempfile.mkdtemp(prefix="factory-escape-"))
    try:
        os.chown(parent, *user)
        trial = _try(names, options["level"], user, parent)
    finally:
        shutil.rmtree(parent, ignore_errors=True)
    json.dump(trial._asdict(), sys.stdout)


def _try(names: Sequence[str], level: Any, user: tuple[int, int], parent: Path) -> EscapeTrial:
    folder = parent / "outside"
    folder.mkdir()
    os.chown(folder, *user)
    found = outside.start(folder, user)
    world = outside.inherit(found.world)
    try:
        os.chdir(folder)
        inside, report = _run_inside(names, world, level, user, parent)
        control = _run_control(names, world)
        _wait_for(found, control)
        results = tuple(_judge(name, found, control, inside) for name in names)
    finally:
        Path(world.shared).unlink()
    return EscapeTrial(report.level, report.reason, report.seal.landlock, report.user, results)


def _tokens(names: Sequence[str], where: str) -> dict[str, str]:
    return {name: f"{name}-{where}-{secrets.token_hex(4)}" for name in names}


def _run_control(names: Sequence[str], world: World) -> _Run:
    """Run them without a boundary, with what its standard input has inherited."""
    tokens = _tokens(names, "control")
    with _connected() as connection:
        os.dup2(connection.fileno(), 0)
        return _Run(tokens, run_attempts(world, tokens))


def _run_inside(
    names: Sequence[str], world: World, level: Any, user: tuple[int, int], parent: Path
) -> tuple[_Run, BoundaryReport]:
    tokens = _tokens(names, "inside")
    boundary = Boundary(level=level, readable=(_ROOT,), user=None if os.getuid() else user)
    start = [sys.executable, "-I", "-c", _INSIDE, str(_ROOT)]
    report = parent / "report.json"
    with _connected() as connection:
        done = subprocess.run(
            boundary.command([*start, json.dumps(world._asdict()), json.dumps(tokens)], report),
            stdin=connection.fileno(),
            capture_output=True,
            text=True,
            pass_fds=[*world.descriptors.values()],
            check=False,
        )
    if done.returncode:
        sys.exit(f"the attempts inside ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return _Run(tokens, json.loads(done.stdout)), parse_report(report.read_text("utf-8"))


def _wait_for(found: outside.Outside, control: _Run) -> None:
    """Wait for what is on its way: what was sent inside was sent before the last of this."""
    end = time.monotonic() + _SETTLE_SECONDS
    sent = [name for name, ended in control.ended.items() if ended == RETURNED]
    awaited = [control.tokens[name] for name in sent if ATTEMPTS[name].proof == "seen"]
    while time.monotonic() < end and not all(map(found.has_seen, awaited)):
        time.sleep(0.1)


def _connected() -> socket.socket:
    return socket.create_connection(("127.0.0.1", 443))


def _judge(name: str, found: outside.Outside, control: _Run, inside: _Run) -> TrialResult:
    one = ATTEMPTS[name]

    def got_out(run: _Run) -> bool:
        if one.proof == "returned" and run.ended[name] == RETURNED:
            return True
        return found.has_seen(run.tokens[name])

    if got_out(inside):
        result: TrialOutcome = "out"
    else:
        result = "held" if got_out(control) else "no control"
    ended = control.ended[name] if result == "no control" else inside.ended[name]
    if ended == RETURNED:
        ended = "it came to its end, but nothing came out"
    return TrialResult(name, one.what, result, ended)
