"""Files as sources: each is one, known by the digest of its bytes.

Objects of S3-compatible storage as sources: fetched only where they are not known yet.

Image files as a source: one table, a row a file, known by the bytes of all of them.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.spec import FileSource
from factory_assets.spec.sources import ImageSource
from factory_assets.spec.sources import Storage as StorageSpec
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret
from factory_resources.sources.digest_cache import DigestCache, Digested, changed
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, expand, find_files
from factory_resources.sources.files.images import SUFFIXES, written
from factory_resources.sources.files.reader import SourceTable, read_file, read_table
from factory_resources.sources.object_storage import (
    PREFIX,
    Object,
    ObjectStorage,
    fetch,
    file_name,
    find_objects,
    known_digest,
    remember,
    there,
)


def discover_files(source: FileSource, place: SourceContext) -> Iterator[SourceHandle]:
    """The files in the order of their patterns and names; of a map, in the order of its labels.

    Raises:
        SourceError: a file is missing or unreadable.
    """
    patterns = source.files
    if isinstance(patterns, dict):
        # The order of keys in a declaration means nothing.
        patterns = dict(sorted(patterns.items()))
    for digested in DigestCache(place.home).of_files(find_files(patterns, place.folder)):
        yield discover_file(source, digested)


def discover_file(source: FileSource, digested: Digested) -> SourceHandle:
    """One file that is read as the source declares."""
    labels = {source.label: digested.file.label or ""} if source.label else {}
    return SourceHandle(
        digested.sha256,
        labels,
        lambda own: read_as(source, digested.file, digested.sha256, own),
        digested.bytes,
        require_unchanged=digested.require_unchanged,
        name=digested.file.name,
    )


def read_as(source: FileSource, file: File, digest: str, scratch: Path) -> SourceTable:
    """Read the file as the source declares.

    Raises:
        SourceError: whatever is wrong with the file, in one line.
    """
    return read_file(
        file,
        scratch,
        declared=source.format,
        member=source.member,
        rules=TextRules(source.delimiter, source.header, source.columns, source.encoding),
        digest=digest,
    )


def discover_objects(source: FileSource, place: SourceContext) -> Iterator[SourceHandle]:
    """The objects in the order of their patterns and names; of a map, of its labels.

    Raises:
        SourceError: nothing matches, a key is not set, or the storage says no.
    """
    storage = storage_of(source, place.home)
    patterns = source.files
    if isinstance(patterns, dict):
        patterns = dict(sorted(patterns.items()))
    digests = DigestCache(place.home)
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


def storage_of(source: FileSource, home: Home) -> ObjectStorage:
    """Where the source's objects are, with the keys to it."""
    declared = source.storage or StorageSpec()
    return ObjectStorage(
        endpoint=expand(declared.endpoint),
        region=expand(declared.region),
        access_key=secret(declared.access_key, home),
        secret_key=secret(declared.secret_key, home),
    )


def _found(
    source: FileSource, one: Object, digest: str, kept: Path, storage: ObjectStorage
) -> SourceHandle:
    path = kept / file_name(one)
    labels = {source.label: one.label or ""} if source.label else {}

    def read(own: Path) -> SourceTable:
        if not path.is_file() and fetch(one, storage, path) != digest:
            raise changed(one.name)
        return read_as(source, File(path, one.name), digest, own)

    return SourceHandle(digest, labels, read, one.bytes)


def discover_images(source: ImageSource, place: SourceContext) -> SourceHandle:
    """The images in the order of their paths; one that cannot be read has no pixels.

    Raises:
        SourceError: a pattern matches nothing, or what is no image by its name.
    """
    files = tuple(DigestCache(place.home).of_files(find_files(source.images, place.folder)))
    for digested in files:
        if digested.file.path.suffix.lower() not in SUFFIXES:
            raise SourceError(
                f"{digested.file.name} is no image",
                where="source.images",
                remedy=f"name files that end in {', '.join(SUFFIXES)}",
            )
    content = [[digested.file.name, digested.sha256] for digested in files]
    version = sha256(json.dumps([content, source.model_dump(mode="json")]).encode()).hexdigest()

    def read(own: Path) -> SourceTable:
        return _table(source, files, own)

    def require_unchanged() -> None:
        for digested in files:
            digested.require_unchanged()

    return SourceHandle(
        version,
        {},
        read,
        bytes=sum(digested.bytes for digested in files),
        require_unchanged=require_unchanged,
    )


def _table(source: ImageSource, files: tuple[Digested, ...], scratch: Path) -> SourceTable:
    import pyarrow as pa

    grey = source.colours == "grey"
    pixels = [written(f.file.path.read_bytes(), source.size, grey=grey) for f in files]
    columns = {
        "path": [digested.file.name for digested in files],
        "sha256": [digested.sha256 for digested in files],
        **({source.label: [f.file.path.parent.name for f in files]} if source.label else {}),
        "pixels": pa.array(pixels, pa.string()),
    }
    return read_table(pa.table(columns), "source.images", scratch)
