"""Leave out files of which every row was erased: they may not even become a partition.

Files of which some rows were erased are read without these rows; see `discovery`.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from factory_resources.erasure.manifest import emptied_sources, of_source
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import DigestCache, file_signature
from factory_resources.sources.files.archives import chosen_member
from factory_resources.sources.files.discovery import format_of, sha256_of
from factory_resources.sources.object_storage import S3_PREFIX


def without_emptied(names: Sequence[str], home: Home, member: str | None = None) -> Sequence[str]:
    """Return the names of the files, without those whose present rows were all erased.

    Objects of a storage stay: they have no digest until they are fetched.

    Args:
        member: the glob of what is read of a zip; None if it has only one member.

    Raises:
        StorageError: the manifest of an erasure was damaged.
    """
    emptied = emptied_sources(home)
    if not emptied:
        return names
    cache = DigestCache(home)
    return [name for name in names if not _is_emptied(name, member, emptied, cache)]


def _is_emptied(
    name: str, member: str | None, emptied: Collection[str], cache: DigestCache
) -> bool:
    """Whether a file is one of these sources.

    A new digest is not cached, since the cache also stores the name.
    """
    if name.startswith(S3_PREFIX):
        return False
    path = Path(name).absolute()
    try:
        known = cache.recall(str(path), file_signature(path.stat()))
        digest = known or sha256_of(path, name)
        if not of_source(emptied, digest):
            return False
        is_zip = format_of(name, "csv")[1] == "zip"
        source = f"{name}/{chosen_member(path, name, member)}" if is_zip else name
    except (OSError, SourceError):
        return False
    return bool(of_source(emptied, digest, source))
