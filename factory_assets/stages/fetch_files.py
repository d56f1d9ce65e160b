"""Files as sources: each is one, known by the digest of its bytes."""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.spec import FileSource
from factory_assets.stages.found import Found, Place
from factory_resources.sources.digest_cache import Digested, Digests
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, find_files
from factory_resources.sources.files.reader import Raw, read_file


def found_files(source: FileSource, place: Place) -> Iterator[Found]:
    """The files in the order of their patterns and names; of a map, in the order of its labels.

    Raises:
        SourceError: a file is missing or unreadable.
    """
    patterns = source.files
    if isinstance(patterns, dict):
        # The order of keys in a declaration means nothing.
        patterns = dict(sorted(patterns.items()))
    for there in Digests(place.home).of_files(find_files(patterns, place.folder)):
        yield found_file(source, there)


def found_file(source: FileSource, there: Digested) -> Found:
    """One file that is read as the source declares."""
    labels = {source.label: there.file.label or ""} if source.label else {}
    return Found(
        there.sha256,
        labels,
        lambda own: read_as(source, there.file, there.sha256, own),
        there.bytes,
        require_unchanged=there.require_unchanged,
        name=there.file.name,
    )


def read_as(source: FileSource, file: File, digest: str, scratch: Path) -> Raw:
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
