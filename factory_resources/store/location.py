"""Where the factory's store is: what the environment names, and what a home was prepared for.

Little is imported here, since every command asks.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from factory_resources.errors import StorageError
from factory_resources.home.home import Home

STORE_VARIABLE = "FACTORY_STORE"
ENDPOINT_VARIABLE = "FACTORY_S3_ENDPOINT"
REGION_VARIABLE = "FACTORY_S3_REGION"

ACCESS_KEY, SECRET_KEY = "FACTORY_S3_ACCESS_KEY", "FACTORY_S3_SECRET_KEY"
"""Names of the secrets that open the storage."""

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._=-]+)*)/?")
_ENDPOINT = re.compile(r"https?://[^/\s@:][^/\s@]*/?")


@dataclass(frozen=True)
class StoreLocation:
    """A bucket of a storage, and the prefix of all keys in it."""

    bucket: str
    prefix: str
    """Without slashes at its ends; may be empty."""
    endpoint: str
    """`http://HOST:PORT` or `https://HOST:PORT`."""
    region: str

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        parts = urlsplit(self.endpoint)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def __str__(self) -> str:
        return f"{self.address} at {self.endpoint}"


def declared_store() -> StoreLocation | None:
    """Return the store that the environment names; None without one.

    Raises:
        StorageError: FACTORY_STORE or FACTORY_S3_ENDPOINT is not an address.
    """
    address = os.environ.get(STORE_VARIABLE)
    return store_at(address) if address else None


def store_at(address: str, *, where: str = STORE_VARIABLE) -> StoreLocation:
    """Return the store at an address, on the storage that the environment names.

    Args:
        where: where the address stands, for the message.

    Raises:
        StorageError: it, or FACTORY_S3_ENDPOINT, is not an address.
    """
    match = _ADDRESS.fullmatch(address)
    # A path of dots leads out of the prefix, or of the bucket, where somebody resolves it.
    if match is None or {".", ".."} & {*match[2].split("/")}:
        raise StorageError(
            f"{address!r} is not the address of a store",
            where=where,
            remedy="write it as s3://bucket/prefix, with letters, digits and . _ = - in the prefix",
        )
    endpoint = os.environ.get(ENDPOINT_VARIABLE, "")
    # An empty one would mean a public cloud.
    if not is_endpoint(endpoint):
        raise StorageError(
            # It is not repeated, since somebody may have written a password into it.
            "this is not the address of a storage" if endpoint else "it is not set",
            where=ENDPOINT_VARIABLE,
            remedy="write https://host:port",
        )
    region = os.environ.get(REGION_VARIABLE) or "us-east-1"
    return StoreLocation(match[1], match[2].strip("/"), endpoint.rstrip("/"), region)


def is_endpoint(text: str) -> bool:
    """Return whether this is the address of a storage."""
    return bool(_ENDPOINT.fullmatch(text)) and is_readable(text)


def is_readable(address: str) -> bool:
    """Return whether an address can be read, and its port is one that there can be, or none."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        # Not chained to an error, since it may quote a piece of a password.
        return False


def require_recorded_store(home: Home) -> None:
    """Check that the environment names the store in which the tables of the home are.

    Otherwise there would be two of each, and what one of them says would not be true.

    Raises:
        StorageError: it names another one, or none.
    """
    declared, recorded = declared_store(), recorded_address(home)
    if declared is None:
        if recorded is not None:
            raise StorageError(
                f"the tables of this factory are in {recorded}, but {STORE_VARIABLE} is not set",
                where=str(home.path),
                remedy=f"export {STORE_VARIABLE}={recorded}; files of the home may be out of date",
            )
    elif recorded is not None and recorded != declared.address:
        raise StorageError(
            f"the tables of this factory are in {recorded}, but {STORE_VARIABLE} is "
            f"{declared.address}",
            where=str(home.path),
            remedy=f"export {STORE_VARIABLE}={recorded}, or name another home in FACTORY_HOME",
        )
    elif recorded is None and home.records.is_dir():
        raise StorageError(
            f"the tables of this factory are files of its home, but {STORE_VARIABLE} is set",
            where=str(home.path),
            remedy=f"unset {STORE_VARIABLE}, or carry them over: factory migrate --to "
            f"{declared.address}",
        )


def recorded_address(home: Home) -> str | None:
    """Return the store in which the tables of a home are; None if they are in the home.

    Raises:
        StorageError: the home is a file.
    """
    try:
        return location_file(home).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise StorageError(
            "this is not a folder, or is in none",
            where=str(home.path),
            remedy="name a folder in FACTORY_HOME",
        ) from error


def uses_store(home: Home) -> bool:
    """Whether tables of this home are in the store that the environment names.

    Those of an evidence archive, or of a home in which nothing has run, are not.
    """
    return bool(os.environ.get(STORE_VARIABLE)) and recorded_address(home) is not None


def location_file(home: Home) -> Path:
    return home.path / "store" / "location"
