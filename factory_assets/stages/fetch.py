"""Fetch: which sources a pipeline reads at this moment, each with a version that tells its content.

Nothing is held against a contract here; that is `ingest`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.spec import FileSource, Pipeline, PythonSource
from factory_assets.stages.reference import load_object
from factory_resources.digests import Digested, Digests
from factory_resources.errors import FactoryError, SourceError
from factory_resources.home import Home
from factory_resources.sources import expand_all, find_files
from factory_resources.sources_read import Raw, read_file, read_table
from factory_resources.sources_text import TextRules

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Found:
    """One source that is there and not read yet."""

    version: str
    """Digest of its content, or of everything that determines it."""
    labels: Mapping[str, str]
    """Columns that hold the same value in each of its rows."""
    read: Callable[[Path], Raw]
    """Brings it into the common form, in an empty folder of its own."""
    bytes: int = 0
    """Its size; 0 where that is not known."""
    require_unchanged: Callable[[], None] = lambda: None
    """To be called when all has been read: raises where it is another by now."""


def find(pipeline: Pipeline, home: Home, scratch: Path) -> tuple[Found, ...]:
    """The sources in the order of their rows.

    Args:
        scratch: where a source that must be read to be known is kept until it is asked for.

    Raises:
        SourceError: a source is missing or unreadable.
    """
    source = pipeline.spec.ingest.source
    with told_where(pipeline):
        if isinstance(source, FileSource):
            return tuple(_files(source, pipeline.folder, home))
        return (_called(source, pipeline.folder, home, scratch),)


def sources_key(found: tuple[Found, ...]) -> str:
    """Digest of what reading would yield; the code of a Python source is not part of it."""
    content = [[dict(source.labels), source.version] for source in found]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def told_where(pipeline: Pipeline) -> Iterator[None]:
    """Name the pipeline in what went wrong."""
    try:
        yield
    except FactoryError as error:
        place = f"{pipeline.name}/ingest"
        if not error.where.startswith(place):
            error.where = f"{place}: {error.where}" if error.where else place
        raise


def _files(source: FileSource, folder: Path, home: Home) -> Iterator[Found]:
    rules = TextRules(source.delimiter, source.header, source.columns, source.encoding)
    patterns = source.files
    if isinstance(patterns, dict):
        # The order of keys in a declaration means nothing.
        patterns = dict(sorted(patterns.items()))
    for there in Digests(home).of_files(find_files(patterns, folder)):
        labels = {source.label: there.file.label or ""} if source.label else {}

        def read(own: Path, there: Digested = there) -> Raw:
            return read_file(
                there.file,
                own,
                declared=source.format,
                member=source.member,
                rules=rules,
                digest=there.sha256,
            )

        yield Found(there.sha256, labels, read, there.bytes, there.require_unchanged)


def _called(source: PythonSource, folder: Path, home: Home, scratch: Path) -> Found:
    if source.reads is None:
        raw = _call(source, folder, scratch)
        return Found(raw.sha256, {}, lambda own: raw)
    files = tuple(Digests(home).of_files(find_files(source.reads, folder)))
    content = [[there.sha256 for there in files], expand_all(source.args)]
    version = sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def require_unchanged() -> None:
        for there in files:
            there.require_unchanged()

    return Found(
        version,
        {},
        lambda own: _call(source, folder, own),
        require_unchanged=require_unchanged,
    )


def _call(source: PythonSource, folder: Path, scratch: Path) -> Raw:
    function = load_object(source.python, folder)
    try:
        result = function(**expand_all(source.args))
    except FactoryError:
        raise
    except Exception as error:
        raise SourceError(
            f"failed with {type(error).__name__}: {error}",
            where=source.python,
            remedy="correct the function or source.args",
        ) from error
    return read_table(_as_table(result, source.python), source.python, scratch)


def _as_table(result: object, name: str) -> "pyarrow.Table":
    import pyarrow

    if isinstance(result, pyarrow.Table):
        return result
    if type(result).__module__.startswith("pandas") and hasattr(result, "columns"):
        try:
            return pyarrow.Table.from_pandas(result, preserve_index=False)
        except (pyarrow.ArrowException, ValueError, TypeError) as error:
            raise SourceError(
                f"returned a frame with a column of mixed types ({error})",
                where=name,
                remedy="give each column one type",
            ) from error
    raise SourceError(
        f"returned {type(result).__name__}",
        where=name,
        remedy="return a pandas DataFrame or a pyarrow Table",
    )
