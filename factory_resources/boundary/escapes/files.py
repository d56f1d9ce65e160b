"""Attempts by files: code planted for somebody outside, doors in folders, and secrets."""

import os
import socket
from pathlib import Path

from factory_resources.boundary.escapes.network import send
from factory_resources.boundary.escapes.registry import World, attempt, require


def _plant(world: World, name: str) -> None:
    path = Path(world.folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"\n# {world.token}\n")


@attempt("code planted in the user's shell")
def plant_shell(world: World) -> None:
    _plant(world, "home/.bashrc")


@attempt("code planted in Python's packages")
def plant_package(world: World) -> None:
    _plant(world, "venv/lib/site-packages/planted.pth")


@attempt("a service planted for the user's next login")
def plant_service(world: World) -> None:
    _plant(world, "home/.config/systemd/user/planted.service")


@attempt("a hook planted in a repository")
def plant_hook(world: World) -> None:
    _plant(world, "repository/.git/hooks/pre-commit")


@attempt("a planted link to a file that is read")
def plant_link(world: World) -> None:
    os.symlink(world.token, Path(world.folder, "home", "link"))
    _plant(world, "home/.profile")


@attempt("the unix socket of a daemon")
def daemon(world: World) -> None:
    send(socket.AF_UNIX, f"{world.folder}/daemon.sock", world.token.encode())


@attempt("the unix socket of a daemon, from the working folder")
def daemon_nearby(world: World) -> None:
    send(socket.AF_UNIX, "daemon.sock", world.token.encode())


@attempt("an abstract unix socket")
def daemon_abstract(world: World) -> None:
    send(socket.AF_UNIX, f"\0{world.abstract}", world.token.encode())


@attempt("a named pipe that is read outside")
def fifo(world: World) -> None:
    descriptor = os.open(f"{world.folder}/fifo", os.O_WRONLY | os.O_NONBLOCK)
    os.write(descriptor, world.token.encode() + b"\n")


@attempt("a file of shared memory")
def shared_memory(world: World) -> None:
    with open(world.shared, "a") as file:
        file.write(world.token)


@attempt("a secret of the user", proof="returned")
def read_secret(world: World) -> None:
    require(Path(world.folder, "secret").read_text() == world.secret, "another secret")


@attempt("a secret, through the root of another process", proof="returned")
def read_by_root(world: World) -> None:
    for pid in (1, os.getppid(), world.pid):
        try:
            found = Path(f"/proc/{pid}/root{world.folder}/secret").read_text()
        except OSError:
            continue
        if found == world.secret:
            return
    raise PermissionError("no process has such a root")
