"""Where the door listens, and what it needs to be reachable from other machines."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

from factory_assets.declarations.people import FILE, has_people_file, people_file
from factory_assets.declarations.settings import declared_provider
from factory_assets.serving.http.listen import LOOPBACK, Listen, require_certificate
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_resources.errors import RefusedError, SettingError
from factory_resources.home.home import Home
from factory_resources.security.request_guard import host_name

_EVERY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - such a host needs a name
"""All addresses of the machine; none of them is in the address of a browser."""

_USUAL_PORTS = {"https": 443, "http": 80}
"""The ports that browsers leave out."""


@dataclass(frozen=True)
class DoorAddress:
    """Where the door listens, and the names by which browsers come to it."""

    listen: Listen
    names: tuple[str, ...] = ()
    public_port: int | None = None
    """The port of their address, if it is another than that of the socket."""

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.listen.certificate is not None or self.listen.behind_proxy

    @property
    def hosts(self) -> frozenset[str]:
        """Every name by which the door may be addressed."""
        return LOOPBACK | {*self.names} | {self.listen.host}

    @property
    def arguments(self) -> list[str]:
        """The options of `python -m factory_assets.web.door` that name it."""
        listen = self.listen
        options = ["--host", listen.host, "--port", str(listen.port)]
        for name in self.names:
            options += ["--name", name]
        if self.public_port is not None:
            options += ["--public-port", str(self.public_port)]
        if listen.certificate and listen.key:
            options += ["--tls-cert", str(listen.certificate), "--tls-key", str(listen.key)]
        return [*options, *(["--behind-proxy"] if listen.behind_proxy else [])]

    @property
    def url(self) -> str:
        """The address for people."""
        host = _in_url(self.names[0] if self.names else self.listen.host)
        scheme = "https" if self.secure else "http"
        usual = _USUAL_PORTS[scheme]
        # Without another word, a proxy is at the usual port.
        port = self.public_port or (usual if self.listen.behind_proxy else self.listen.port)
        return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"


def require_allowed(address: DoorAddress, home: Home) -> None:
    """Require people, TLS and a name if other machines can reach the address.

    Raises:
        SettingError: the certificate cannot be used, or no browser asks for a name.
        RefusedError: they are missing.
        DeclarationError: `people.yaml` or `factory.yaml` is wrong.
    """
    from factory_resources.security.passwords import Passwords

    for name in address.names:
        if host_name(_in_url(name)) != name:
            raise SettingError(
                f"{name!r} is not the name of a host",
                where="--name",
                remedy="write it without scheme and port, such as factory.example",
            )
    require_certificate(address.listen.certificate, address.listen.key)
    people = Doorkeeper().people() or {}
    if address.listen.is_private:
        return
    missing = []
    if address.listen.host in _EVERY and not address.names:
        missing.append("a host name by which browsers reach it (--name)")
    if not has_people_file():
        missing.append(f"people ({people_file()})")
    elif not Passwords(home).names() & people.keys() and declared_provider() is None:
        missing.append(f"a password of somebody in {FILE} (factory password NAME)")
    if not address.secure:
        missing.append("TLS (--tls-cert and --tls-key, or --behind-proxy)")
    if missing:
        raise RefusedError(
            f"{address.listen.host} can be reached from other machines",
            remedy=f"it needs {' and '.join(missing)}; without, serve on 127.0.0.1",
        )


def _in_url(name: str) -> str:
    with suppress(ValueError):
        IPv6Address(name)
        return f"[{name}]"
    return name
