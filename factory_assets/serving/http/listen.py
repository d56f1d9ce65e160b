"""Where a server listens, and the socket there.

Whether it may listen there is decided by each server.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from factory_assets.serving.http.limits import Limits
from factory_resources.errors import FactoryError, SettingError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Listen:
    """Where the server listens, and how callers reach it."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    """Whether a proxy on this machine or network terminates TLS."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse an empty host, which would mean all addresses of the machine.

        Raises:
            SettingError: it is empty.
        """
        if not self.host.strip():
            raise SettingError(
                "the address is empty",
                where="--host",
                remedy="write one of this machine, such as 127.0.0.1; 0.0.0.0 means all",
            )

    @property
    def is_local(self) -> bool:
        return self.host in LOOPBACK

    @property
    def is_private(self) -> bool:
        """Whether whoever connects is on this machine: a proxy stands for all its callers."""
        return self.is_local and not self.behind_proxy


def require_certificate(certificate: Path | None, key: Path | None) -> None:
    """Require that the certificate and its key, if they are named, can be used.

    Raises:
        SettingError: they cannot be read, are not PEM, do not belong together, or the key has a
            passphrase.
    """
    if certificate is None or key is None:
        return
    files = {"--tls-cert": certificate, "--tls-key": key}
    kinds = {"--tls-cert": "a certificate in PEM", "--tls-key": "the certificate's key in PEM"}
    for option, file in files.items():
        try:
            file.read_bytes()
        except OSError as error:
            raise SettingError(
                f"cannot be read ({error.strerror})",
                where=f"{option} {file}",
                remedy=f"name a file with {kinds[option]} that the user of the factory may read",
            ) from error
    locked = False

    def no_password() -> str:
        nonlocal locked
        locked = True
        return ""

    try:
        # Without a password OpenSSL would ask for it at the terminal, and wait.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=no_password)
    except (ssl.SSLError, ValueError) as error:
        # OpenSSL's own word, which it does not have for all.
        reason = (getattr(error, "reason", None) or "").lower().replace("_", " ")
        if locked:
            reason = "the key has a passphrase"
        elif not reason:
            reason = "the first is no certificate in PEM, or the second no key"
        raise SettingError(
            f"certificate and key cannot be used ({reason})",
            where=" ".join(map(str, files.values())),
            remedy="give the certificate in PEM, and its own key without a passphrase",
        ) from error


def bound_socket(listen: Listen) -> socket.socket:
    """Return a socket at the address, which does not accept connections yet.

    Raises:
        FactoryError: the address cannot be bound.
    """
    try:
        family, *_ = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host, listen.port))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FactoryError(
            f"cannot listen on {listen.host}, port {listen.port} ({reason})",
            remedy="choose another with --port, or another --host",
        ) from error
    return bound
