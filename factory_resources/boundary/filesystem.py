"""What a command sees of the file system: the system, and the paths that it was given.

Of the top folders only those of the system stay; all others are empty, and so are sockets of
daemons, keys and other people's data in them. Everything is read-only but the declared paths, and
private folders that vanish with the command: /tmp, /var/tmp, /dev/shm and the user's home.
"""

import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from factory_resources.boundary.addresses import AllowedAddress
from factory_resources.boundary.syscalls import mount, mount_attributes

SYSTEM = frozenset(
    {"bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr"}
    | {"dev", "proc", "sys"}
)
"""Top folders that every command sees."""

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_ACCELERATORS = ("nvidia", "dri", "kfd", "accel")
"""How the names of their devices begin."""
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108

_NO_SUID, _NO_DEVICES, _NO_PROGRAMS = 0x2, 0x4, 0x8
_READABLE_BY_ALL = 0o022
_BIND, _RECURSIVE, _PRIVATE = 0x1000, 0x4000, 0x40000
_READ_ONLY = 1


class Visible(NamedTuple):
    """The paths that a command was given, absolute and without symbolic links."""

    writable: tuple[str, ...]
    readable: tuple[str, ...]
    shared_memory: int
    """Bytes of /dev/shm."""
    kept: tuple[str, ...] = ()
    """Those of the readable ones in writable folders that may be writable without namespaces."""
    links: tuple[tuple[str, str], ...] = ()
    """Symbolic links by which these paths are known, and where they lead."""

    def needs_mount(self, path: str) -> bool:
        """Return whether a readable path must be mounted to be seen, or to be read-only."""
        return is_emptied(path) or any(is_in(path, folder) for folder in self.writable)


def arrange(
    visible: Visible,
    allowed: Sequence[AllowedAddress],
    home: str,
    owner: tuple[int, int],
    account: str,
) -> str:
    """Mount what a command sees, in a mount namespace of one's own.

    Args:
        home: the user's home; it is empty and private unless it is declared.
        owner: the user and group of that.
        account: the line of the user for /etc/passwd; empty if it is there.

    Returns:
        The private home, or "" if the declared paths have it.

    Raises:
        OSError: the kernel refused a mount.
    """
    mount(None, "/", None, _PRIVATE | _RECURSIVE)
    mask = os.umask(_READABLE_BY_ALL)
    declared = {*visible.writable, *filter(visible.needs_mount, visible.readable)}
    shown = [_Shown(path) for path in sorted(declared, key=len)]
    devices = [_Shown(path) for path in _device_paths()]
    for name in _emptied():
        size = "mode=1777" if name == "tmp" else "mode=0755,size=4m"
        _mount_memory(f"/{name}", size)
    _make_devices(devices, visible.shared_memory)
    temporary = [path for path in _TEMPORARY if _make_temporary(path)]
    private = _make_home(home, declared, owner)
    for one in shown:
        one.mount_in_place()
    for name, target in visible.links:
        if is_emptied(name) and not os.path.lexists(name):
            os.makedirs(os.path.dirname(name), exist_ok=True)
            os.symlink(target, name)
    _write_hosts(allowed)
    _write_account(account)
    mount_attributes("/", _READ_ONLY, 0, recursive=True)
    for path in (*visible.writable, *temporary, "/dev/shm", *filter(None, [private])):  # noqa: S108
        mount_attributes(path, 0, _READ_ONLY)
    os.umask(mask)
    return private


def mount_processes() -> None:
    """Show only the processes of the new namespace; to be called by its first one."""
    mount("proc", "/proc", "proc", _NO_SUID | _NO_DEVICES | _NO_PROGRAMS)


def is_emptied(path: str) -> bool:
    """Return whether a path is in a folder that is empty unless it is declared."""
    return path.split("/")[1] in ("dev", *_emptied())


def _emptied() -> list[str]:
    """Return the top folders that are not the system's; a link to one of its folders stays."""
    return sorted(
        entry.name
        for entry in os.scandir("/")
        if entry.name not in SYSTEM and entry.is_dir(follow_symlinks=False)
    )


class _Shown:
    """A path that is opened before folders above it are emptied, and mounted there afterwards."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)

    def mount_in_place(self) -> None:
        is_folder = stat.S_ISDIR(os.fstat(self._descriptor).st_mode)
        _make_place(self.path, is_folder)
        mount(f"/proc/self/fd/{self._descriptor}", self.path, None, _BIND | _RECURSIVE)
        os.close(self._descriptor)


def _make_place(path: str, is_folder: bool) -> None:
    if os.path.lexists(path):
        return
    os.makedirs(path if is_folder else os.path.dirname(path), exist_ok=True)
    if not is_folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def _mount_memory(path: str, options: str) -> None:
    mount("tmpfs", path, "tmpfs", _NO_SUID | _NO_DEVICES, options)


def _make_temporary(path: str) -> bool:
    if os.path.ismount(path) or not os.path.isdir(os.path.dirname(path)):
        return path == "/tmp"  # noqa: S108
    os.makedirs(path, exist_ok=True)
    _mount_memory(path, "mode=1777")
    return True


def _make_home(home: str, declared: Iterable[str], owner: tuple[int, int]) -> str:
    """Mount an empty home, so that programs find a place for their caches."""
    if not is_emptied(home) or any(is_in(home, path) for path in declared):
        return ""
    os.makedirs(home, exist_ok=True)
    if home in _TEMPORARY:
        return ""
    _mount_memory(home, "mode=0700,uid={},gid={}".format(*owner))
    return home


def is_in(path: str, folder: str) -> bool:
    """Return whether an absolute path is a folder, or is below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _device_paths() -> list[str]:
    names = [*_DEVICES, *(n for n in os.listdir("/dev") if n.startswith(_ACCELERATORS))]
    return [path for name in names if os.path.exists(path := f"/dev/{name}")]


def _make_devices(devices: Iterable[_Shown], shared_memory: int) -> None:
    """Replace /dev by one with harmless devices, accelerators and terminals of its own."""
    mount("tmpfs", "/dev", "tmpfs", _NO_SUID, "mode=0755,size=1m")
    for one in devices:
        one.mount_in_place()
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"/dev/{name}")
    os.mkdir("/dev/pts")
    mount("devpts", "/dev/pts", "devpts", _NO_SUID | _NO_PROGRAMS, "newinstance,ptmxmode=0666")
    os.symlink("pts/ptmx", "/dev/ptmx")
    os.mkdir("/dev/shm")  # noqa: S108
    _mount_memory("/dev/shm", f"mode=1777,size={shared_memory}")  # noqa: S108


def _write_hosts(allowed: Sequence[AllowedAddress]) -> None:
    """Write the names of allowed addresses and of this machine: nothing inside resolves names."""
    if not os.path.exists("/etc/hosts"):
        return
    lines = [f"{one.ip} {one.host}" for one in allowed if one.host not in (one.ip, "localhost")]
    # The processes of a distributed training find each other by the machine's name.
    lines += ["127.0.0.1 localhost", "::1 localhost", f"127.0.0.1 {os.uname().nodename}"]
    with open("/dev/.hosts", "w") as file:
        file.write("\n".join(lines) + "\n")
    mount("/dev/.hosts", "/etc/hosts", None, _BIND)


def account_line(user: int) -> str:
    """Return the line of a user for /etc/passwd; empty if it is there, or nobody knows the user.

    Whoever is known to a directory service alone, as by LDAP, would have no name inside.
    """
    try:
        found = pwd.getpwuid(user)
        with open("/etc/passwd", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split(":") for line in file]
    except (KeyError, OSError):
        return ""
    if next((one[0] for one in lines if one[2:3] == [str(user)]), None) == found.pw_name:
        return ""
    places = f"{found.pw_dir}:{found.pw_shell}"
    return f"{found.pw_name}:x:{found.pw_uid}:{found.pw_gid}::{places}\n"


def _write_account(line: str) -> None:
    if not line:
        return
    # The first line of a user counts.
    with open("/etc/passwd", "rb") as file:
        content = os.fsencode(line) + file.read()
    with open("/dev/.passwd", "wb") as file:
        file.write(content)
    mount("/dev/.passwd", "/etc/passwd", None, _BIND)
