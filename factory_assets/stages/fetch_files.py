"""Files as sources: each is one, known by the digest of its bytes."""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.spec import FileSource
from factory_assets.stages.found import Found, Place
from factory_resources.digests import Digested, Digests
from factory_resources.sources import find_files
from factory_resources.sources_read import Raw, read_file
from factory_resources.sources_text import TextRules


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
    rules = TextRules(source.delimiter, source.header, source.columns, source.encoding)
    labels = {source.label: there.file.label or ""} if source.label else {}

    def read(own: Path) -> Raw:
        return read_file(
            there.file,
            own,
            declared=source.format,
            member=source.member,
            rules=rules,
            digest=there.sha256,
        )

    return Found(there.sha256, labels, read, there.bytes, require_unchanged=there.require_unchanged)
