"""Ingest: read the source, hold it to its contract, keep what broke it apart.

Every row of the snapshot carries `_file`, the SHA-256 of its source file, and `_row`, the number of
its record in that file, from 1; rows keep the source's order.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.spec import FileSource, Pipeline, PythonSource
from factory_assets.stages.checked import Checked
from factory_assets.stages.reference import load_object
from factory_assets.stages.values import Ingested, SourceFile
from factory_resources.engine import engine_errors, sealed
from factory_resources.errors import ContractError, FactoryError, SourceError
from factory_resources.home import Home
from factory_resources.sources import digests, expand_all, find_files
from factory_resources.sources_read import Raw, read_file, read_table
from factory_resources.sources_text import TextRules
from factory_resources.tables import Prepared, commit, prepare

if TYPE_CHECKING:
    import duckdb
    import pyarrow


def ingest(pipeline: Pipeline, home: Home) -> Ingested:
    """Read every source file and store the rows that keep the contract, and those that do not.

    Raises:
        SourceError: the source cannot be read.
        ContractError: a promised column is missing, or more rows broke a rule than
            `max_quarantine` allows.
        StorageError: the disk says no.
    """
    with _told_where(pipeline), home.scratch() as scratch:
        raws = _read(pipeline, scratch)
        rows_read = sum(raw.rows for raw in raws)
        if not rows_read:
            raise SourceError(
                "has no rows", where=", ".join(raw.name for raw in raws), remedy="give some data"
            )
        with (
            sealed(read=[raw.path for raw in raws], write=scratch) as connection,
            engine_errors("contract", ContractError, "correct the contract"),
        ):
            checked = Checked.of(connection, pipeline.spec.ingest, raws)
            table = f"{pipeline.name}/ingest"
            good = prepare(connection, checked.good, table=table, folder=scratch)
            broken: Prepared | None = None
            counts: dict[str, int] = {}
            if good.rows < rows_read:
                counts = checked.counts(connection)
                _require_enough(pipeline, checked, connection, counts, good.rows, rows_read)
                broken = prepare(connection, checked.broken, table=table, folder=scratch)
        if good.rows + (broken.rows if broken else 0) != rows_read:
            raise RuntimeError(f"{pipeline.name}: rows were lost between source and snapshot")
        quarantine = commit(broken, home=home, table=f"{table}_quarantine") if broken else None
        snapshot = commit(good, home=home, table=table)
    return Ingested(
        snapshot=snapshot,
        quarantine=quarantine,
        sources=tuple(
            SourceFile(name=raw.name, sha256=raw.sha256, rows=raw.rows, label=raw.label)
            for raw in raws
        ),
        rows_read=rows_read,
        quarantined=counts,
        ignored_columns=checked.ignored,
    )


def ingest_key(pipeline: Pipeline, home: Home) -> str | None:
    """Digest of what the source reads: bytes of files, labels, arguments; None where only calling
    the source tells. The code of a Python source is not part of it.

    Raises:
        SourceError: a file is missing or unreadable.
    """
    source = pipeline.spec.ingest.source
    with _told_where(pipeline):
        if isinstance(source, FileSource):
            patterns, arguments = source.files, None
        elif source.reads is None:
            return None
        else:
            patterns, arguments = source.reads, expand_all(source.args)
        files = [
            (file.label, digest) for file, digest in digests(find_files(patterns, pipeline.folder))
        ]
    content = json.dumps([files, arguments], sort_keys=True, default=str)
    return sha256(content.encode()).hexdigest()


@contextmanager
def _told_where(pipeline: Pipeline) -> Iterator[None]:
    """Name the pipeline in what went wrong."""
    try:
        yield
    except FactoryError as error:
        place = f"{pipeline.name}/ingest"
        if not error.where.startswith(place):
            error.where = f"{place}: {error.where}" if error.where else place
        raise


def _read(pipeline: Pipeline, scratch: Path) -> list[Raw]:
    source = pipeline.spec.ingest.source
    if isinstance(source, PythonSource):
        return [_call(pipeline, source, scratch)]
    rules = TextRules(source.delimiter, source.header, source.columns, source.encoding)
    raws = []
    for number, file in enumerate(find_files(source.files, pipeline.folder)):
        own = scratch / f"source_{number}"
        own.mkdir()
        raws.append(read_file(file, own, declared=source.format, member=source.member, rules=rules))
    return raws


def _call(pipeline: Pipeline, source: PythonSource, scratch: Path) -> Raw:
    function = load_object(source.python, pipeline.folder)
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


def _require_enough(
    pipeline: Pipeline,
    checked: Checked,
    connection: "duckdb.DuckDBPyConnection",
    counts: dict[str, int],
    good: int,
    read: int,
) -> None:
    share = 1 - good / read
    if good and share <= pipeline.spec.ingest.max_quarantine:
        return
    rule = max(counts, key=lambda name: counts[name])
    raise ContractError(
        f"{read - good} of {read} rows break the contract, most of them {rule!r} "
        f"({counts[rule]} rows{checked.example(connection, rule)})",
        remedy="correct the contract or the source; ingest.max_quarantine sets the allowed share",
    )
