"""Image files as a source: one table, a row a file, known by the bytes of all of them."""

import json
from hashlib import sha256
from pathlib import Path

from factory_assets.spec.source_images import ImageSource
from factory_assets.stages.found import Found, Place
from factory_resources.errors import SourceError
from factory_resources.sources.digest_cache import Digested, Digests
from factory_resources.sources.files.discovery import find_files
from factory_resources.sources.files.images import SUFFIXES, written
from factory_resources.sources.files.reader import Raw, read_table


def found_images(source: ImageSource, place: Place) -> Found:
    """The images in the order of their paths; one that cannot be read has no pixels.

    Raises:
        SourceError: a pattern matches nothing, or what is no image by its name.
    """
    files = tuple(Digests(place.home).of_files(find_files(source.images, place.folder)))
    for there in files:
        if there.file.path.suffix.lower() not in SUFFIXES:
            raise SourceError(
                f"{there.file.name} is no image",
                where="source.images",
                remedy=f"name files that end in {', '.join(SUFFIXES)}",
            )
    content = [[there.file.name, there.sha256] for there in files]
    version = sha256(json.dumps([content, source.model_dump(mode="json")]).encode()).hexdigest()

    def read(own: Path) -> Raw:
        return _table(source, files, own)

    def require_unchanged() -> None:
        for there in files:
            there.require_unchanged()

    return Found(
        version,
        {},
        read,
        bytes=sum(there.bytes for there in files),
        require_unchanged=require_unchanged,
    )


def _table(source: ImageSource, files: tuple[Digested, ...], scratch: Path) -> Raw:
    import pyarrow as pa

    grey = source.colours == "grey"
    pixels = [written(there.file.path.read_bytes(), source.size, grey=grey) for there in files]
    columns = {
        "path": [there.file.name for there in files],
        "sha256": [there.sha256 for there in files],
        **({source.label: [f.file.path.parent.name for f in files]} if source.label else {}),
        "pixels": pa.array(pixels, pa.string()),
    }
    return read_table(pa.table(columns), "source.images", scratch)
