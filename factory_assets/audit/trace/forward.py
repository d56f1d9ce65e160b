"""Trace forward: from a source, or one of its rows, to the parts and models that its rows reach."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from factory_assets.audit.references import step_name
from factory_assets.audit.trace.answers_given import GivenAnswers
from factory_assets.audit.trace.report import ModelUse, RowPlace, RowRoute, StagePassage
from factory_assets.audit.trace.rows import open_snapshot
from factory_assets.audit.trace.verification import Checker, worst
from factory_assets.results.data import SourceFile
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, identity, tables_of, value_in
from factory_resources.erasure.manifest import erased_of, erased_rows
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sources.files.archives import member_of
from factory_resources.sql.engine import identifier, literal
from factory_resources.sql.spelling import unified_sql
from factory_resources.tables.snapshot import Snapshot, exists
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    import duckdb


Run = tuple[str, int, int]
"""Consecutive records of a source: its SHA-256, the first and the last number."""


@dataclass(frozen=True)
class FollowedRows:
    """The rows to follow: all rows of one source, or single rows of several."""

    digests: frozenset[str]
    runs: tuple[Run, ...] | None = None
    """None for all rows."""
    member: str = ""
    """The member of a zip that they are in, whose members have their digest in common; empty for
    all of them."""
    source: SourceFile | None = None
    """What the ingest that they are followed from calls this member."""

    @classmethod
    def of(cls, digest: str, record: int | None, member: str = "") -> "FollowedRows":
        runs = None if record is None else ((digest, record, record),)
        return cls(frozenset({digest}), runs, member)

    @property
    def single(self) -> bool:
        return self.runs is not None and [first == last for _, first, last in self.runs] == [True]

    @contextmanager
    def within(self, table: Snapshot, home: Home) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Open an engine with the view `matched`: the followed rows that the table contains.

        Raises:
            StorageError: a file of the table is gone or damaged.
        """
        with open_snapshot(table, home) as connection:
            if self.runs is None:
                digests = ", ".join(map(literal, sorted(self.digests)))
                condition = f"_file IN ({digests})"
            else:
                columns = [[*column] for column in zip(*self.runs, strict=True)] or [[], [], []]
                connection.execute(
                    "CREATE TEMP TABLE followed AS "
                    "SELECT source, unnest(range(first, last + 1)) AS record FROM "
                    "(SELECT unnest(?::VARCHAR[]) AS source, unnest(?::BIGINT[]) AS first, "
                    "unnest(?::BIGINT[]) AS last)",
                    columns,
                )
                condition = "EXISTS (SELECT 1 FROM followed WHERE source = _file AND record = _row)"
            for name, value in (
                self.source.constants(table.columns) if self.source else {}
            ).items():
                same = "NULL" if value is None else literal(value)
                condition += f" AND CAST({identifier(name)} AS VARCHAR) IS NOT DISTINCT FROM {same}"
            connection.execute(f"CREATE TEMP VIEW matched AS FROM stored WHERE {condition}")
            yield connection


@dataclass(frozen=True)
class ForwardTracer:
    """Follows rows through the records of one home."""

    history: RecordGraph
    registry: Registry
    checker: Checker
    answers: GivenAnswers

    @property
    def home(self) -> Home:
        return self.history.home

    def fates(self, rows: FollowedRows) -> tuple[RowRoute, ...]:
        """Return every route of the rows; routes with the same data versions are merged."""
        ingests = (r for r in self.history.records if r.stage == "ingest" and _sources(r, rows))
        return tuple(self._route(chains, rows) for chains in self._alike(ingests))

    def _alike(self, ingests: Iterable[Record]) -> Iterable[Sequence[Sequence[Record]]]:
        """Return the chains from these records on, those with the same data versions together.

        There are several if other code, as of a newer factory, has computed the same again.
        """
        found = defaultdict[tuple[str, ...], list[Sequence[Record]]](list)
        for ingest in ingests:
            for chain in self._chains([ingest]):
                found[ingest.pipeline, *(r.data_version for r in chain)].append(chain)
        return found.values()

    def _chains(self, chain: list[Record]) -> Iterator[list[Record]]:
        """Extend a chain of records of one pipeline in every way, at most to the split."""
        last = chain[-1]
        later = [
            user
            for user in self.history.users(last)
            if user.pipeline == last.pipeline and user.stage in {"clean", "split"}
        ]
        if not later:
            yield chain
        for user in later:
            yield from self._chains([*chain, user])

    def _route(self, chains: Sequence[Sequence[Record]], rows: FollowedRows) -> RowRoute:
        chain = chains[-1]
        joined = _joined(chain[0], rows)
        if rows.member:
            rows = replace(rows, source=_sources(chain[0], rows)[0])
        passages: list[StagePassage] = []
        for record in chain:
            # If no row passed the stage before, none reaches this one.
            if passages and passages[-1].rows.get("snapshot") == 0:
                break
            before = passages[-1] if passages else None
            passages.append(self._passage(record, rows, before, joined))
        reached = len(passages) == len(chain) and chain[-1].stage == "split"
        steps = [[*{identity(r): r for r in alike}.values()] for alike in zip(*chains, strict=True)]
        return RowRoute(
            passages=tuple(passages),
            models=tuple(self._models(steps[-1], passages[-1])) if reached else (),
            into=() if joined else tuple(self._downstream(steps[: len(passages)], rows)),
        )

    def _passage(
        self, record: Record, rows: FollowedRows, before: StagePassage | None, joined: str
    ) -> StagePassage:
        tables = tables_of(value_in(record))
        state = worst(self.checker.snapshot(table) for table in tables.values())
        matches = _Matches({}, {}, [])
        # A join adds columns: the rows of its table cannot be found in the result.
        if not joined and all(exists(table, self.home) for table in tables.values()):
            try:
                matches = self._matches(record, tables, rows, before)
            except StorageError as error:
                self.checker.problems.append(str(error))
        return StagePassage(
            step=step_name(record),
            stage=record.stage,
            partition=record.partition,
            state=state,
            rows=matches.counts,
            rules=matches.rules,
            places=tuple(matches.places),
            joined=joined,
        )

    def _matches(
        self,
        record: Record,
        tables: Mapping[str, Snapshot],
        rows: FollowedRows,
        before: StagePassage | None,
    ) -> "_Matches":
        matches = _Matches({}, {}, [])
        for part, table in tables.items():
            with rows.within(table, self.home) as connection:
                matches.counts[part] = _count(connection)
                if part == "quarantine":
                    matches.rules.update(_rules(connection, [*record.value["quarantined"]]))
                if rows.single:
                    broken = tuple(matches.rules) if part == "quarantine" else ()
                    numbers = connection.execute("SELECT _number FROM matched ORDER BY 1")
                    matches.places.extend(
                        RowPlace(part=part, row=n, rules=broken) for (n,) in numbers.fetchall()
                    )
        arrived = before.rows.get("snapshot", 0) if before else 0
        if record.stage == "clean":
            matches.counts["duplicates"] = arrived - sum(matches.counts.values())
        if rows.single and not matches.places:
            matches.places.append(self._absent_place(record, rows, arrived))
        return matches

    def _absent_place(self, record: Record, rows: FollowedRows, arrived: int) -> RowPlace:
        """Return the place of a row that is in none of the stage's tables."""
        if record.stage != "clean" or not arrived:
            part = "erased" if rows.runs and self._are_erased(rows, rows.runs) else "not there"
            return RowPlace(part=part, row=None, rules=())
        kept = self._kept_duplicate(record, rows)
        return RowPlace(part="duplicate", row=None, rules=(), same_as=kept)

    def _are_erased(self, rows: FollowedRows, runs: Iterable[Run]) -> bool:
        erased, name = erased_rows(self.home), rows.source.name if rows.source else ""
        return all(first in erased_of(erased, source, name) for source, first, _ in runs)

    def _kept_duplicate(self, clean: Record, rows: FollowedRows) -> int | None:
        """Return the record of the same source that was kept in place of a duplicate, if any."""
        declared = clean.parts.get("declaration") or {}
        same, unified = declared.get("deduplicate") or [], declared.get("unify") or []
        key = same["key"] if isinstance(same, dict) else same
        ingest = next((r for r in self.history.inputs(clean) if r.stage == "ingest"), None)
        if not key or ingest is None:
            return None
        names = ", ".join(
            unified_sql(identifier(name)) if name in unified else identifier(name) for name in key
        )
        table = tables_of(value_in(ingest))["snapshot"]
        with rows.within(table, self.home) as connection:
            own = connection.execute(f"SELECT {names} FROM matched").fetchone()
        same = " AND ".join(f"{identifier(name)} IS NOT DISTINCT FROM ?" for name in key)
        kept = tables_of(value_in(clean))["snapshot"]
        with open_snapshot(kept, self.home) as connection:
            found = connection.execute(
                f"SELECT _row FROM stored WHERE {same} AND _file = ? LIMIT 1",
                [*(own or ()), *rows.digests],
            ).fetchone()
        return int(found[0]) if found else None

    def _models(self, splits: Iterable[Record], passage: StagePassage) -> Iterator[ModelUse]:
        for record in (user for split in splits for user in self.history.users(split)):
            value = value_in(record)
            if not isinstance(value, Candidate):
                continue
            verdicts = self.history.about(value.model, value.version, "evaluate")
            verdict = value_in(verdicts[-1]) if verdicts else None
            yield ModelUse(
                name=f"{value.model}@{value.version}",
                champion=self.registry.champion(value.model) == value.version,
                passed=verdict.passed if isinstance(verdict, EvaluationResult) else None,
                rows=passage.rows,
                knows_validation=value.knows_validation or None,
                answers=self.answers.of(value.model, value.version),
            )

    def _downstream(
        self, steps: Sequence[Sequence[Record]], rows: FollowedRows
    ) -> Iterator[RowRoute]:
        """Yield the routes through other pipelines that read a snapshot of this one."""
        for alike in steps:
            users = (user for record in alike for user in self.history.users(record))
            others = [user for user in users if user.pipeline != alike[-1].pipeline]
            table = tables_of(value_in(alike[-1])).get("snapshot")
            if not others or table is None or not exists(table, self.home):
                continue
            with rows.within(table, self.home) as connection:
                passed_on = _as_source(connection, table)
            for further in self._alike(others):
                yield self._route(further, passed_on)


@dataclass(frozen=True)
class _Matches:
    """The followed rows in a stage's tables: counts by part, broken rules, places."""

    counts: dict[str, int]
    rules: dict[str, int]
    places: list[RowPlace]


def _sources(ingest: Record, rows: FollowedRows) -> list[SourceFile]:
    """Return the sources of an ingest that the rows may be of; those of rows come before joins."""
    # The whole result would take long to be read, for each of thousands of partitions.
    read = (one for one in ingest.value["sources"] if one["sha256"] in rows.digests)
    found = map(SourceFile.model_validate, read)
    named = (one for one in found if not rows.member or member_of(one.name) == rows.member)
    return sorted(named, key=lambda one: bool(one.join))


def _joined(ingest: Record, rows: FollowedRows) -> str:
    """Return the join whose table the source is; empty if it is a source of rows."""
    return _sources(ingest, rows)[0].join


def _count(connection: "duckdb.DuckDBPyConnection") -> int:
    found = connection.execute("SELECT count(*) FROM matched").fetchone()
    return int(found[0]) if found else 0


def _rules(connection: "duckdb.DuckDBPyConnection", known: Sequence[str]) -> dict[str, int]:
    total: dict[str, int] = {}
    counts = connection.execute("SELECT _rules, count(*) FROM matched GROUP BY 1").fetchall()
    for text, count in counts:
        for rule in broken_rules(text, known):
            total[rule] = total.get(rule, 0) + count
    return total


def _as_source(connection: "duckdb.DuckDBPyConnection", table: Snapshot) -> FollowedRows:
    """Identify the matched rows as another pipeline does: by the snapshot's file and number."""
    pieces, before = [], 0
    for file in table.files:
        end = before + file.rows
        pieces.append(
            f"SELECT {literal(file.sha256)} AS source, _number - {before} AS record FROM matched "
            f"WHERE _number > {before} AND _number <= {end}"
        )
        before = end
    # Numbers less their rank are the same within a run.
    runs = connection.execute(
        "SELECT source, min(record), max(record) FROM (SELECT source, record, "
        "record - row_number() OVER (PARTITION BY source ORDER BY record) AS run "
        f"FROM ({' UNION ALL '.join(pieces)})) GROUP BY source, run ORDER BY ALL"
    ).fetchall()
    return FollowedRows(frozenset(file.sha256 for file in table.files), tuple(runs))


def broken_rules(text: str, known: Sequence[str]) -> list[str]:
    """Return the known rules that a quarantined row broke; a rule's name may contain commas."""
    return [rule for rule in known if f",{rule}," in f",{text},"]
