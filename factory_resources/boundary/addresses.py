"""Allowed addresses: `HOST:PORT`, resolved once, outside."""

import socket
from collections.abc import Iterable
from typing import NamedTuple


class AllowedAddress(NamedTuple):
    """An address that a command may reach."""

    host: str
    """As it was declared: a name or an IP address."""
    port: int
    ip: str
    """What the name resolved to."""

    def __str__(self) -> str:
        return join_address(self.host, self.port)


def join_address(host: str, port: int | str) -> str:
    """Return `HOST:PORT`, or `[IPV6]:PORT`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        ValueError: it is not an address; the message says what is expected.
    """
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host) or not port.isascii() or not port.isdigit():
        raise ValueError(f"{text!r} is not HOST:PORT or [IPV6]:PORT")
    if not 0 < int(port) < 65536:
        raise ValueError(f"{text!r}: the port is not in 1-65535")
    return bare, int(port)


def resolve(text: str) -> AllowedAddress:
    """Return an allowed address with the IP address that it has now.

    Raises:
        ValueError: it is not an address, its name does not resolve, or not to that of a machine.
    """
    host, port = split_address(text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"{text!r}: the name cannot be looked up ({reason}); correct it where it is allowed, "
            "or see that the name server answers"
        ) from None
    # A server on this machine may listen on 127.0.0.1 alone, while ::1 comes first.
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    ip = str(found[0][4][0])
    if _is_no_machine(ip):
        # Some name servers answer so for what they block.
        raise ValueError(f"{text!r}: {ip} is the address of no machine; this one is 127.0.0.1")
    return AllowedAddress(host, port, ip)


def _is_no_machine(ip: str) -> bool:
    """Whether it is an address of all machines, of several, or of none."""
    if ":" in ip:
        return ip == "::" or ip.lower().startswith("ff")
    return not 0 < int(ip.partition(".")[0]) < 224


def distinct(allowed: Iterable[AllowedAddress]) -> tuple[AllowedAddress, ...]:
    """Return each address once, by the first of the names that resolve to it."""
    firsts: dict[tuple[str, int], AllowedAddress] = {}
    for one in allowed:
        firsts.setdefault((one.ip, one.port), one)
    return tuple(firsts.values())
