"""Files as sources: local files, objects of S3-compatible storage, folders of images.

Each file or object is a source, identified by the digest of its bytes; an object is only fetched if
its digest is not known yet. Images form a single source, a table with one row per file. Reading a
file format belongs in `factory_resources.sources.files`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.spec import FileSource
from factory_assets.spec.sources import ImageSource
from factory_assets.spec.sources import Storage as StorageSpec
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret
from factory_resources.sources.digest_cache import DigestedFile, changed
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import (
    File,
    expand,
    find_files,
    format_of,
    require_distinct,
    require_distinct_names,
)
from factory_resources.sources.files.images import SUFFIXES, read_picture
from factory_resources.sources.files.reader import SourceTable, read_file, read_table
from factory_resources.sources.object_storage import (
    S3_PREFIX,
    Object,
    ObjectStorage,
    fetch,
    file_name,
    find_objects,
    known_digest,
    list_matches,
    remember,
)
from factory_resources.sql.shared_engines import SharedEngines


def discover_files(source: FileSource, context: SourceContext) -> Iterator[SourceHandle]:
    """Yield the files in the order of their patterns and names; of a map, in that of its labels.

    Raises:
        SourceError: a file is missing or unreadable, or would be read twice.
    """
    files = find_files(_patterns(source), context.folder)
    require_distinct(files, "source.files")
    for digested in context.digests.of_files(files):
        yield discover_file(source, digested)


def _patterns(source: FileSource) -> Mapping[str, str] | tuple[str, ...]:
    """Return the declared patterns; the order of keys in a declaration has no meaning."""
    patterns = source.files
    return dict(sorted(patterns.items())) if isinstance(patterns, dict) else patterns


def discover_file(source: FileSource, digested: DigestedFile) -> SourceHandle:
    """Return the handle of one file, which is read as the source declares."""
    labels = {source.label: digested.file.label or ""} if source.label else {}
    return SourceHandle(
        digested.sha256,
        labels,
        partial(read_as, source, digested.file, digested.sha256),
        digested.bytes,
        require_unchanged=digested.require_unchanged,
        name=digested.file.name,
        identity=digested.sha256,
    )


def read_as(
    source: FileSource,
    file: File,
    digest: str,
    scratch: Path,
    *,
    once: bool = False,
    engines: SharedEngines | None = None,
) -> SourceTable:
    """Read the file as the source declares; the arguments are those of `read_file`.

    Raises:
        SourceError: whatever is wrong with the file, in one line.
    """
    return read_file(
        file,
        scratch,
        declared=source.format,
        member=source.member,
        rules=text_rules(source),
        digest=digest,
        once=once,
        engines=engines,
    )


def text_rules(source: FileSource) -> TextRules:
    """Return what the source declares about its text files."""
    return TextRules(
        source.delimiter,
        source.header,
        source.columns,
        source.encoding,
        source.skip,
        source.until or "",
    )


def discover_objects(source: FileSource, context: SourceContext) -> Iterator[SourceHandle]:
    """Yield the objects in the order of their patterns and names; of a map, in that of its labels.

    Raises:
        SourceError: nothing matches, a key is not set, the storage refuses access, or an object
            has no known format or would be read twice.
    """
    storage = storage_of(source, context.home)
    digests = context.digests
    objects = find_objects(_patterns(source), storage)
    require_distinct_names(((one.path, one.name) for one in objects), "source.files")
    for one in objects:
        # Before any is fetched, and by the name that its user knows.
        format_of(one.name, source.format)
    for number, one in enumerate(objects):
        folder = context.scratch / str(number)
        folder.mkdir()
        digest = known_digest(one, storage, digests)
        if digest is None:
            digest = fetch(one, storage, folder / file_name(one))
            remember(one, storage, digests, digest)
        yield _object_handle(source, one, digest, folder, storage)


def matching_objects(source: FileSource, pattern: str, home: Home) -> list[str]:
    """Return the names of the objects that a pattern matches, in order; there may be none.

    Raises:
        SourceError: a key is not set, or the storage refuses access.
    """
    listing = storage_of(source, home).listing
    infos = list_matches(listing, expand(pattern).removeprefix(S3_PREFIX))
    return [S3_PREFIX + str(info.path) for info in infos]


def storage_of(source: FileSource, home: Home) -> ObjectStorage:
    """Return the storage that holds the source's objects, with its access keys."""
    declared = source.storage or StorageSpec()
    return ObjectStorage(
        endpoint=expand(declared.endpoint),
        region=expand(declared.region),
        access_key=secret(declared.access_key, home),
        secret_key=secret(declared.secret_key, home),
    )


def _object_handle(
    source: FileSource, one: Object, digest: str, folder: Path, storage: ObjectStorage
) -> SourceHandle:
    path = folder / file_name(one)
    labels = {source.label: one.label or ""} if source.label else {}

    def read(own: Path, *, engines: SharedEngines | None = None, **_: object) -> SourceTable:
        if not path.is_file() and fetch(one, storage, path) != digest:
            raise changed(one.name)
        return read_as(source, File(path, one.name), digest, own, engines=engines)

    return SourceHandle(digest, labels, read, one.bytes, identity=digest)


def discover_images(source: ImageSource, context: SourceContext) -> SourceHandle:
    """Return one table of the images in the order of their paths.

    An image that cannot be read has no pixels.

    Raises:
        SourceError: a pattern matches nothing, a file whose name is not that of an image, or one
            that another pattern matches, too.
    """
    found = find_files(source.images, context.folder)
    require_distinct(found, "source.images")
    files = tuple(context.digests.of_files(found))
    for digested in files:
        if digested.file.path.suffix.lower() not in SUFFIXES:
            raise SourceError(
                f"{digested.file.name} is not an image",
                where="source.images",
                remedy=f"name files that end in {', '.join(SUFFIXES)}",
            )
    content = [[digested.file.name, digested.sha256] for digested in files]
    version = sha256(json.dumps([content, source.model_dump(mode="json")]).encode()).hexdigest()

    def read(own: Path, **_: object) -> SourceTable:
        return _image_table(source, files, own)

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


def _image_table(source: ImageSource, files: Sequence[DigestedFile], scratch: Path) -> SourceTable:
    import pyarrow as pa

    grey = source.colours == "grey"
    pixels = [read_picture(digested.file, source.size, grey=grey) for digested in files]
    columns = {
        "path": [digested.file.name for digested in files],
        "sha256": [digested.sha256 for digested in files],
        **({source.label: [f.file.path.parent.name for f in files]} if source.label else {}),
        "pixels": pa.array(pixels, pa.string()),
    }
    return read_table(pa.table(columns), "source.images", scratch)
