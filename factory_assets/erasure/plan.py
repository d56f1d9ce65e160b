"""What an erasure would take away, found without changing anything.

How it is told belongs in `preview`; taking it away, in `steps`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.erasure.emptied_partitions import (
    PartitionKeys,
    emptied_files,
    emptied_partitions,
)
from factory_assets.erasure.own_values import PersonalValues, personal_values
from factory_assets.erasure.person_expression import require_expression
from factory_assets.erasure.read_sources import joined_sources, read_by, read_sources
from factory_assets.erasure.table_rows import (
    WHERE,
    PersonalRows,
    StoredTableFile,
    find_rows,
    opened,
    rules_at,
    stored_files,
    table_paths,
    values_at,
)
from factory_assets.execution.declaration_files import declarations_folder
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.monitoring.looks import with_dependents
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_resources.erasure.manifest import file_of
from factory_resources.erasure.search import holds_any
from factory_resources.erasure.search_terms import search_terms
from factory_resources.erasure.values import Value
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.ledger import Ledger, entries_in
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.sql.expressions import columns_of
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class LearnedVersion:
    """A model version that learned from rows of the person, or was judged on some."""

    pipeline: str
    version: int
    learned: int
    """Of its training and validation rows, those of the person."""
    judged: int
    """Of its test rows, those of the person."""
    rows: int
    """Its training and validation rows."""
    serves: bool
    remembers: bool
    """Whether its files have values that only rows of the person have, so that they go."""


@dataclass(frozen=True)
class SourceRows:
    """Rows of the person in a source."""

    name: str
    """As declared, or the SHA-256 of a source that no result names any more."""
    rows: tuple[int, ...]
    """Their numbers, from 1."""


@dataclass(frozen=True)
class ErasurePlan:
    """Everything that a home has of a person."""

    where: str
    paths: frozenset[Path]
    """Of all files of tables when it was made."""
    rows: PersonalRows
    rules: Mapping[tuple[str, str], Sequence[str]]
    """Table and SHA-256 of each quarantine's file to the broken rules of its rows of the person."""
    sources: tuple[SourceRows, ...]
    tables: Mapping[str, tuple[int, int]]
    """Table to the number of its files with such rows, and the most rows in one snapshot."""
    versions: tuple[LearnedVersion, ...]
    values: Mapping[str, frozenset[Value]] = field(repr=False)
    """Values by which the person is found, by pipeline: no other row has them."""
    not_searched: int
    """Values of the person that are too short to be told from others."""
    matched: Mapping[str, frozenset[object]] = field(repr=False)
    """All values of the columns that the expression names, by column."""
    answers: Mapping[str, tuple[str, ...]]
    """Pipeline to the ids of the requests about the person."""
    answered_rows: Mapping[str, int]
    """Pipeline to the rows of these requests together, also those of others."""
    unasked: Mapping[str, tuple[str, ...]]
    """Pipeline to the columns of the expression that its answers do not have."""
    held: frozenset[str]
    """Paths in the home of files of models, of looks at answers and of earlier declarations that
    have such values."""
    partitions: PartitionKeys = field(repr=False)
    """Those that have rows of the person alone, and go with their keys."""
    emptied: tuple[str, ...]
    """Keys of the sources that have rows of the person alone."""
    backups: tuple[tuple[int, str], ...]
    """Entry and time of each backup that was made, the newest first."""
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Pipeline to the sources with such rows that it has joined, if it lacks the columns of the
    expression: what it took from these rows stands in its own, and is not found."""
    alike: tuple[str, ...] = ()
    """Pipelines that lack the columns of the expression, and have texts of such rows, which else
    nobody has, in rows of their own: these may be the person's, too, and are not found."""
    hidden: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Pipeline to the columns of the expression of which its answers have protected values that
    nobody can compare."""

    @property
    def pipelines(self) -> list[str]:
        named = {table.partition("/")[0] for table in self.tables} | self.answers.keys()
        return sorted(named)

    @property
    def searched(self) -> set[Value]:
        """The values by which the person is found."""
        return {*chain(*self.values.values())}

    @property
    def is_empty(self) -> bool:
        return not self.tables and not any(self.answers.values())


def make_plan(
    where: str, pipelines: Sequence[Pipeline], home: Home, scratch: Path, names: Sequence[str] = ()
) -> ErasurePlan:
    """Find everything that the home has of a person.

    Args:
        pipelines: those that are declared now, whose answers are asked.
        names: only these pipelines; empty for all.

    Raises:
        ExpressionError: the expression is wrong.
        UnknownNameError: no table has its columns, or one of the pipelines has no table.
        StorageError: a record or a table is damaged.
    """
    from factory_assets.erasure.answers import answers_of_person

    graph, every = RecordGraph.of(home), stored_files(home)
    files = _named_files(every, names, home)
    with opened(every, scratch) as connection:
        require_expression(connection, files, where)
        with redact_errors(*pipelines):
            rows = find_rows(connection, files, where, read_by(graph))
        values = personal_values(connection, rows, every)
        matched = _matched(connection, rows, where)
        rules = {
            (file.table, file.sha256): rules_at(connection, file, places)
            for file, places in rows.positions.items()
        }
    found = {
        pipeline.name: answers_of_person(pipeline, where, rows, values.own, matched, home)
        for pipeline in pipelines
        if not names or pipeline.name in names
    }
    held = frozenset(_held(home, {*chain(*values.own.values())}))
    lacking = _lacking(files, where)
    return ErasurePlan(
        where=where,
        paths=frozenset(table_paths(home)),
        rows=rows,
        rules=rules,
        sources=tuple(_sources(graph, rows)),
        tables=_tables(graph, rows),
        versions=tuple(_versions(graph, rows, held, home)),
        held=held,
        values=values.own,
        not_searched=values.short,
        matched=matched,
        answers={name: one.requests for name, one in found.items() if one.requests},
        answered_rows={
            name: _rows_of(one.requests, home) for name, one in found.items() if one.requests
        },
        unasked={name: one.missing for name, one in found.items() if one.missing},
        partitions=emptied_partitions(graph, rows),
        emptied=tuple(emptied_files(graph, rows)),
        backups=tuple(_backups(home)),
        joined=_joined(graph, rows, lacking),
        alike=_alike(values, lacking),
        hidden={name: one.hidden for name, one in found.items() if one.hidden},
    )


def _named_files(
    every: Sequence[StoredTableFile], names: Sequence[str], home: Home
) -> list[StoredTableFile]:
    """Return the files of the named pipelines, or all if none is named."""
    known = {file.pipeline for file in every}
    if not known:
        raise UnknownNameError(
            "there is no table", where=str(home.path), remedy="run a pipeline first"
        )
    if unknown := sorted({*names} - known):
        raise UnknownNameError(
            f"no pipeline {unknown[0]!r} has tables", remedy=suggest(unknown[0], known)
        )
    return [file for file in every if not names or file.pipeline in names]


def _matched(
    connection: "duckdb.DuckDBPyConnection", rows: PersonalRows, where: str
) -> dict[str, frozenset[object]]:
    columns = columns_of(where, WHERE)
    found: dict[str, set[object]] = {}
    for file, places in rows.positions.items():
        for column, some in values_at(connection, file, places, columns).items():
            found.setdefault(column, set()).update(some)
    return {column: frozenset(some) for column, some in found.items()}


def _sources(graph: RecordGraph, rows: PersonalRows) -> Iterator[SourceRows]:
    read = read_sources(graph)
    inner = {file.sha256 for file in rows.positions}
    for source, numbers in sorted(rows.sources.items()):
        if source not in inner:
            name = read[source].name if source in read else file_of(source)[:12]
            yield SourceRows(name, tuple(sorted(numbers)))


def _lacking(files: Iterable[StoredTableFile], where: str) -> set[str]:
    """Return the pipelines that lack the columns of the expression in all their tables."""
    columns = columns_of(where, WHERE)
    return {file.pipeline for file in files} - {f.pipeline for f in files if f.has(columns)}


def _alike(values: PersonalValues, lacking: set[str]) -> tuple[str, ...]:
    # What rows of others that were asked have, too, such as a town, does not tell a person.
    found = [some for some in values.shared.values() if some <= lacking]
    return tuple(sorted({pipeline for some in found for pipeline in some}))


def _joined(
    graph: RecordGraph, rows: PersonalRows, lacking: set[str]
) -> dict[str, tuple[str, ...]]:
    joined = joined_sources(graph, rows.sources.keys())
    return {pipeline: names for pipeline, names in joined.items() if pipeline in lacking}


def _tables(graph: RecordGraph, rows: PersonalRows) -> dict[str, tuple[int, int]]:
    of_person = _counter(rows)
    most: dict[str, int] = {}
    for record in graph.records:
        for snapshot in tables_of(value_in(record)).values():
            most[snapshot.table] = max(of_person(snapshot), most.get(snapshot.table, 0))
    files = Counter(file.table for file in rows.positions)
    return {table: (number, most.get(table, 0)) for table, number in sorted(files.items())}


def _counter(rows: PersonalRows) -> Callable[[Snapshot], int]:
    """Return what counts the rows of the person in a snapshot."""
    counts = {(file.table, file.sha256): len(p) for file, p in rows.positions.items()}
    return lambda one: sum(counts.get((one.table, file.sha256), 0) for file in one.files)


def _versions(
    graph: RecordGraph, rows: PersonalRows, held: frozenset[str], home: Home
) -> Iterator[LearnedVersion]:
    of_person, registry = _counter(rows), Registry(home)
    serving = cache(registry.serving)
    for record in graph.records:
        if record.stage != "train":
            continue
        candidate = value_in(record)
        splits = [value_in(one) for one in graph.inputs(record) if one.stage == "split"]
        for split in splits:
            assert isinstance(candidate, Candidate)
            assert isinstance(split, SplitResult)
            learned = of_person(split.train) + of_person(split.validation)
            judged = of_person(split.test)
            if learned or judged:
                yield LearnedVersion(
                    candidate.model,
                    candidate.version,
                    learned,
                    judged,
                    split.train.rows + split.validation.rows,
                    serving(candidate.model) == candidate.version,
                    _remembers(candidate, held, registry),
                )


def _held(home: Home, values: Iterable[Value]) -> Iterator[str]:
    """Yield the files of models, of looks and of declarations that have one of the values."""
    terms = search_terms([*values])
    if not terms.values:
        return
    for folder in (home.artifacts, home.watch, declarations_folder(home)):
        for path in sorted(folder.rglob("*")):
            # A manifest lists the digests of the others, and is needed to tell what is missing.
            if path.is_file() and path.name != MANIFEST and holds_any(path, terms):
                together = with_dependents(path) if folder == home.watch else [path]
                yield from (str(one.relative_to(home.path)) for one in together)


def _remembers(candidate: Candidate, held: frozenset[str], registry: Registry) -> bool:
    if not held:
        return False
    version = registry.version(candidate.model, candidate.version)
    folders = [version.files, registry.run_files(candidate.model, version.run_id)]
    own = [f"{folder.relative_to(registry.home.path)}/" for folder in folders]
    return any(path.startswith(tuple(own)) for path in held)


def _rows_of(requests: Iterable[str], home: Home) -> int:
    with PredictionLog(home) as log:
        facts = log.facts([bytes.fromhex(one) for one in requests])
    return sum(one.rows for one in facts.values())


def _backups(home: Home) -> Iterator[tuple[int, str]]:
    ledger = Ledger(home)
    if not ledger.exists:
        return
    with ledger.reading() as log:
        for number, entry in reversed([*entries_in(log, BackupMade, BackupMade.subject_of())]):
            yield number, entry.time
