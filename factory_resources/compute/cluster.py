"""The settings of a cluster: the image, names, sizes and addresses, each checked.

What is rendered from them belongs in `pods` and `manifests`.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from factory_resources.boundary.addresses import split_address
from factory_resources.errors import SettingError

RunPlace = Literal["here", "pods"]
"""Where runs are: in the pod of the factory, or each in a pod of its own."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_QUANTITY = re.compile(r"[1-9][0-9]{0,5}(Mi|Gi|Ti)")
_CORES = re.compile(r"[1-9][0-9]{0,2}|[1-9][0-9]{1,4}m")
_PART = r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"([A-Za-z0-9.-]+(:[0-9]{{1,5}})?/)?{_PART}(/{_PART})*"
    r"(:(?P<tag>[A-Za-z0-9_][\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class PeerAddress:
    """An address that pods may reach."""

    host: str
    """A name, or the same as `ip`."""
    ip: str
    port: int


@dataclass(frozen=True)
class Cluster:
    """The settings of a cluster.

    Raises:
        SettingError: a value is not possible; it names the option of `factory k8s render`.
    """

    image: str
    host: str
    """The name by which browsers reach the front door."""
    namespace: str = "factory"
    tls_secret: str = "factory-tls"  # noqa: S105 - a name
    """The Secret with the certificate of the front door, of type `kubernetes.io/tls`."""
    runs: RunPlace = "here"
    storage: str = "50Gi"
    storage_class: str | None = None
    """None for the default of the cluster."""
    shared: bool = False
    """Whether the volume is mounted by pods of several nodes at a time."""
    cores: str = "2"
    """Of each pod."""
    memory: str = "8Gi"
    """Of each pod."""
    gpus: int = 0
    """NVIDIA GPUs of each pod that trains."""
    database_secret: str | None = None
    """The Secret whose key `url` is the address of PostgreSQL; None for files of the home."""
    database: PeerAddress | None = None
    store_secret: str | None = None
    """The Secret whose keys `access-key` and `secret-key` open the factory's store; None if tables
    and records are files of the home."""
    store: PeerAddress | None = None
    """Where its storage answers."""
    outgoing: tuple[PeerAddress, ...] = ()
    """What the factory and its runs may reach besides."""
    logins: tuple[PeerAddress, ...] = ()
    """Where the identity provider answers, which only the front door asks."""
    api_servers: tuple[PeerAddress, ...] = ()
    """Where the API of the cluster answers; needed if each run has a pod."""
    visitors: tuple[str, ...] = ()
    """The namespaces whose pods may reach the front door; empty for whoever reaches the Service."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Settings of the factory: variables of the environment of all its pods."""

    def __post_init__(self) -> None:
        _require_image(self.image)
        _require(_LABEL, self.namespace, "--namespace", "lower-case letters, digits and hyphens")
        for name in self.visitors:
            _require(_LABEL, name, "--from", "the name of a namespace")
        _require(_SUBDOMAIN, self.host, "--host", "a host name, such as factory.example.org")
        named = {
            "--tls-secret": self.tls_secret,
            "--storage-class": self.storage_class,
            "--database-secret": self.database_secret,
            "--store-secret": self.store_secret,
        }
        for option, value in named.items():
            if value is not None:
                _require(_SUBDOMAIN, value, option, "the name of an object of Kubernetes")
        _require(_QUANTITY, self.storage, "--storage", "an amount such as 50Gi")
        _require(_QUANTITY, self.memory, "--memory", "an amount such as 8Gi")
        _require(_CORES, self.cores, "--cores", "a number such as 2 or 500m")
        self._require_whole()

    def _require_whole(self) -> None:
        if (self.database_secret is None) != (self.database is None):
            raise SettingError(
                "--database-secret and --database belong together",
                remedy="name the Secret whose key url is the database's address, and its HOST:PORT",
            )
        if (self.store_secret is None) != (self.store is None):
            raise SettingError(
                "--store-secret and FACTORY_STORE belong together",
                remedy="name the Secret whose keys access-key and secret-key open the store, and "
                "set FACTORY_STORE to s3://bucket/prefix",
            )
        if self.runs == "pods" and not self.api_servers:
            raise SettingError(
                "the factory starts the pods of runs at the API of the cluster, which is not named",
                where="--api-server",
                remedy="give its IP:PORT; kubectl get endpointslices -n default shows it",
            )
        if self.runs == "here" and self.api_servers:
            raise SettingError(
                "only --runs pods uses the API of the cluster",
                where="--api-server",
                remedy="leave it out, or add --runs pods",
            )
        if self.shared and self.runs == "here":
            raise SettingError(
                "only --runs pods shares the volume",
                where="--shared",
                remedy="leave it out, or add --runs pods",
            )
        if self.shared and self.database is None:
            raise SettingError(
                "runs on other nodes cannot use SQLite files, whose locks are those of one node",
                where="--shared",
                remedy="put the databases on PostgreSQL with --database-secret and --database; "
                "docs/postgres.md says how",
            )

    @property
    def peers(self) -> tuple[PeerAddress, ...]:
        """The addresses that all pods may reach: the database and the store first."""
        return (*filter(None, (self.database, self.store)), *self.outgoing)


def peer_addresses(
    addresses: Iterable[str], known: Mapping[str, str], *, option: str
) -> tuple[PeerAddress, ...]:
    """Return addresses with the IP address of each name. No name server is asked.

    Args:
        addresses: each as `HOST:PORT`.
        known: the IP address of each name.
        option: the option, or the file, that names the addresses.

    Raises:
        SettingError: one is no address, or the IP address of its name is not known.
    """
    found = []
    for text in addresses:
        try:
            host, port = split_address(text)
        except ValueError as error:
            raise SettingError(str(error), where=option, remedy="correct it") from error
        host = host.lower()
        ip = known.get(host, host)
        if not _is_ip(ip):
            raise SettingError(
                f"network policies need IP addresses, and none is given for {host}",
                where=option,
                remedy=f"add --address {host}=IP",
            )
        found.append(PeerAddress(host, ip, port))
    return tuple(dict.fromkeys(found))


def known_names(texts: Iterable[str]) -> dict[str, str]:
    """Return the IP address of each name.

    Args:
        texts: each as `NAME=IP`.

    Raises:
        SettingError: one is not so.
    """
    known = {}
    for text in texts:
        name, _, ip = text.partition("=")
        name = name.lower()
        if not _SUBDOMAIN.fullmatch(name) or _is_ip(name) or not _is_ip(ip):
            raise SettingError(
                f"{text!r} is not NAME=IP",
                where="--address",
                remedy="write it as db.example.org=10.1.2.3",
            )
        known[name] = ip
    return known


def _require_image(image: str) -> None:
    found = _IMAGE.fullmatch(image)
    if not found:
        raise SettingError(
            f"{image!r} is not the name of an image",
            where="--image",
            remedy="write it as registry.example.org/factory:1.0",
        )
    if found["digest"] is None and found["tag"] in (None, "latest"):
        raise SettingError(
            f"{image!r} may name another image tomorrow",
            where="--image",
            remedy="add a tag of its own, or the digest: @sha256:…",
        )


def _require(pattern: re.Pattern[str], value: str, option: str, what: str) -> None:
    if not pattern.fullmatch(value) or len(value) > 253:
        raise SettingError(f"{value!r} is not possible", where=option, remedy=f"give {what}")


def _is_ip(text: str) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    # One with a zone, such as fe80::1%eth0, is that of a link of one machine.
    return getattr(found, "scope_id", None) is None
