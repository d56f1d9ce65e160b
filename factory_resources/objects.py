"""Objects of S3-compatible storage: found by name, streamed to a file, known by their digest."""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from factory_resources.digests import Digests, changed
from factory_resources.errors import SourceError
from factory_resources.home import storage_errors
from factory_resources.objects_names import PREFIX, matches, told
from factory_resources.sources import expand

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,20}\Z")
_AT_ONCE = 16
"""Questions to the storage at the same time."""


@dataclass(frozen=True)
class Storage:
    """Where objects are, and the keys to it, which are not shown."""

    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def system(self) -> "S3FileSystem":
        """The client.

        Raises:
            SourceError: the endpoint is no address; an empty one would mean a public cloud.
        """
        from pyarrow import fs

        if not re.match(r"https?://[^/\s]+/?\Z", self.endpoint):
            raise SourceError(
                f"{self.endpoint!r} is no address of a storage",
                where="source.storage.endpoint",
                remedy="write https://host:port",
            )

        return fs.S3FileSystem(
            endpoint_override=self.endpoint.rstrip("/"),
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
            connect_timeout=5,
            request_timeout=60,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
        )


@dataclass(frozen=True)
class Object:
    """One object as it was found."""

    path: str
    """Bucket and key."""
    label: str | None
    bytes: int
    version: str
    """What changes with its bytes: the storage's own tag, the size and the time."""

    @property
    def name(self) -> str:
        return PREFIX + self.path


def find_objects(
    patterns: Mapping[str, str] | Sequence[str], storage: Storage
) -> tuple[Object, ...]:
    """The objects of names and globs, pattern by pattern, each pattern's in order of name.

    Args:
        patterns: `s3://bucket/key` with `*`, `?`, `[…]` and `**`, or a map from label to one.

    Raises:
        SourceError: nothing matches, or the storage says no.
    """
    pairs: list[tuple[str | None, str]] = (
        [*patterns.items()]
        if isinstance(patterns, Mapping)
        else [(None, pattern) for pattern in patterns]
    )
    system = storage.system
    found = [
        (label, info)
        for label, pattern in pairs
        for info in matches(system, expand(pattern).removeprefix(PREFIX))
    ]

    def look(one: tuple[str | None, Any]) -> Object:
        label, info = one
        with told(PREFIX + info.path), _open(system, info.path) as stream:
            version = f"{_tag(stream)} {info.size} {info.mtime_ns}"
        return Object(info.path, label, info.size, version)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(look, found))


def fetch(one: Object, storage: Storage, target: Path) -> str:
    """Stream the object into a file; its SHA-256.

    Raises:
        SourceError: it is another by now, or the storage breaks off.
        StorageError: the disk says no.
    """
    digest, size = sha256(), 0
    with told(one.name), _open(storage.system, one.path) as stream:
        if one.version.partition(" ")[0] != _tag(stream):
            raise changed(one.name)
        with storage_errors(target), target.open("wb") as file:
            while chunk := _read(stream, one.name):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
    if size != one.bytes:
        raise SourceError("was cut short on the way", where=one.name, remedy="run again")
    return digest.hexdigest()


def known_digest(one: Object, storage: Storage, digests: Digests) -> str | None:
    """The digest of the object's bytes, where it was fetched before and has not changed."""
    # A storage that gives no tags cannot tell that nothing changed.
    tagged = not one.version.startswith(" ")
    return digests.recall(_place(one, storage), one.version) if tagged else None


def remember(one: Object, storage: Storage, digests: Digests, digest: str) -> None:
    digests.remember(_place(one, storage), one.version, digest)


def file_name(one: Object) -> str:
    """A name for the object on disk that tells its format; a key may hold what no file's may."""
    suffixes = PurePosixPath(one.path).suffixes[-2:]
    return "object" + "".join(s for s in suffixes if _SUFFIX.match(s))


def _place(one: Object, storage: Storage) -> str:
    return f"{storage.endpoint} {one.name}"


def _tag(stream: Any) -> str:
    tag: bytes = (stream.metadata() or {}).get("ETag") or b""
    return (tag if isinstance(tag, str) else tag.decode()).replace(" ", "")


def _read(stream: Any, name: str) -> bytes:
    # Apart from writing, so that the storage's fault is not blamed on the disk.
    with told(name):
        chunk: bytes = stream.read(1 << 20)
        return chunk


def _open(system: "S3FileSystem", path: str) -> Any:
    # Or what its name calls packed is unpacked on the way.
    return system.open_input_stream(path, compression=None)
