"""The columns of a source, where its files are at hand; reads no more of them than it must."""

import tempfile
from pathlib import Path

from factory_assets.spec import FileSource
from factory_resources.errors import SourceError
from factory_resources.sources.files.archives import first_bytes, take_member
from factory_resources.sources.files.delimited_text import LONGEST, TextRules, find_layout
from factory_resources.sources.files.discovery import File, find_files, format_of
from factory_resources.sources.files.reader import parquet_columns
from factory_resources.sql.engine import sealed

MOST_ZIPPED = 50_000_000
"""Bytes of a zip that is still unpacked for its header alone."""


def source_columns(source: FileSource, folder: Path) -> dict[str, tuple[str, ...]]:
    """Each file's name to its columns; a file that is not there or costs too much is left out.

    Raises:
        SourceError: a file that is there cannot be read.
    """
    try:
        files = find_files(source.files, folder)
    except SourceError:
        return {}
    found = ((file.name, _first_columns(file, source)) for file in files[:20])
    return {name: columns for name, columns in found if columns}


def _first_columns(file: File, source: FileSource) -> tuple[str, ...]:
    path, name = file.path, file.name
    kind, packing = format_of(str(path), source.format)
    if path.stat().st_size > MOST_ZIPPED and packing == "zip":
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        if packing == "zip":
            path, inner = take_member(path, name, source.member, Path(scratch))
            kind, packing = format_of(inner, source.format)
        # The keys of JSON Lines are known only from all lines; packed Parquet has its header last.
        if kind == "jsonl" or (kind == "parquet" and packing != "plain"):
            return ()
        if kind == "parquet":
            with sealed(read=[path], write=Path(scratch)) as connection:
                return tuple(parquet_columns(connection, path, name))
        rules = TextRules(source.delimiter, source.header, source.columns, source.encoding)
        return find_layout(first_bytes(path, name, packing, LONGEST), name, rules).columns
