"""Objects of S3-compatible storage as sources: fetched only where they are not known yet."""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.spec import FileSource
from factory_assets.spec.source_files import Storage as StorageSpec
from factory_assets.stages.fetch_files import read_as
from factory_assets.stages.found import Found, Place
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret
from factory_resources.sources.digest_cache import Digests, changed
from factory_resources.sources.files.discovery import File, expand
from factory_resources.sources.files.reader import Raw
from factory_resources.sources.object_storage import (
    PREFIX,
    Object,
    Storage,
    fetch,
    file_name,
    find_objects,
    known_digest,
    remember,
    there,
)


def found_objects(source: FileSource, place: Place) -> Iterator[Found]:
    """The objects in the order of their patterns and names; of a map, of its labels.

    Raises:
        SourceError: nothing matches, a key is not set, or the storage says no.
    """
    storage = storage_of(source, place.home)
    patterns = source.files
    if isinstance(patterns, dict):
        patterns = dict(sorted(patterns.items()))
    digests = Digests(place.home)
    for number, one in enumerate(find_objects(patterns, storage)):
        kept = place.scratch / str(number)
        kept.mkdir()
        digest = known_digest(one, storage, digests)
        if digest is None:
            digest = fetch(one, storage, kept / file_name(one))
            remember(one, storage, digests, digest)
        yield _found(source, one, digest, kept, storage)


def objects_there(source: FileSource, pattern: str, home: Home) -> list[str]:
    """The names of the objects that a pattern matches, in order; there may be none.

    Raises:
        SourceError: a key is not set, or the storage says no.
    """
    system = storage_of(source, home).system
    return [PREFIX + str(i.path) for i in there(system, expand(pattern).removeprefix(PREFIX))]


def storage_of(source: FileSource, home: Home) -> Storage:
    """Where the source's objects are, with the keys to it."""
    declared = source.storage or StorageSpec()
    return Storage(
        endpoint=expand(declared.endpoint),
        region=expand(declared.region),
        access_key=secret(declared.access_key, home),
        secret_key=secret(declared.secret_key, home),
    )


def _found(source: FileSource, one: Object, digest: str, kept: Path, storage: Storage) -> Found:
    path = kept / file_name(one)
    labels = {source.label: one.label or ""} if source.label else {}

    def read(own: Path) -> Raw:
        if not path.is_file() and fetch(one, storage, path) != digest:
            raise changed(one.name)
        return read_as(source, File(path, one.name), digest, own)

    return Found(digest, labels, read, one.bytes)
