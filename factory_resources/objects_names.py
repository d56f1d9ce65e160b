"""Which objects of S3-compatible storage a name or a glob means, and what the storage says."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import has_magic
from typing import TYPE_CHECKING, Any

from factory_resources.errors import SourceError

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem

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
