"""Do what the entry of an erasure says, step by step.

Each step can be done again: an erasure that was killed is finished by doing all of them.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from factory_assets.erasure.emptied_partitions import remove_partitions
from factory_assets.erasure.intents import ErasureIntent, destroy, store_manifest
from factory_assets.erasure.read_sources import read_by
from factory_assets.erasure.table_rows import opened, rows_left, stored_files, table_paths
from factory_assets.results.record_graph import RecordGraph
from factory_resources.delta_protocol import LOG
from factory_resources.erasure.caches import drop_caches
from factory_resources.erasure.manifest import FOLDER, intent_file
from factory_resources.erasure.parquet import is_table_name
from factory_resources.erasure.scrubbing import scrub
from factory_resources.erasure.search import Occurrence, find_values
from factory_resources.erasure.shown_rows import blank_shown_rows
from factory_resources.errors import ExpressionError
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.erasure_entries import ErasureDone
from factory_resources.ledger.ledger import Ledger
from factory_resources.outcomes.erasing import erase_outcomes
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tables.delta_log import publish
from factory_resources.tables.logged_files import LoggedFile, logged_files
from factory_resources.tables.snapshot import Snapshot, TableFile
from factory_resources.tracking.record import Record


@dataclass(frozen=True)
class FinishedErasure:
    """What came of an erasure."""

    erasure: str
    done: ErasureDone
    left: tuple[Occurrence, ...]
    """Where there still are values of the person."""


def finish(intent: ErasureIntent, home: Home) -> FinishedErasure:
    """Do every step, search the home, and enter that it is done.

    Raises:
        StorageError: something cannot be written or removed.
    """
    store_manifest(intent.manifest, home)
    replace_records(intent, home)
    replace_current_files(intent, home)
    remove_old_files(intent, home)
    erase_answers(intent, home)
    remove_other_files(intent, home)
    remove_partitions(intent.partitions, intent.manifest.removed, home)
    clean_up(intent, home)
    left = search(intent, home)
    done = ErasureDone(
        subject=ErasureDone.subject_of(erasure=intent.manifest.id),
        searched=len(intent.values),
        not_searched=intent.not_searched,
        found=len(left),
    )
    # What was removed or replaced would be there again after a power cut, and nobody would look.
    home.sync()
    Ledger(home).append([done])
    destroy(intent_file(home, intent.manifest.id))
    return FinishedErasure(intent.manifest.id, done, tuple(left))


def replace_records(intent: ErasureIntent, home: Home) -> None:
    """Replace the records that named files with such rows, or had values of them."""
    for name, content in intent.records.items():
        path, expected = home.path / name, intent.manifest.records[name]
        with storage_errors(path):
            found = sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        # A run that came in between may have computed it again.
        if found == expected.was:
            home.write_atomic(path, content.encode())
        _link_copies(Record.model_validate_json(content), home)


def replace_current_files(intent: ErasureIntent, home: Home) -> None:
    """Let the newest version of each table have the files without the rows."""
    now = {name: one.now for name, one in intent.manifest.files.items()}
    tables = {name.rpartition("/")[0].partition("/")[2] for name in now}
    for table in sorted(tables):
        folder = home.tables / table
        if not (folder / LOG).is_dir():
            continue
        for partition, files in logged_files(folder).items():
            # What another program has added, no snapshot has.
            own = [file for file in files if is_table_name(file.name)]
            names = {file.name: f"tables/{table}/{_original(file.name)}" for file in own}
            if not now.keys() & set(names.values()):
                continue
            new = [_file(file, now.get(names[file.name]), home, table) for file in own]
            kept = [one for one in new if one.rows] or new[:1]
            distinct = {one.name: one for one in sorted(kept, key=lambda one: one.name)}
            publish(
                Snapshot(table=table, files=tuple(distinct.values()), columns={}), home, partition
            )


def remove_old_files(intent: ErasureIntent, home: Home) -> None:
    """Remove the files that had the rows, with their copies."""
    for name in intent.manifest.files:
        path = home.path / name
        with storage_errors(path):
            for old in [path, *path.parent.glob(f"{path.stem}-*.parquet")]:
                old.unlink(missing_ok=True)


def erase_answers(intent: ErasureIntent, home: Home) -> None:
    """Remove the answers about the person, and what became of them.

    Those too that came after the erasure was killed, which the manifest cannot name.
    """
    with PredictionLog(home) as log:
        for pipeline, erased in intent.manifest.pipelines.items():
            named = {*erased.answers, *_answered_since(intent, pipeline, home)}
            if named:
                requests = sorted(map(bytes.fromhex, named))
                log.erase(pipeline, requests, intent.manifest.id)
                # Nobody can tell an outcome of an answer that is not there any more.
                erase_outcomes(home, pipeline, requests, intent.manifest.id)


def _answered_since(intent: ErasureIntent, pipeline: str, home: Home) -> Iterator[str]:
    """Yield the ids of the requests about the person that are still there."""
    from factory_assets.erasure.answers import matching_requests, requests_with

    # Of a value on which the expression fails, nobody knows whose it is.
    with suppress(ExpressionError):
        yield from matching_requests(home, pipeline, intent.where, intent.known).requests
    yield from requests_with(home, pipeline, intent.searched)


def remove_other_files(intent: ErasureIntent, home: Home) -> None:
    """Remove files of models, looks at answers and declarations that have values of the person.

    So do records of partitions that had nothing else.
    """
    for name in intent.manifest.removed:
        path = home.path / name
        with storage_errors(path):
            path.unlink(missing_ok=True)
        if path.is_relative_to(home.watch):
            # A look is there as long as its folder is.
            with suppress(OSError):
                path.parent.rmdir()


def clean_up(intent: ErasureIntent, home: Home) -> None:
    """Remove what is computed again when it is needed, and replace values in databases and logs."""
    drop_caches(home, intent.manifest.pipelines.keys())
    blank_shown_rows(home, intent.manifest.pipelines.keys())
    scrub(home, intent.searched)


def search(intent: ErasureIntent, home: Home) -> list[Occurrence]:
    """Return where the home still has values of the person, or rows that satisfy the expression.

    Files of tables are asked by the expression, and for the numbers of the rows that are erased.
    """
    skip = {*table_paths(home), intent_file(home, intent.manifest.id)}
    counting = home.records, home.path / FOLDER, *home.tables.glob(f"*/*/{LOG}")
    found = [*find_values(home, intent.searched, skip=skip, counting=counting)]
    files = stored_files(home, intent.manifest.pipelines.keys())
    with home.scratch() as scratch, opened(files, scratch) as connection:
        read = read_by(RecordGraph.of(home))
        if left := rows_left(connection, files, intent.where, intent.manifest.sources, read):
            found.append(Occurrence("tables", "rows", "value", left))
    return found


def _original(name: str) -> str:
    """Return the name of the file that a copy is of."""
    return f"{name.removesuffix('.parquet').partition('-')[0]}.parquet"


def _file(logged: LoggedFile, now: str | None, home: Home, table: str) -> TableFile:
    """Return a logged file, or the one that replaces it."""
    digest, _, copy = logged.name.removesuffix(".parquet").partition("-")
    if now is None:
        return TableFile(
            sha256=digest, rows=logged.rows or 0, bytes=logged.bytes, copy_number=int(copy or 0)
        )
    import pyarrow.parquet

    path = home.tables / table / f"{now}.parquet"
    rows = pyarrow.parquet.read_metadata(path).num_rows
    return TableFile(sha256=now, rows=rows, bytes=path.stat().st_size, copy_number=int(copy or 0))


def _link_copies(record: Record, home: Home) -> None:
    """Link the files that a snapshot names more than once."""
    from factory_assets.results.record_graph import tables_of, value_in

    for snapshot in tables_of(value_in(record)).values():
        for path, file in zip(snapshot.paths(home), snapshot.files, strict=True):
            original = path.with_name(f"{file.sha256}.parquet")
            if file.copy_number and not path.exists() and original.exists():
                with storage_errors(path):
                    os.link(original, path)
