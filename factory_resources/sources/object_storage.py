"""Find objects of S3-compatible storage by name or glob, and stream them to files with a digest.

Errors of the storage are reduced to one line.
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
from urllib.parse import urlsplit

from factory_resources.boundary.allowed import require_allowed
from factory_resources.errors import SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.digest_cache import DigestCache, changed
from factory_resources.sources.files.discovery import expand, is_hidden
from factory_resources.store.location import is_endpoint

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


S3_PREFIX = "s3://"
"""How the names of objects begin."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,20}\Z")

_AT_ONCE = 16
"""Parallel requests to the storage."""

_LISTED = 10
"""Seconds within which a storage must answer what it holds: somebody may wait for it."""

_SENT = 60
"""Seconds within which a storage must send more of an object."""


@dataclass(frozen=True)
class ObjectStorage:
    """The address of a storage and its keys, which `repr` does not show."""

    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def listing(self) -> "S3FileSystem":
        """A client that gives up soon, to list objects; raises as `system`."""
        return self._client(_LISTED, attempts=2)

    @property
    def system(self) -> "S3FileSystem":
        """A client that waits for a busy storage, to read objects.

        Raises:
            SourceError: the endpoint is not an address (an empty one would mean a public cloud),
                or the boundary does not allow it.
        """
        return self._client(_SENT, attempts=3)

    def _client(self, seconds: int, attempts: int) -> "S3FileSystem":
        from pyarrow import fs

        if not is_endpoint(self.endpoint):
            raise SourceError(
                f"{self.endpoint!r} is not the address of an object storage",
                where="source.storage.endpoint",
                remedy="write https://host:port",
            )
        parts = urlsplit(self.endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        require_allowed(parts.hostname or "", port, where=self.endpoint)
        return fs.S3FileSystem(
            endpoint_override=self.endpoint.rstrip("/"),
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
            connect_timeout=5,
            request_timeout=seconds,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        )


@dataclass(frozen=True)
class Object:
    """One object as it was when it was listed."""

    path: str
    """Bucket and key."""
    label: str | None
    bytes: int
    version: str
    """Changes when the bytes change: ETag, size and time, as the storage reports them."""

    @property
    def name(self) -> str:
        return S3_PREFIX + self.path


def find_objects(
    patterns: Mapping[str, str] | Sequence[str], storage: ObjectStorage
) -> tuple[Object, ...]:
    """Return the objects that names and globs match, pattern by pattern, sorted by name.

    Args:
        patterns: `s3://bucket/key` with `*`, `?`, `[…]` and `**`, or a map from label to one.

    Raises:
        SourceError: nothing matches, or the storage refuses.
    """
    pairs: list[tuple[str | None, str]] = (
        [*patterns.items()]
        if isinstance(patterns, Mapping)
        else [(None, pattern) for pattern in patterns]
    )
    listing, system = storage.listing, storage.system
    labelled = [
        (label, info)
        for label, pattern in pairs
        for info in require_matches(listing, expand(pattern).removeprefix(S3_PREFIX))
    ]

    def read_version(pair: tuple[str | None, Any]) -> Object:
        label, info = pair
        with source_errors(S3_PREFIX + info.path), _open_object(system, info.path) as stream:
            version = f"{_etag(stream)} {info.size} {info.mtime_ns}"
        return Object(info.path, label, info.size, version)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(read_version, labelled))


def fetch(item: Object, storage: ObjectStorage, target: Path) -> str:
    """Stream the object into a file and return its SHA-256.

    Raises:
        SourceError: the object has changed, or the transfer breaks off.
        StorageError: the file cannot be written.
    """
    digest, size = sha256(), 0
    with source_errors(item.name), _open_object(storage.system, item.path) as stream:
        if item.version.partition(" ")[0] != _etag(stream):
            raise changed(item.name)
        with storage_errors(target), target.open("wb") as file:
            while chunk := _read_chunk(stream, item.name):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
    if size != item.bytes:
        raise SourceError("was cut short during the transfer", where=item.name, remedy="run again")
    return digest.hexdigest()


def known_digest(item: Object, storage: ObjectStorage, digests: DigestCache) -> str | None:
    """Return the object's digest if it was fetched before and has not changed."""
    # Without an ETag, a change may go unnoticed.
    tagged = not item.version.startswith(" ")
    return digests.recall(_address(item, storage), item.version) if tagged else None


def remember(item: Object, storage: ObjectStorage, digests: DigestCache, digest: str) -> None:
    """Store the object's digest for `known_digest`."""
    digests.remember(_address(item, storage), item.version, digest)


def file_name(item: Object) -> str:
    """Return a file name that shows the object's format; a key may not be valid as a file name."""
    suffixes = PurePosixPath(item.path).suffixes[-2:]
    return "object" + "".join(s for s in suffixes if _SUFFIX.match(s))


def _address(item: Object, storage: ObjectStorage) -> str:
    return f"{storage.endpoint} {item.name}"


def _etag(stream: Any) -> str:
    tag: bytes = (stream.metadata() or {}).get("ETag") or b""
    return (tag if isinstance(tag, str) else tag.decode()).replace(" ", "")


def _read_chunk(stream: Any, name: str) -> bytes:
    # Apart from writing, so that a fault of the storage is not reported as one of the disk.
    with source_errors(name):
        chunk: bytes = stream.read(1 << 20)
        return chunk


def _open_object(system: "S3FileSystem", path: str) -> Any:
    # By default, pyarrow decompresses an object whose name ends in .gz or .zst.
    return system.open_input_stream(path, compression=None)


_REASONS = {
    "Timeout was reached": "the storage does not answer in time",
    "NO_SUCH_BUCKET": "there is no such bucket",
    "ACCESS_DENIED": "the storage refuses these keys",
    "INVALID_ACCESS_KEY_ID": "the storage does not know this access key",
    "INVALID_CLIENT_TOKEN_ID": "the storage does not know this access key",
    "SIGNATURE_DOES_NOT_MATCH": "the secret key does not belong to the access key",
    "NETWORK_CONNECTION": "the storage cannot be reached",
    "REQUEST_TIMEOUT": "the storage does not answer in time",
    "SLOW_DOWN": "the storage receives too many requests",
    "HTTP status 403": "the storage refuses these keys",
}


def require_matches(system: "S3FileSystem", pattern: str) -> list[Any]:
    """Return the objects of a bucket that match a key or glob, sorted by name.

    Raises:
        SourceError: nothing matches, or the storage refuses.
    """
    infos = list_matches(system, pattern)
    if not infos:
        raise _no_match(system, pattern)
    return infos


def list_matches(system: "S3FileSystem", pattern: str) -> list[Any]:
    """Return the objects of a bucket that match a key or glob, sorted by name; there may be none.

    Globs leave out hidden objects.

    Raises:
        SourceError: there is no such bucket, or the storage refuses.
    """
    from pyarrow import fs

    if not re.match(r"[^/*?\[]+/.", pattern):
        raise SourceError(
            "does not name a bucket and an object",
            where=S3_PREFIX + pattern,
            remedy="write s3://bucket/*.csv",
        )
    with source_errors(S3_PREFIX + pattern):
        if not has_magic(pattern):
            info = system.get_file_info(pattern)
            return [info] if info.type == fs.FileType.File else []
        parts = pattern.split("/")
        first = next(i for i, part in enumerate(parts) if has_magic(part))
        deep = first < len(parts) - 1 or "**" in pattern
        base = "/".join(parts[:first])
        infos = [
            info
            for info in _list_folder(system, base, recursive=deep)
            if info.type == fs.FileType.File
            and _matches_glob(info.path.split("/"), parts)
            and not is_hidden(info.base_name, parts[-1])
        ]
    return sorted(infos, key=lambda info: str(info.path))


def _list_folder(system: "S3FileSystem", base: str, *, recursive: bool = False) -> list[Any]:
    from pyarrow import fs

    try:
        # Not `allow_not_found`: a missing bucket would count as an empty one.
        return list(system.get_file_info(fs.FileSelector(base, recursive=recursive)))
    except FileNotFoundError:
        return []


def _matches_glob(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches as file names do: `*` within a folder, `**` any number of folders."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches_glob(path[i:], pattern[1:]) for i in range(len(path)))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _matches_glob(path[1:], pattern[1:])


def _no_match(system: "S3FileSystem", pattern: str) -> SourceError:
    from pyarrow import fs

    parts = pattern.split("/")
    fixed = next((i for i, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    base = "/".join(parts[: max(fixed, 1)])
    with source_errors(S3_PREFIX + pattern):
        infos = _list_folder(system, base)
    names = sorted(i.base_name + "/" * (i.type == fs.FileType.Directory) for i in infos)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return SourceError(
        f"no object matches {S3_PREFIX + pattern!r}",
        remedy=f"{S3_PREFIX}{base} holds {', '.join(names[:10]) + more or 'nothing'}",
    )


@contextmanager
def source_errors(name: str) -> Iterator[None]:
    """Reduce errors of the object storage to one line, without request ids and without the keys.

    Raises:
        SourceError: in place of them.
    """
    try:
        yield
        return
    except FileNotFoundError:
        reason = "does not exist"
    except (OSError, ValueError) as error:
        message = str(error)
        known = (reason for phrase, reason in _REASONS.items() if phrase in message)
        reason = next(known, _error_code(message))
    raise SourceError(reason, where=name, remedy="check source.files, source.storage and its keys")


def _error_code(message: str) -> str:
    code = re.search(r"AWS Error (\w+)", message)
    return f"the storage reports {code[1]}" if code else "the storage refuses"
