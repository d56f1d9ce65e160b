"""The process that starts a command inside and stays outside: it forwards, waits and reports.

It must start in a few milliseconds, so it imports little. How a caller asks for it is in
`boundary`; what happens inside, in `inside`.
"""

import array
import getopt
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from factory_resources.boundary import landlock, namespaces, syscalls
from factory_resources.boundary.addresses import AllowedAddress, distinct, resolve
from factory_resources.boundary.filesystem import Visible, account_line, is_in
from factory_resources.boundary.forwarder import Forwarder, allow_many_connections
from factory_resources.boundary.inside import AWAITED, NOT_SET_UP, Inside, run_init, wait_for_end
from factory_resources.boundary.report import (
    BoundaryReport,
    Level,
    Seal,
    open_ways,
    parse_seal,
)
from factory_resources.home.processes import process_identity

USAGE = """usage: python -I -m factory_resources.boundary [OPTION]... -- COMMAND [ARGUMENT]...

  --allow HOST:PORT        an address that the command may reach; may be repeated
  --writable PATH          a folder or file that it may write; may be repeated
  --readable PATH          one that it may read; may be repeated
  --kept PATH              one in a writable folder that it may only read, as far as the machine
                           can do that; may be repeated
  --level LEVEL            auto (default), required, seccomp or off
  --user UID[:GID]         whom root becomes
  --shared-memory BYTES    size of /dev/shm (default: as outside)
  --report FILE            where the report is written, as JSON

The exit code is the command's, 128 and the number of the signal that ended it, or 97 if the
boundary could not be set up; the command was not started then."""

_OPTION_NAMES = (
    *("allow", "writable", "readable", "kept"),
    *("level", "user", "shared-memory", "report"),
)
_ORDER: dict[str, tuple[Level, ...]] = {
    "auto": ("namespaces", "seccomp"),
    "required": ("namespaces",),
    "seccomp": ("seccomp",),
    "off": (),
}
NO_USER = 2**32 - 1
"""The number by which the kernel leaves a process as it is, so that root would stay root."""
_DRAIN_SECONDS = 5
_MESSAGE = 1 << 20


class _NotSetUpError(Exception):
    """A boundary that cannot be set up; the message says why, and what to do."""


class _Options(NamedTuple):
    """What the command line asks for."""

    level: str
    allow: tuple[str, ...]
    visible: Visible
    user: tuple[int, int]
    report: str
    command: tuple[str, ...]


class _Outcome(NamedTuple):
    """What the processes inside have reported, and the forwarders that serve them."""

    seal: Seal
    refused: str
    failed: str
    forwarders: tuple[Forwarder, ...]


def main(arguments: Sequence[str]) -> int:
    """Start the command of the command line inside a boundary; return the exit code."""
    _open_streams()
    # A parent that ignores SIGCHLD passes that on, and the exit code of a child would be lost.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        return _run(_parse(arguments))
    except (_NotSetUpError, ValueError) as error:
        print(f"boundary: {error}", file=sys.stderr)  # noqa: T201
        return NOT_SET_UP


def _open_streams() -> None:
    """Open the standard streams that are closed, so that no socket of ours becomes one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _parse(arguments: Sequence[str]) -> _Options:
    try:
        pairs, command = getopt.getopt(list(arguments), "", [f"{name}=" for name in _OPTION_NAMES])
    except getopt.GetoptError as error:
        raise ValueError(f"{error}\n{USAGE}") from None
    if not command:
        raise ValueError(f"there is no command\n{USAGE}")
    given: dict[str, list[str]] = {name: [] for name in _OPTION_NAMES}
    for name, value in pairs:
        given[name[2:]].append(value)
    level = (given["level"] or ["auto"])[-1]
    if level not in _ORDER:
        raise ValueError(f"--level {level!r} is not one of {', '.join(_ORDER)}")
    readable = [*given["readable"], *given["kept"], sys.prefix, sys.base_prefix]
    links = {path: os.path.realpath(path) for path in (*given["writable"], *readable)}
    return _Options(
        level,
        tuple(given["allow"]),
        Visible(
            tuple(links[path] for path in given["writable"]),
            tuple(dict.fromkeys(links[path] for path in readable)),
            _shared_memory((given["shared-memory"] or ["0"])[-1]),
            tuple(links[path] for path in given["kept"]),
            tuple((path, real) for path, real in links.items() if path != real),
        ),
        _user((given["user"] or [""])[-1]),
        (given["report"] or [""])[-1],
        tuple(command),
    )


def _shared_memory(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"--shared-memory {text!r} is not a number of bytes")
    if int(text) or not os.path.isdir("/dev/shm"):  # noqa: S108
        return int(text)
    found = os.statvfs("/dev/shm")  # noqa: S108
    return found.f_blocks * found.f_frsize


def _user(text: str) -> tuple[int, int]:
    if not text:
        return os.getuid(), os.getgid()
    user, _, group = text.partition(":")
    numbers = (user, group or user)
    if not all(one.isascii() and one.isdigit() and int(one) < NO_USER for one in numbers):
        raise ValueError(f"--user {text!r} is not UID or UID:GID")
    if os.getuid() and int(user) != os.getuid():
        raise ValueError(f"--user {text!r}: only root can become another user")
    return int(user), int(group or user)


def _run(options: _Options) -> int:
    for path in (*options.visible.writable, *options.visible.readable):
        if not os.path.exists(path):
            raise ValueError(f"{path} does not exist; create it, or do not declare it")
    if "/" in options.visible.writable:
        raise ValueError("/ cannot be writable; declare the folders that the command writes")
    _clear_report(options)
    started = time.time()
    reasons = [unsupported] if (unsupported := _why_unsupported(options)) else []
    if not reasons:
        for level in _ORDER[options.level]:
            reason = _why_impossible(options, level)
            if not reason:
                code, outcome = _start(options, level)
                reason = outcome.refused
                if not reason and not outcome.seal.tries:
                    reason = f"it ended with {code} before it was sealed"
                if not reason:
                    _write_report(options, level, reasons, started, code, outcome)
                    return code
            reasons.append(f"{level}: {reason}")
    if options.level not in ("off", "auto"):
        why = "; ".join(reasons)
        raise _NotSetUpError(f"it cannot be set up, and the command was not started: {why}")
    code, outcome = _start(options, "none")
    _write_report(options, "none", reasons or ["it is switched off"], started, code, outcome)
    return code


def _clear_report(options: _Options) -> None:
    """Remove the report of an earlier command; refuse a place where this one could write it."""
    if not options.report:
        return
    folder, name = os.path.split(options.report)
    target = os.path.join(os.path.realpath(folder or "."), name)
    kept = any(is_in(target, path) for path in options.visible.kept)
    for path in options.visible.writable:
        if is_in(target, path) and not kept:
            raise ValueError(f"the report {options.report} is in the writable folder {path}")
    try:
        os.unlink(options.report)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ValueError(f"the report {options.report} cannot be written: {error}") from None


def _why_unsupported(options: _Options) -> str:
    """Return why no boundary is possible; empty if one is."""
    if not syscalls.IS_SUPPORTED:
        return f"{sys.platform} {syscalls.MACHINE} has no such boundary: it needs Linux"
    if options.user[0] == 0:
        return "root can undo any boundary; start it as an ordinary user"
    return ""


def _why_impossible(options: _Options, level: Level) -> str:
    """Return why a level cannot do what the command line asks for; empty if it can."""
    if level != "seccomp":
        return ""
    if not landlock.abi():
        return "the kernel has no Landlock"
    if options.allow:
        return "without namespaces no address can be allowed"
    visible = options.visible
    for path in {*visible.readable} - {*visible.kept}:
        if any(is_in(path, folder) for folder in visible.writable):
            return f"without namespaces {path}, in a writable folder, cannot stay read-only"
    return ""


def _start(options: _Options, level: Level) -> tuple[int, _Outcome]:
    """Start the command at this level and wait for its end."""
    allowed = tuple(resolve(text) for text in options.allow) if level == "namespaces" else ()
    temporary = _make_temporary(options.user) if level == "seccomp" else ""
    inside = Inside(
        level=level,
        command=options.command,
        visible=options.visible,
        allowed=allowed,
        home=_home(options.user[0]),
        user=os.getuid(),
        owner=options.user,
        account=account_line(options.user[0]) if level == "namespaces" else "",
        outside=process_identity(os.getpid()),
        temporary=temporary,
    )
    # Messages stay apart. Without a boundary there is only one.
    kind = socket.SOCK_SEQPACKET if syscalls.IS_SUPPORTED else socket.SOCK_STREAM
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    try:
        first = namespaces.fork() if level == "namespaces" else os.fork()
    except OSError as error:
        return NOT_SET_UP, _Outcome(Seal(), f"the kernel refuses them ({error.strerror})", "", ())
    if first == 0:
        ours.close()
        run_init(inside, theirs)
    theirs.close()
    outcome = _read_reports(ours, distinct(allowed))
    code = os.waitstatus_to_exitcode(wait_for_end(first, partial(os.kill, first)))
    for forwarder in outcome.forwarders:
        forwarder.drain(_DRAIN_SECONDS)
    if outcome.failed:
        print(f"boundary: {outcome.failed}", file=sys.stderr)  # noqa: T201
    return (code if code >= 0 else 128 - code), outcome


def _home(user: int) -> str:
    """Return where programs will look for the home of the command's user."""
    home = os.environ.get("HOME", "")
    if user != os.getuid() or not home.startswith("/"):
        return "/tmp"  # noqa: S108
    return os.path.realpath(home)


def _read_reports(ours: socket.socket, allowed: Sequence[AllowedAddress]) -> _Outcome:
    """Read what the processes inside report, until the command has started or failed to."""
    seal, refused, failed = Seal(), "", ""
    forwarders: list[Forwarder] = []
    while True:
        message, passed = _receive(ours, len(allowed))
        if not message:
            return _Outcome(seal, refused, failed, tuple(forwarders))
        if passed:
            allow_many_connections()
            forwarders = [
                Forwarder(address, socket.socket(fileno=descriptor))
                for address, descriptor in zip(allowed, passed, strict=True)
            ]
            continue
        fields = json.loads(message)
        failed, refused = fields.pop("failed", ""), fields.pop("refused", "")
        if fields:
            seal = parse_seal(fields)


def _receive(ours: socket.socket, descriptors: int) -> tuple[bytes, list[int]]:
    passed = array.array("i")
    message, control, *_ = ours.recvmsg(
        _MESSAGE, socket.CMSG_SPACE(descriptors * passed.itemsize) if descriptors else 0
    )
    for _, _, content in control:
        passed.frombytes(content)
    return message, list(passed)


def _write_report(
    options: _Options,
    level: Level,
    reasons: Sequence[str],
    started: float,
    code: int,
    outcome: _Outcome,
) -> None:
    if leaks := outcome.seal.leaks():
        raise _NotSetUpError(
            f"a way out is open, and the command was not started: {', '.join(leaks)}"
        )
    if not options.report:
        return
    report = BoundaryReport(
        level=level,
        reason="; ".join(reasons),
        open_ways=open_ways(level, outcome.seal.landlock, options.visible.kept),
        command=options.command,
        allow=options.allow,
        writable=options.visible.writable,
        readable=options.visible.readable,
        user=options.user[0],
        started=started,
        ended=time.time(),
        exit_code=code,
        seal=outcome.seal,
        outside=namespaces.names() if syscalls.IS_SUPPORTED else {},
        traffic=tuple(forwarder.traffic() for forwarder in outcome.forwarders),
    )
    try:
        report.write(options.report)
    except OSError as error:
        # Without its evidence, a run must not pass for one inside.
        raise _NotSetUpError(f"the report cannot be written: {error}") from None


def _make_temporary(owner: tuple[int, int]) -> str:
    """Make the folder for temporary files of a command; the first process inside removes it."""
    path = f"/tmp/factory-boundary-{os.urandom(8).hex()}"  # noqa: S108
    os.mkdir(path, 0o700)
    os.chown(path, *owner)
    return path
