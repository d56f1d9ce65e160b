"""Forward: from a source, or one of its rows, to where the rows went and which models they fed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.audit.trace.backward import step_name
from factory_assets.audit.trace.report import Fed, Passage, RowPlace, RowRoute
from factory_assets.audit.trace.rows import opened
from factory_assets.audit.trace.verification import Checker, worst
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sql.engine import identifier, literal
from factory_resources.tables.snapshot import Snapshot, exists
from factory_resources.tracking.records import Record
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    import duckdb
    import pyarrow


@dataclass(frozen=True)
class Followed:
    """Rows that are followed: all of one source, or single ones of several."""

    digests: frozenset[str]
    rows: "pyarrow.Table | None" = None
    """Columns `source` and `record`; None for all rows."""

    @classmethod
    def one(cls, digest: str, record: int) -> "Followed":
        import pyarrow

        return cls(frozenset({digest}), pyarrow.table({"source": [digest], "record": [record]}))

    @property
    def single(self) -> bool:
        return self.rows is not None and self.rows.num_rows == 1

    @contextmanager
    def within(self, table: Snapshot, home: Home) -> Iterator["duckdb.DuckDBPyConnection"]:
        """An engine with the view `met`: those of the rows that the table has.

        Raises:
            StorageError: a file of the table is gone or damaged.
        """
        with opened(table, home) as connection:
            if self.rows is None:
                digests = ", ".join(map(literal, sorted(self.digests)))
                met = f"_file IN ({digests})"
            else:
                connection.register("followed", self.rows)
                met = "EXISTS (SELECT 1 FROM followed WHERE source = _file AND record = _row)"
            connection.execute(f"CREATE TEMP VIEW met AS FROM kept WHERE {met}")
            yield connection


@dataclass(frozen=True)
class ForwardTracer:
    """Follows rows through the records of one home."""

    history: RecordGraph
    registry: Registry
    checker: Checker

    @property
    def home(self) -> Home:
        return self.history.home

    def fates(self, rows: Followed) -> tuple[RowRoute, ...]:
        """Every way that the rows went; ways that stored the same are one."""
        found = {}
        for ingest in self.history.records:
            if ingest.stage == "ingest" and rows.digests & _digests(ingest):
                for way in self._ways([ingest]):
                    found[tuple(r.data_version for r in way)] = way
        return tuple(self._fate(way, rows) for way in found.values())

    def _ways(self, way: list[Record]) -> Iterator[list[Record]]:
        """The records of one pipeline in which the rows may be, from ingest to split."""
        last = way[-1]
        later = [
            user
            for user in self.history.users(last)
            if user.pipeline == last.pipeline and user.stage in {"clean", "split"}
        ]
        if not later:
            yield way
        for user in later:
            yield from self._ways([*way, user])

    def _fate(self, way: Sequence[Record], rows: Followed) -> RowRoute:
        joined = _joined(way[0], rows)
        passages: list[Passage] = []
        for record in way:
            # Where no row came from before, none goes on.
            if passages and passages[-1].rows.get("snapshot") == 0:
                break
            before = passages[-1] if passages else None
            passages.append(self._passage(record, rows, before, joined))
        reached = len(passages) == len(way) and way[-1].stage == "split"
        return RowRoute(
            passages=tuple(passages),
            models=tuple(self._fed(way[-1], passages[-1])) if reached else (),
            into=() if joined else tuple(self._into(way[: len(passages)], rows)),
        )

    def _passage(
        self, record: Record, rows: Followed, before: Passage | None, joined: str
    ) -> Passage:
        tables = tables_of(value_in(record))
        state = worst(self.checker.snapshot(table) for table in tables.values())
        met = _Met({}, {}, [])
        # A joined table has no rows of its own in what it was joined to.
        if not joined and all(exists(table, self.home) for table in tables.values()):
            try:
                met = self._met(record, tables, rows, before)
            except StorageError as error:
                self.checker.problems.append(str(error))
        return Passage(
            step=step_name(record),
            stage=record.stage,
            partition=record.partition,
            state=state,
            rows=met.counts,
            rules=met.rules,
            places=tuple(met.places),
            joined=joined,
        )

    def _met(
        self,
        record: Record,
        tables: Mapping[str, Snapshot],
        rows: Followed,
        before: Passage | None,
    ) -> "_Met":
        met = _Met({}, {}, [])
        for part, table in tables.items():
            with rows.within(table, self.home) as connection:
                met.counts[part] = _count(connection)
                if part == "quarantine":
                    met.rules.update(_rules(connection, [*record.value["quarantined"]]))
                if rows.single:
                    broken = tuple(met.rules) if part == "quarantine" else ()
                    numbers = connection.execute("SELECT _number FROM met ORDER BY 1").fetchall()
                    met.places.extend(RowPlace(part=part, row=n, rules=broken) for (n,) in numbers)
        came = before.rows.get("snapshot", 0) if before else 0
        if record.stage == "clean":
            met.counts["duplicates"] = came - sum(met.counts.values())
        if rows.single and not met.places:
            met.places.append(self._nowhere(record, rows, came))
        return met

    def _nowhere(self, record: Record, rows: Followed, came: int) -> RowPlace:
        """Of a row that no table of the stage holds."""
        if record.stage != "clean" or not came:
            return RowPlace(part="not there", row=None, rules=())
        return RowPlace(part="duplicate", row=None, rules=(), same_as=self._twin(record, rows))

    def _twin(self, clean: Record, rows: Followed) -> int | None:
        """The record of the same source that was kept in a duplicate's place, if it is of it."""
        key = (clean.parts.get("declaration") or {}).get("deduplicate") or []
        ingest = next((r for r in self.history.inputs(clean) if r.stage == "ingest"), None)
        if not key or ingest is None:
            return None
        names = ", ".join(identifier(name) for name in key)
        table = tables_of(value_in(ingest))["snapshot"]
        with rows.within(table, self.home) as connection:
            own = connection.execute(f"SELECT {names} FROM met").fetchone()
        same = " AND ".join(f"{identifier(name)} IS NOT DISTINCT FROM ?" for name in key)
        kept = tables_of(value_in(clean))["snapshot"]
        with opened(kept, self.home) as connection:
            found = connection.execute(
                f"SELECT _row FROM kept WHERE {same} AND _file = ? LIMIT 1",
                [*(own or ()), *rows.digests],
            ).fetchone()
        return int(found[0]) if found else None

    def _fed(self, split: Record, passage: Passage) -> Iterator[Fed]:
        for record in self.history.users(split):
            value = value_in(record)
            if not isinstance(value, Candidate):
                continue
            verdicts = self.history.about(value.model, value.version, "evaluate")
            judged = value_in(verdicts[-1]) if verdicts else None
            yield Fed(
                name=f"{value.model}@{value.version}",
                champion=self.registry.champion(value.model) == value.version,
                passed=judged.passed if isinstance(judged, EvaluationResult) else None,
                rows=passage.rows,
            )

    def _into(self, way: Sequence[Record], rows: Followed) -> Iterator[RowRoute]:
        """The ways through other pipelines that read a snapshot of this one."""
        for record in way:
            others = [u for u in self.history.users(record) if u.pipeline != record.pipeline]
            table = tables_of(value_in(record)).get("snapshot")
            if not others or table is None or not exists(table, self.home):
                continue
            with rows.within(table, self.home) as connection:
                on = _as_source(connection, table)
            for other in others:
                for further in self._ways([other]):
                    yield self._fate(further, on)


@dataclass(frozen=True)
class _Met:
    """What of the followed rows a stage's tables have."""

    counts: dict[str, int]
    rules: dict[str, int]
    places: list[RowPlace]


def _digests(ingest: Record) -> set[str]:
    return {source["sha256"] for source in ingest.value["sources"]}


def _joined(ingest: Record, rows: Followed) -> str:
    """The join whose table the source is, where it is no source of rows."""
    sources = [s for s in ingest.value["sources"] if s["sha256"] in rows.digests]
    return "" if any(not s.get("join") for s in sources) else str(sources[0]["join"])


def _count(connection: "duckdb.DuckDBPyConnection") -> int:
    found = connection.execute("SELECT count(*) FROM met").fetchone()
    return int(found[0]) if found else 0


def _rules(connection: "duckdb.DuckDBPyConnection", known: Sequence[str]) -> dict[str, int]:
    total: dict[str, int] = {}
    for text, count in connection.execute("SELECT _rules, count(*) FROM met GROUP BY 1").fetchall():
        for rule in broken_rules(text, known):
            total[rule] = total.get(rule, 0) + count
    return total


def _as_source(connection: "duckdb.DuckDBPyConnection", table: Snapshot) -> Followed:
    """The met rows as another pipeline knows them: by the snapshot's file, and the number there."""
    pieces, before = [], 0
    for file in table.files:
        end = before + file.rows
        pieces.append(
            f"SELECT {literal(file.sha256)} AS source, _number - {before} AS record FROM met "
            f"WHERE _number > {before} AND _number <= {end}"
        )
        before = end
    rows = connection.sql(" UNION ALL ".join(pieces)).to_arrow_table()
    return Followed(frozenset(file.sha256 for file in table.files), rows)


def broken_rules(text: str, known: Sequence[str]) -> list[str]:
    """The rules that a quarantined row broke, of those that are known; a name may hold commas."""
    return [rule for rule in known if f",{rule}," in f",{text},"]
