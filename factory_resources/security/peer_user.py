"""Which user of this machine is at the other end of a TCP connection, as the kernel knows it.

What that user may do is decided where the connection is served.

Sources: sock_diag(7), linux/inet_diag.h (one socket is looked up by its two ends), netlink(7),
proc(5) (`/proc/net/tcp`, where the kernel answers no such look-up).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from functools import cached_property
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple, Protocol

_SOCK_DIAG = 4
"""NETLINK_SOCK_DIAG, which the module `socket` does not name."""

_BY_FAMILY, _REQUEST = 20, 1
"""SOCK_DIAG_BY_FAMILY and NLM_F_REQUEST."""

_ESTABLISHED = 1
"""TCP_ESTABLISHED of linux/tcp_states.h."""

_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""

_ENDS = struct.Struct("!HH16s16s")
"""The beginning of inet_diag_sockid: both ports and addresses, in network order."""

_REQUEST_BODY = struct.Struct(f"=BBBBI{_ENDS.size}sI8s")
"""inet_diag_req_v2: family, protocol, extensions, padding, states, ends, interface, cookie."""

_REPLY_BODY = struct.Struct(f"=BB2x{_ENDS.size}s24xII")
"""inet_diag_msg: family, state, ends, the rest of its id and three counters, user, inode."""

_NO_COOKIE = b"\xff" * 8

_OVERFLOW = 65534
"""The kernel's default for `overflowuid`: any user whom a user namespace does not know."""

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


class ConnectedSocket(Protocol):
    """What is needed of a connected socket; the sockets of an event loop have it, too."""

    def getsockname(self) -> tuple[str | int, ...]: ...
    def getpeername(self) -> tuple[str | int, ...]: ...
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


class End(NamedTuple):
    """One end of a connection."""

    address: bytes
    """4 or 16 bytes; an IPv4 address in an IPv6 socket has 4."""
    port: int


class Peer:
    """Whoever is at the other end of a connection.

    The kernel is asked once, and only if somebody wants to know: most connections have a token.
    """

    def __init__(self, connection: ConnectedSocket) -> None:
        self._connection = connection

    @cached_property
    def user(self) -> int | None:
        """The id of the user; None if it is unknown."""
        return peer_user(self._connection)

    @property
    def is_own(self) -> bool:
        """Whether it is surely the user of this process, or root."""
        user = self.user
        return user in (0, os.geteuid()) and user != _OVERFLOW


def peer_user(connection: ConnectedSocket) -> int | None:
    """Return the id of the user who opened the other end.

    None if that is unknown: the other end is on another machine, in another network namespace, or
    no longer open, or the system is not Linux. An end that is being closed belongs to nobody, and
    the kernel gives its user as 0: it is not taken for root.
    """
    if sys.platform != "linux":
        return None
    try:
        own, peer = _end(connection.getsockname()), _end(connection.getpeername())
        user = find_user(peer, own)
        # While this end is open, no other connection can have its addresses and ports.
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except (OSError, ValueError):
        return None
    return user if state == _ESTABLISHED else None


def find_user(local: End, remote: End) -> int | None:
    """Return the user of the open socket of this machine that has these ends, or None."""
    try:
        return look_up_user(local, remote)
    except OSError:
        # Also if the kernel has no module for it: it then says the same as for no such socket.
        return read_user(local, remote)


def look_up_user(local: End, remote: End) -> int | None:
    """Ask the kernel for one socket, which takes it as long with many connections as with one.

    Raises:
        OSError: there is no such socket, or the kernel answers no such questions.
    """
    family = socket.AF_INET if len(local.address) == 4 else socket.AF_INET6
    ends = _ENDS.pack(local.port, remote.port, local.address, remote.address)
    body = _REQUEST_BODY.pack(
        family, socket.IPPROTO_TCP, 0, 0, ~0 & 0xFFFFFFFF, ends, 0, _NO_COOKIE
    )
    header = _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 1, 0)
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _SOCK_DIAG) as kernel:
        # Connected to port 0: it hears the kernel and nobody else.
        kernel.connect((0, 0))
        kernel.send(header + body)
        reply = kernel.recv(1 << 12)
    if len(reply) < _HEADER.size + _REPLY_BODY.size or _HEADER.unpack_from(reply)[1] != _BY_FAMILY:
        raise OSError("the kernel found no such socket")
    _, state, found, user, inode = _REPLY_BODY.unpack_from(reply, _HEADER.size)
    # Without a connection the kernel returns a socket that listens on that port.
    is_open = (
        state == _ESTABLISHED and inode and _ENDS.unpack(found)[:2] == (local.port, remote.port)
    )
    return int(user) if is_open else None


def read_user(local: End, remote: End, tables: tuple[Path, ...] = _TABLES) -> int | None:
    """Return what `look_up_user` returns, from the list of all connections.

    Raises:
        OSError: the list cannot be read.
    """
    wanted = {(_in_table(local, size), _in_table(remote, size)) for size in (4, 16)}
    for table in tables:
        if not table.exists():
            continue
        with table.open(encoding="ascii") as lines:
            next(lines, "")
            for line in lines:
                _, own, other, state, _, _, _, user, _, inode, *_ = line.split()
                if (own, other) in wanted and int(state, 16) == _ESTABLISHED and inode != "0":
                    return int(user)
    return None


def _end(name: tuple[str | int, ...]) -> End:
    address = ip_address(name[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return End(address.packed, int(name[1]))


def _in_table(end: End, size: int) -> str:
    """Return an end as the tables have it: words of 32 bits as this processor reads them."""
    address = end.address
    if len(address) < size:
        address = b"\0" * 10 + b"\xff" * 2 + address
    words = struct.unpack(f"={len(address) // 4}I", address)
    return f"{''.join(f'{word:08X}' for word in words)}:{end.port:04X}"
