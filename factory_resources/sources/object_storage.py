"""Objects of S3-compatible storage: found by name, streamed to a file, known by their digest.

Which objects of S3-compatible storage a name or a glob means, and what the storage says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from factory_resources.errors import SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.digest_cache import DigestCache, changed
from factory_resources.sources.files.discovery import expand

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,20}\Z")

_AT_ONCE = 16
"""Questions to the storage at the same time."""


@dataclass(frozen=True)
class ObjectStorage:
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
    patterns: Mapping[str, str] | Sequence[str], storage: ObjectStorage
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


def fetch(one: Object, storage: ObjectStorage, target: Path) -> str:
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


def known_digest(one: Object, storage: ObjectStorage, digests: DigestCache) -> str | None:
    """The digest of the object's bytes, where it was fetched before and has not changed."""
    # A storage that gives no tags cannot tell that nothing changed.
    tagged = not one.version.startswith(" ")
    return digests.recall(_place(one, storage), one.version) if tagged else None


def remember(one: Object, storage: ObjectStorage, digests: DigestCache, digest: str) -> None:
    digests.remember(_place(one, storage), one.version, digest)


def file_name(one: Object) -> str:
    """A name for the object on disk that tells its format; a key may hold what no file's may."""
    suffixes = PurePosixPath(one.path).suffixes[-2:]
    return "object" + "".join(s for s in suffixes if _SUFFIX.match(s))


def _place(one: Object, storage: ObjectStorage) -> str:
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


PREFIX = "s3://"

_REASONS = {
    "NO_SUCH_BUCKET": "there is no such bucket",
    "ACCESS_DENIED": "the storage refuses these keys",
    "INVALID_ACCESS_KEY_ID": "the storage does not know this access key",
    "INVALID_CLIENT_TOKEN_ID": "the storage does not know this access key",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key does not belong to the access key",
    "NETWORK_CONNECTION": "the storage cannot be reached",
    "REQUEST_TIMEOUT": "the storage does not answer in time",
    "SLOW_DOWN": "the storage asks to come back later",
    "HTTP status 403": "the storage refuses these keys",
}


def matches(system: "S3FileSystem", pattern: str) -> list[Any]:
    """The objects of a bucket and a key or glob, in order of name.

    Raises:
        SourceError: nothing matches, or the storage says no.
    """
    found = there(system, pattern)
    if not found:
        raise _nothing(system, pattern)
    return found


def there(system: "S3FileSystem", pattern: str) -> list[Any]:
    """As `matches`, but there may be none.

    Raises:
        SourceError: no such bucket, or the storage says no.
    """
    from pyarrow import fs

    if not re.match(r"[^/*?\[]+/.", pattern):
        raise SourceError(
            "names no bucket and object", where=PREFIX + pattern, remedy="write s3://bucket/*.csv"
        )
    with told(PREFIX + pattern):
        if not has_magic(pattern):
            info = system.get_file_info(pattern)
            return [info] if info.type == fs.FileType.File else []
        parts = pattern.split("/")
        first = next(i for i, part in enumerate(parts) if has_magic(part))
        deep = first < len(parts) - 1 or "**" in pattern
        base = "/".join(parts[:first])
        infos = [
            info
            for info in _listed(system, base, recursive=deep)
            if info.type == fs.FileType.File and _fits(info.path.split("/"), parts)
        ]
    return sorted(infos, key=lambda info: str(info.path))


def _listed(system: "S3FileSystem", base: str, *, recursive: bool = False) -> list[Any]:
    from pyarrow import fs

    try:
        # Without leave to be missing: a bucket that is not there would count as an empty one.
        return list(system.get_file_info(fs.FileSelector(base, recursive=recursive)))
    except FileNotFoundError:
        return []


def _fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """As in file names: a `*` stays within its folder, a `**` is any number of folders."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_fits(path[i:], pattern[1:]) for i in range(len(path)))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _fits(path[1:], pattern[1:])


def _nothing(system: "S3FileSystem", pattern: str) -> SourceError:
    from pyarrow import fs

    parts = pattern.split("/")
    fixed = next((i for i, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    base = "/".join(parts[: max(fixed, 1)])
    with told(PREFIX + pattern):
        infos = _listed(system, base)
    names = sorted(i.base_name + "/" * (i.type == fs.FileType.Directory) for i in infos)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return SourceError(
        f"no object matches {PREFIX + pattern!r}",
        remedy=f"{PREFIX}{base} holds {', '.join(names[:10]) + more or 'nothing'}",
    )


@contextmanager
def told(name: str) -> Iterator[None]:
    """Say in one line what the storage said, without its numbers and nothing of the keys."""
    try:
        yield
        return
    except FileNotFoundError:
        said = "is gone"
    except (OSError, ValueError) as error:
        words = str(error)
        said = next((r for sign, r in _REASONS.items() if sign in words), _code(words))
    raise SourceError(said, where=name, remedy="check source.files, source.storage and its keys")


def _code(words: str) -> str:
    found = re.search(r"AWS Error (\w+)", words)
    return f"the storage says {found[1] if found else 'no'}"
