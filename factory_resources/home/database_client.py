"""What PostgreSQL's client library reaches and reads: the servers of an address, and its files.

The address itself belongs in `database`.
"""

import os
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from pathlib import Path

CLIENT_FILES = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir")
"""The options of an address that name files or folders."""

SOCKETS = "/var/run/postgresql"
"""The folder of a server's socket, unless an address names another."""

_PORT = "5432"

CERTIFICATES = ".postgresql"
"""The folder in the user's home with the client's own certificates, and those that it trusts."""

_SERVICES = ".pg_service.conf"

_AT_HOME = (".pgpass", _SERVICES, CERTIFICATES)
"""In the user's home: passwords, services, certificates."""

_VARIABLES = (
    *("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR"),
    *("PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT", "PGSSLCRL", "PGSSLCRLDIR"),
)
"""Variables of the environment that name such files elsewhere."""


def client_hosts(address: str) -> Iterator[tuple[str, str]]:
    """Yield each host, or folder of a socket, of an address, and its port."""
    options = _options(address)
    hosts = options.get("hostaddr") or options.get("host") or os.environ.get("PGHOST") or ""
    ports = options.get("port") or os.environ.get("PGPORT") or _PORT
    names = hosts.split(",") if hosts else [SOCKETS]
    numbers = ports.split(",")
    for number, name in enumerate(names):
        yield name, numbers[number if len(numbers) > 1 else 0] or _PORT


def client_files(address: str) -> Iterator[Path]:
    """Yield the files and folders that are read for an address, whether they exist or not."""
    options = _options(address)
    yield from (Path(os.path.expanduser("~"), name) for name in _AT_HOME)
    yield from (Path(options[name]) for name in CLIENT_FILES if name in options)
    yield from (Path(os.environ[name]) for name in _VARIABLES if name in os.environ)


def _options(address: str) -> Mapping[str, str]:
    """Return the options of an address, and of the service that it names; its own count first."""
    from psycopg2.extensions import parse_dsn

    options: dict[str, str] = parse_dsn(address)
    service = options.get("service") or os.environ.get("PGSERVICE")
    return {**_of_service(service), **options} if service else options


def _of_service(name: str) -> Mapping[str, str]:
    """Return the options of a service; none if no file has it, which whoever connects is told."""
    own = os.environ.get("PGSERVICEFILE") or os.path.join(os.path.expanduser("~"), _SERVICES)
    system = os.environ.get("PGSYSCONFDIR", "/etc/postgresql-common")
    for file in (own, os.path.join(system, "pg_service.conf")):
        services = ConfigParser(interpolation=None, strict=False)
        with suppress(ConfigError, UnicodeDecodeError):
            services.read(file, encoding="utf-8")
        if services.has_section(name):
            return services[name]
    return {}
