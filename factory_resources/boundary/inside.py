"""The processes inside: the first one of the boundary, and the one that becomes the command.

The first one makes the boundary's namespaces its own, starts the command and waits for it. It is
not sealed, so that the command can send it no signal. The second seals itself, tries to leave, and
only then becomes the command. Both report to the parent by a socket.
"""

import array
import hashlib
import json
import os
import signal
import socket
import stat
from collections.abc import Callable, Iterable
from typing import NamedTuple, NoReturn

from factory_resources.boundary import filesystem, landlock, namespaces, seccomp, syscalls
from factory_resources.boundary.addresses import AllowedAddress, join_address
from factory_resources.boundary.probe import try_to_leave
from factory_resources.boundary.report import Level, Seal
from factory_resources.boundary.stragglers import kill_children
from factory_resources.home.processes import OUTSIDE_VARIABLE

FORWARDED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
AWAITED = (*FORWARDED, signal.SIGCHLD)
"""Signals that are blocked, and waited for by `wait_for_end`."""
NOT_SET_UP = 97
"""Exit code if the command was never started."""
LEVEL_VARIABLE = "FACTORY_BOUNDARY"
"""Environment variable by which a command knows how much holds around it."""
_ALLOWED_VARIABLE = "FACTORY_BOUNDARY_ALLOWED"
_OF_A_PERSON = "FACTORY_PASSPHRASE"
"""With it, code inside could sign in the name of whoever started the run."""
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_STATUS = ("NoNewPrivs", "Seccomp", "Seccomp_filters", "CapEff", "CapBnd", "Uid")
_WRITABLE_DEVICES = ("null", "zero", "full", "tty", "shm")


class Inside(NamedTuple):
    """What is needed to start a command inside."""

    level: Level
    command: tuple[str, ...]
    visible: filesystem.Visible
    allowed: tuple[AllowedAddress, ...]
    home: str
    user: int
    """Who starts it."""
    owner: tuple[int, int]
    """User and group of the command."""
    account: str = ""
    """The line of the command's user that /etc/passwd lacks."""
    outside: str = ""
    """The identity of the process outside."""
    temporary: str = ""
    """A folder for temporary files, if /tmp is not private."""


def run_init(inside: Inside, parent: socket.socket) -> NoReturn:
    """Set the boundary up, start the command and end with its exit code."""
    try:
        os.setsid()
        private_home = _set_up(inside, parent)
        command = os.fork()
    except Exception as error:  # noqa: BLE001 - this process must end here, however it fails
        _clean_up(inside)
        _report(parent, refused=f"the kernel refuses them ({error})")
        os._exit(NOT_SET_UP)
    if command == 0:
        _become_command(inside, private_home, parent)
    parent.close()
    _wait(command, inside)


def _set_up(inside: Inside, parent: socket.socket) -> str:
    """Make the namespaces a place where the command can run; return its private home."""
    if not syscalls.IS_SUPPORTED:
        return ""
    private_home = ""
    if inside.level == "namespaces":
        if inside.user:
            namespaces.keep_user(inside.user, inside.owner[1])
        listeners = namespaces.listen(inside.allowed)
        _hand_over(listeners, parent)
        folder = _present_folder()
        private_home = filesystem.arrange(
            inside.visible, inside.allowed, inside.home, inside.owner, inside.account
        )
        filesystem.mount_processes()
        _enter(folder, inside.visible.writable)
    else:
        syscalls.adopt_orphans()
    if inside.level != "none":
        syscalls.bound_capabilities()
    if os.getuid() != inside.owner[0]:
        os.setgroups([])
        os.setresgid(*[inside.owner[1]] * 3)
        os.setresuid(*[inside.owner[0]] * 3)
    if inside.level != "none":
        syscalls.set_dumpable(False)
        syscalls.drop_capabilities()
    # Last, since a change of the user resets it. Without a namespace of processes, this process
    # must live on to end the others.
    syscalls.die_with_parent(signal.SIGKILL if inside.level == "namespaces" else signal.SIGTERM)
    return private_home


def _hand_over(listeners: list[socket.socket], parent: socket.socket) -> None:
    if not listeners:
        return
    passed = array.array("i", [one.fileno() for one in listeners])
    parent.sendmsg([b"listening"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
    for one in listeners:
        one.close()


def _present_folder() -> str:
    """Return the working folder; the root of all folders if somebody has removed it."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/"


def _enter(folder: str, writable: Iterable[str]) -> None:
    """Enter the working folder anew: what the old one leads to was there before the mounts."""
    os.chdir("/")
    for path in (folder, *writable):
        try:
            os.chdir(path)
        except OSError:
            continue
        return


def _wait(command: int, inside: Inside) -> NoReturn:
    """Forward signals to the command, end what it leaves behind, and end as it does."""
    started_by = os.getppid()

    def forward(number: int) -> None:
        if os.getppid() != started_by:
            _clean_up(inside)
            os._exit(128 + number)
        os.kill(command, number)

    status = wait_for_end(command, forward)
    _clean_up(inside)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def wait_for_end(process: int, forward: Callable[[int], None]) -> int:
    """Return the status with which a child ends; forward signals meanwhile, but ignored ones.

    They stay blocked: a handler in Python waits for the end of a system call that begins right
    after its signal has come.
    """
    ignored = {one for one in FORWARDED if signal.getsignal(one) is signal.SIG_IGN}
    while True:
        number = signal.sigwait({*AWAITED} - ignored)
        if number != signal.SIGCHLD:
            forward(number)
            continue
        # One signal may stand for several children, adopted ones among them.
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == process:
                return ended[1]


def _clean_up(inside: Inside) -> None:
    """Do what the kernel does for namespaces: end all processes, and remove their files."""
    if inside.level == "namespaces" or not syscalls.IS_SUPPORTED:
        return
    kill_children()
    if inside.temporary:
        import shutil

        shutil.rmtree(inside.temporary, ignore_errors=True)


def _become_command(inside: Inside, private_home: str, parent: socket.socket) -> NoReturn:
    """Seal this process and become the command."""
    try:
        for number in (*FORWARDED, signal.SIGPIPE, signal.SIGXFSZ):
            # Python itself ignores the last two.
            if signal.getsignal(number) is not signal.SIG_IGN or number not in FORWARDED:
                signal.signal(number, signal.SIG_DFL)
        if inside.level != "none":
            seal = _seal(inside, private_home)
            _report(parent, **seal._asdict())
            if seal.leaks():
                os._exit(NOT_SET_UP)
            _leave_only_streams()
    except Exception as error:  # noqa: BLE001 - this process must end here, however it fails
        _report(parent, refused=f"it cannot be sealed ({error})")
        os._exit(NOT_SET_UP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
    try:
        os.execvpe(inside.command[0], inside.command, _environment(inside))
    except OSError as error:
        _report(parent, failed=f"cannot start {inside.command[0]!r}: {error.strerror}")
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE)


def _seal(inside: Inside, private_home: str) -> Seal:
    in_namespaces = inside.level == "namespaces"
    if in_namespaces:
        own = ["/dev", "/tmp", "/var/tmp", *([private_home] if private_home else [])]  # noqa: S108
        readable = ["/"]
    else:
        own = [inside.temporary, *(f"/dev/{name}" for name in _WRITABLE_DEVICES)]
        readable = [*inside.visible.readable, *(f"/{name}" for name in filesystem.SYSTEM)]
    version = landlock.limit_files([*inside.visible.writable, *own], readable)
    program = seccomp.assemble(in_namespaces=in_namespaces)
    seccomp.install(program)
    layers = ["seccomp", *(["landlock"] if version else [])]
    return Seal(
        layers=("namespaces", "read-only files", *layers) if in_namespaces else tuple(layers),
        landlock=version,
        filter_sha256=hashlib.sha256(program).hexdigest(),
        namespaces=namespaces.names(),
        status=_status(),
        tries=try_to_leave(),
        interfaces=tuple(name for _, name in socket.if_nameindex()) if in_namespaces else (),
    )


def _status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").partition(":\t")[::2] for line in file)
    return {name: lines[name] for name in _STATUS if name in lines}


def _leave_only_streams() -> None:
    """Close what was inherited; a standard stream that is a socket leads out, too."""
    syscalls.close_descriptors_on_exec()
    for descriptor in (0, 1, 2):
        try:
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:
            is_socket = True  # closed: the next file that is opened would be taken for it
        if is_socket:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)


def _environment(inside: Inside) -> dict[str, str]:
    environment = {**os.environ, LEVEL_VARIABLE: inside.level}
    environment.pop(_OF_A_PERSON, None)
    if inside.level == "namespaces":
        environment["HOME"] = inside.home
        environment[OUTSIDE_VARIABLE] = inside.outside
        named = [(str(one), join_address(one.ip, one.port)) for one in inside.allowed]
        allowed = dict.fromkeys(address.lower() for both in named for address in both)
        environment[_ALLOWED_VARIABLE] = " ".join(allowed)
    if inside.temporary:
        environment["TMPDIR"] = inside.temporary
    elif not os.path.isdir(environment.get("TMPDIR", "/")):
        del environment["TMPDIR"]
    return environment


def is_allowed(host: str, port: int | str) -> bool:
    """Whether the boundary around this process allows an address, by name or by IP address."""
    address = join_address(host, port).lower()
    return address in os.environ.get(_ALLOWED_VARIABLE, "").split()


def _report(parent: socket.socket, **fields: object) -> None:
    try:
        parent.send(json.dumps(fields).encode())
    except OSError:
        os._exit(NOT_SET_UP)  # the parent has gone, and nobody is left to start it for
