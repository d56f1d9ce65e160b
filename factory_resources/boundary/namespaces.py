"""Namespaces: a network with nothing but `lo`, and processes, mounts and IPC of one's own.

On `lo`, each allowed address gets a listener. Who accepts there is in `forwarder`.
"""

import os
import socket
import struct
from collections.abc import Sequence
from fcntl import ioctl

from factory_resources.boundary.addresses import AllowedAddress, distinct
from factory_resources.boundary.syscalls import fork_into

FLAGS = {
    "mnt": 0x00020000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_SET_FLAGS, _SET_ADDRESS, _SET_MASK = 0x8914, 0x8916, 0x891C
_UP_AND_RUNNING = 0x1 | 0x40
_BACKLOG = 128

_CHANGE_LINK, _REQUEST, _ANSWERED = 16, 0x1, 0x4
_LARGEST_SEGMENTS = (63, 41)
"""The attributes of a link in netlink that limit what TCP passes on at once: by IPv4, by IPv6."""
_SEGMENT = 524_280
"""Bytes: what `lo` can carry at most."""


def fork() -> int:
    """Fork into new namespaces of every kind that is needed; return 0 in the child.

    Root needs no user namespace, and gets none: whoever it becomes has no rights over these. Any
    other user must `keep_user` in the child.

    Raises:
        OSError: the kernel does not let this user make them.
    """
    kinds = [kind for kind in FLAGS if os.getuid() or kind != "user"]
    return fork_into(sum(FLAGS[kind] for kind in kinds))


def keep_user(user: int, group: int) -> None:
    """Be the same user in a new user namespace; nobody else exists there.

    Raises:
        OSError: the kernel does not let this user have rights there.
    """
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def names() -> dict[str, str]:
    """Return the kernel's names of this process's namespaces."""
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in FLAGS}


def listen(allowed: Sequence[AllowedAddress]) -> list[socket.socket]:
    """Bring up `lo` with the allowed addresses, and return a listener for each distinct one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ioctl(control, _SET_FLAGS, struct.pack("16sh", b"lo", _UP_AND_RUNNING))
    for attribute in _LARGEST_SEGMENTS:
        _widen_lo(attribute)
    for alias, ip in enumerate(sorted({address.ip for address in allowed}), 1):
        _give_lo(ip, b"lo:%d" % alias)
    return [
        socket.create_server(
            (address.ip, address.port),
            family=socket.AF_INET6 if ":" in address.ip else socket.AF_INET,
            backlog=_BACKLOG,
        )
        for address in distinct(allowed)
    ]


def _give_lo(ip: str, alias: bytes) -> None:
    if ip.startswith("127.") or ip == "::1":
        return
    if ":" in ip:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            one_address = struct.pack("Ii", 128, socket.if_nametoindex("lo"))
            ioctl(control, _SET_ADDRESS, socket.inet_pton(socket.AF_INET6, ip) + one_address)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # The kernel would take the network of the address's class, such as 10.0.0.0/8.
        for request, word in ((_SET_ADDRESS, socket.inet_aton(ip)), (_SET_MASK, b"\xff" * 4)):
            address = struct.pack("HH4s8x", socket.AF_INET, 0, word)
            ioctl(control, request, struct.pack("16s", alias) + address)


def _widen_lo(attribute: int) -> None:
    """Let TCP on `lo` pass on eight times as much at once, which halves what receiving costs.

    A kernel before 6.3 does not know the one for IPv4, one before 5.19 refuses the one for IPv6;
    everything works without.
    """
    link = struct.pack("BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex("lo"), 0, 0)
    body = link + struct.pack("HHI", 8, attribute, _SEGMENT)
    header = struct.pack("IHHII", 16 + len(body), _CHANGE_LINK, _REQUEST | _ANSWERED, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        kernel.send(header + body)
        kernel.recv(1 << 12)
