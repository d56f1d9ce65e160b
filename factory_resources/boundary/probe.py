"""Try to leave, from inside, before the command starts.

These tries need no partner outside and send nothing. `escapes` has more, each with a control that
shows that it would work without the boundary.
"""

import errno
import os
import socket
from collections.abc import Callable, Mapping

from factory_resources.boundary.syscalls import call

_SOMEWHERE = ("192.0.2.1", 443)
_SOMEWHERE_6 = ("2001:db8::1", 443)
"""Addresses for documentation, which nobody has."""
_AF_PACKET, _AF_VSOCK, _NETLINK_AUDIT = 17, 40, 9
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_ATTACH, _MAP_CREATE, _READ_KEYRING = 16, 0, 0


def _route(family: int, address: tuple[str, int]) -> None:
    """Ask for a route: connecting a datagram socket sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.connect(address)


def _open_socket(family: int, kind: int, protocol: int = 0) -> None:
    socket.socket(family, kind, protocol).close()


def _enter_network() -> None:
    descriptor = os.open("/proc/1/ns/net", os.O_RDONLY)
    try:
        call("setns", descriptor, _NEW_NETWORK)
    finally:
        os.close(descriptor)


def _write_to_system() -> None:
    os.close(os.open("/etc/.boundary", os.O_CREAT | os.O_WRONLY))
    os.unlink("/etc/.boundary")


TRIES: Mapping[str, Callable[[], object]] = {
    "route IPv4": lambda: _route(socket.AF_INET, _SOMEWHERE),
    "route IPv6": lambda: _route(socket.AF_INET6, _SOMEWHERE_6),
    "raw socket": lambda: _open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "packet socket": lambda: _open_socket(_AF_PACKET, socket.SOCK_RAW),
    "vsock": lambda: _open_socket(_AF_VSOCK, socket.SOCK_STREAM),
    "netlink audit": lambda: _open_socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_AUDIT),
    "io_uring": lambda: call("io_uring_setup", 1, bytes(120)),
    "setns": _enter_network,
    "unshare": lambda: call("unshare", _NEW_USER),
    "ptrace": lambda: call("ptrace", _ATTACH, os.getppid() or 1, 0, 0),
    "bpf": lambda: call("bpf", _MAP_CREATE, bytes(128), 128),
    "keyctl": lambda: call("keyctl", _READ_KEYRING, -3, 0),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "write to the system": _write_to_system,
}


def try_to_leave() -> dict[str, str]:
    """Return how the kernel refused each way, such as "ENETUNREACH", or "open" if it did not."""
    return {way: _outcome(attempt) for way, attempt in TRIES.items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "open"
