"""An outside of our own: a network whose every address answers, and processes that listen.

It is made in new namespaces, so no packet leaves: whatever address is sent to is this machine's
`lo`. What is received is written to one file, where the tokens of attempts are looked for.
"""

import ctypes
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import NamedTuple

from factory_resources.boundary import namespaces
from factory_resources.boundary.escapes.network import VISITED_PORT
from factory_resources.boundary.escapes.registry import World
from factory_resources.boundary.syscalls import call, die_with_parent, mount, set_dumpable

PORTS = (80, 443, 3128, 5432, 8080)
_ADDRESS, _ADDRESS_6 = "203.0.113.7", "2001:db8::7"
"""For documentation: nobody has them."""
_LIE = socket.inet_aton("203.0.113.53")
_BODY_SECONDS = 1.0

_ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"

_NEW_ROUTE, _REQUEST_CREATE_ACK = 24, 0x1 | 0x400 | 0x4
_TABLE_LOCAL, _BY_KERNEL, _ON_HOST, _LOCAL, _OUT_INTERFACE = 255, 2, 254, 2, 4
_ALLOW_PTRACE = 0x59616D61
_CREATE, _OWNER_ONLY = 0o1000, 0o600
_HIGH = 600
_PRIVATE, _RECURSIVE = 0x40000, 0x4000


class Outside(NamedTuple):
    """The outside of one trial."""

    world: World
    received: Path
    """Everything that was received."""

    def has_seen(self, token: str) -> bool:
        """Return whether a token has come out: received, or in a file that is read later."""
        folder = Path(self.world.folder)
        files = [self.received, Path(self.world.shared), *folder.rglob("*")]
        sought = token.encode()
        return any(sought in _content(path) for path in files)


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return os.readlink(path).encode()
    return path.read_bytes() if path.is_file() else b""


def enter_network() -> None:
    """Give this process, which has no other thread, a network whose every address is its own.

    Raises:
        OSError: the kernel does not let this user make namespaces.
    """
    user, group = os.getuid(), os.getgid()
    kinds = ("net", "mnt", "ipc", *(("user",) if user else ()))
    call("unshare", sum(namespaces.FLAGS[kind] for kind in kinds))
    if user:
        namespaces.keep_user(user, group)
    mount(None, "/", None, _PRIVATE | _RECURSIVE)
    namespaces.listen(())
    for family in _families():
        _route_everything_to_lo(family)
    _allow_pings(group)


def _families() -> list[int]:
    has_6 = os.path.exists("/proc/net/if_inet6")
    return [socket.AF_INET, *([socket.AF_INET6] if has_6 else [])]


def _route_everything_to_lo(family: int) -> None:
    lo = socket.if_nametoindex("lo")
    route = struct.pack(
        "=BBBBBBBBI", family, 0, 0, 0, _TABLE_LOCAL, _BY_KERNEL, _ON_HOST, _LOCAL, 0
    )
    attribute = struct.pack("=HHi", 8, _OUT_INTERFACE, lo)
    size = 16 + len(route) + len(attribute)
    header = struct.pack("=IHHII", size, _NEW_ROUTE, _REQUEST_CREATE_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.send(header + route + attribute)
        code = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code), "route")


def _allow_pings(group: int) -> None:
    try:
        Path("/proc/sys/net/ipv4/ping_group_range").write_text(f"{group} {group}")
    except OSError:
        return


def start(folder: Path, owner: tuple[int, int]) -> Outside:
    """Start the process that listens, as a user; it ends with this one.

    Args:
        folder: an empty folder of the user's.
        owner: the user and group that it runs as, which are those inside.
    """
    for name in ("home", "empty", "venv", "repository"):
        _own(folder / name, owner, Path.mkdir)
    secret = secrets.token_hex(16)
    _own(folder / "secret", owner, lambda path: path.write_text(secret))
    _own(folder / "fifo", owner, os.mkfifo)
    shared = Path(f"/dev/shm/factory-escape-{secrets.token_hex(4)}")  # noqa: S108
    _own(shared, owner, lambda path: path.write_bytes(bytes(256)))
    received = folder.with_name(f"{folder.name}.received")
    _own(received, owner, Path.touch)

    memory = ctypes.create_string_buffer(secret.encode())
    world = World(
        token="",
        address=_ADDRESS,
        address_6=_ADDRESS_6,
        folder=str(folder),
        abstract=f"factory-escape-{secrets.token_hex(4)}",
        memory_key=secrets.randbits(30) + 1,
        shared=str(shared),
        pid=0,
        secret=secret,
        secret_at=ctypes.addressof(memory),
        descriptors={},
    )
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        try:
            _listen(world, received, owner, ready=write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    if os.read(read_end, 1) != b"+":
        raise OSError("the outside could not be made")
    os.close(read_end)
    return Outside(world._replace(pid=pid), received)


def inherit(world: World) -> World:
    """Open what attempts inherit: connections to the outside, and its network."""
    tcp = socket.create_connection((_ADDRESS, 443))
    unix = socket.socket(socket.AF_UNIX)
    unix.connect(f"{world.folder}/daemon.sock")
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    opened = {"tcp": tcp.detach(), "unix": unix.detach(), "network": network}
    # A number that is free inside would be taken by the next file there.
    return world._replace(
        descriptors={name: fcntl(one, F_DUPFD, _HIGH) for name, one in opened.items()}
    )


def _own(path: Path, owner: tuple[int, int], make: Callable[[Path], object]) -> None:
    make(path)
    os.chown(path, *owner)


def _listen(world: World, received: Path, owner: tuple[int, int], ready: int) -> None:
    """Open every door, become the user, and write down what comes."""
    ends = [(family, port) for family in _families() for port in PORTS]
    doors = [socket.create_server(("", port), family=family) for family, port in ends]
    datagrams = [_datagrams(family, port) for family, port in (*ends, (socket.AF_INET, 53))]
    if os.getuid() != owner[0]:
        os.setgroups([])
        os.setresgid(*[owner[1]] * 3)
        os.setresuid(*[owner[0]] * 3)
    set_dumpable(True)
    die_with_parent()
    _let_anybody_look()
    doors += [_unix(f"{world.folder}/daemon.sock"), _unix(f"\0{world.abstract}")]
    ctypes.CDLL(None).shmget(world.memory_key, 4096, _CREATE | _OWNER_ONLY)
    log = os.open(received, os.O_WRONLY | os.O_APPEND)
    tasks: list[Callable[[], None]] = [lambda one=one: _accept(one, log) for one in doors]  # type: ignore[misc]
    tasks += [lambda one=one: _answer(one, log) for one in datagrams]  # type: ignore[misc]
    tasks += [
        lambda: _read(f"{world.folder}/fifo", log),
        lambda: _visit(log),
        lambda: _give_descriptors(_unix(f"{world.folder}/descriptors.sock")),
    ]
    for task in tasks:
        threading.Thread(target=task, daemon=True).start()
    os.write(ready, b"+")
    os.close(ready)
    threading.Event().wait()


def _let_anybody_look() -> None:
    """Where a security module limits ptrace to children, allow it: the control needs it."""
    ctypes.CDLL(None).prctl(_ALLOW_PTRACE, ctypes.c_ulong(2**64 - 1), 0, 0, 0)


def _datagrams(family: int, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(("", port))
    return one


def _unix(name: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.bind(name)
    one.listen()
    return one


def _accept(door: socket.socket, log: int) -> None:
    while True:
        one, _ = door.accept()
        threading.Thread(target=_converse, args=(one, log), daemon=True).start()


def _converse(one: socket.socket, log: int) -> None:
    """Write down all that comes; answer as a web server would."""
    with one, suppress(OSError):
        while content := one.recv(65_536):
            os.write(log, content + b"\n")
            one.sendall(_ANSWER)
            if b" HTTP/1" in content:
                # The answer ends here; the body of the request may still be on its way.
                one.shutdown(socket.SHUT_WR)
                one.settimeout(_BODY_SECONDS)
                while content := one.recv(65_536):
                    os.write(log, content + b"\n")
                return


def _answer(door: socket.socket, log: int) -> None:
    """Answer every datagram; a question for a name, with an address that is a lie."""
    while True:
        content, sender = door.recvfrom(65_536)
        os.write(log, content + b"\n")
        if door.getsockname()[1] != 53:
            door.sendto(b"ok", sender)
            continue
        header = content[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"
        end = content.index(b"\0", 12) + 5
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + _LIE
        if content[end - 4 : end - 2] != b"\0\1":
            header, record = content[:2] + b"\x81\x80\0\1\0\0\0\0\0\0", b""
        door.sendto(header + content[12:end] + record, sender)


def _read(fifo: str, log: int) -> None:
    # Opened for both, it is never at its end.
    pipe = os.open(fifo, os.O_RDWR)
    while True:
        os.write(log, os.read(pipe, 65_536))


def _visit(log: int) -> None:
    """Call a port, again and again, and write down what it says."""
    while True:
        time.sleep(0.1)
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", VISITED_PORT)) == 0:
                os.write(log, one.recv(65_536) + b"\n")


def _give_descriptors(door: socket.socket) -> None:
    """Give whoever asks a connection to the outside."""
    while True:
        one, _ = door.accept()
        with one, socket.socket() as given:
            given.connect((_ADDRESS, 443))
            socket.send_fds(one, [b"x"], [given.fileno()])
