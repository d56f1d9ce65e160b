"""Commands of an ordinary user, also where the tests run as root."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from factory_resources.boundary.syscalls import call, mount
from factory_resources.home.home import PROJECT

USER = (65534, 65534) if os.geteuid() == 0 else (os.getuid(), os.getgid())
"""User and group; root's commands become those of nobody."""

_CALL = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from tests.ordinary_user import {0}; {0}(sys.argv[1:])"
)
_NEW_MOUNTS, _BIND, _RECURSIVE, _PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


def by_ordinary_user(command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command as `USER`."""
    if os.geteuid():
        return [*command]
    return [sys.executable, "-c", _CALL.format("become"), str(PROJECT), *command]


def by_root_for(user: str) -> Callable[[Sequence[str]], list[str]]:
    """Return what changes a command line to that of root, with the option `--user`."""

    def changed(command: Sequence[str]) -> list[str]:
        shown = [sys.executable, "-c", _CALL.format("show"), str(PROJECT)]
        return [*shown, *command, "--user", user]

    return changed


def become(command: Sequence[str]) -> None:
    """Become `USER` and then the command; called by root in a process of its own."""
    _show_project()
    os.setgroups([])
    os.setgid(USER[1])
    os.setuid(USER[0])
    os.environ["HOME"] = "/tmp"
    os.execvp(command[0], [*command])


def show(command: Sequence[str]) -> None:
    """Become the command, whose process can become an ordinary user; called as `become`."""
    _show_project()
    os.execvp(command[0], [*command])


def _show_project() -> None:
    """Show others Python and the project, which may be in a folder that only root may enter."""
    mask = os.umask(0o022)
    call("unshare", _NEW_MOUNTS)
    mount(None, "/", None, _PRIVATE | _RECURSIVE)
    needed = {Path(one).resolve() for one in (sys.prefix, sys.base_prefix, PROJECT)}
    for closed in {gate for path in needed if (gate := _closed_gate(path))}:
        shown = [(path, os.open(path, os.O_PATH)) for path in needed if closed in path.parents]
        mount("tmpfs", str(closed), "tmpfs", 0, "mode=0755")
        for path, descriptor in shown:
            path.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{descriptor}", str(path), None, _BIND | _RECURSIVE)
    os.umask(mask)


def _closed_gate(path: Path) -> Path | None:
    """Return the topmost folder above a path that others may not enter."""
    closed = [folder for folder in path.parents if not folder.stat().st_mode & 0o001]
    return min(closed, key=lambda folder: len(folder.parts), default=None)
