"""Delta tables of other systems as sources: each of their files is one."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from factory_assets.spec import DeltaSource
from factory_assets.stages.found import Found, Place
from factory_resources.sources.delta import DeltaFile, delta_files, read_delta_file
from factory_resources.sources.digest_cache import Digested, Digests
from factory_resources.sources.files.reader import Raw


def found_delta(source: DeltaSource, place: Place) -> Iterator[Found]:
    """The files of the version in the order in which they were written.

    Raises:
        SourceError: no such table or version, or a file is missing.
    """
    ones = delta_files(source.delta, source.version, place.folder)
    files = tuple(one.file for one in ones)
    for one, there in zip(ones, Digests(place.home).of_files(files), strict=True):
        yield _delta_file(one, there)


def _delta_file(one: DeltaFile, there: Digested) -> Found:
    def read(own: Path) -> Raw:
        return read_delta_file(one, there.sha256, own)

    # What the log adds to a file's bytes: the values of its partition, and columns.
    added = json.dumps([one.columns, one.partition], default=str)
    version = sha256(f"{there.sha256} {added}".encode()).hexdigest()
    return Found(version, {}, read, there.bytes, require_unchanged=there.require_unchanged)
