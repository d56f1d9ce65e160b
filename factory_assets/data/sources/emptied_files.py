"""Leave out files of which every row was erased: they may not even become a partition.

Files of which some rows were erased are read without these rows; see `discovery`.
"""

from collections.abc import Sequence
from pathlib import Path

from factory_resources.erasure.manifest import emptied_sources
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import DigestCache, file_signature
from factory_resources.sources.files.discovery import sha256_of
from factory_resources.sources.object_storage import S3_PREFIX


def without_emptied(names: Sequence[str], home: Home) -> Sequence[str]:
    """Return the names of the files, without those whose present rows were all erased.

    Objects of a storage stay: they have no digest until they are fetched.

    Raises:
        StorageError: the manifest of an erasure was damaged.
    """
    emptied = emptied_sources(home)
    if not emptied:
        return names
    cache = DigestCache(home)
    return [name for name in names if _digest(name, cache) not in emptied]


def _digest(name: str, cache: DigestCache) -> str | None:
    """Return the digest of a file, None of anything else.

    A new digest is not cached, since the cache also stores the name.
    """
    if name.startswith(S3_PREFIX):
        return None
    path = Path(name).absolute()
    try:
        known = cache.recall(str(path), file_signature(path.stat()))
        return known or sha256_of(path, name)
    except (OSError, SourceError):
        return None
