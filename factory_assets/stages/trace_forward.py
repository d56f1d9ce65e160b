"""Forward: from a source, or one of its rows, to where the rows went and which models they fed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from factory_assets.stages.history import History, tables_of, value_in
from factory_assets.stages.trace_back import step_name
from factory_assets.stages.trace_check import Checker, worst
from factory_assets.stages.trace_rows import opened
from factory_assets.stages.trace_values import Fate, Fed, Passage, Place
from factory_assets.stages.values import Candidate, Verdict
from factory_resources.engine import identifier, literal
from factory_resources.errors import StorageError
from factory_resources.home import Home
from factory_resources.records import Record
from factory_resources.registry import Registry
from factory_resources.snapshot import Snapshot, exists


@dataclass(frozen=True)
class Followed:
    """Rows of one source: all of them, or those of some numbers."""

    digest: str
    numbers: tuple[int, ...] | None = None

    @property
    def single(self) -> bool:
        return self.numbers is not None and len(self.numbers) == 1

    @property
    def sql(self) -> str:
        rows = "" if self.numbers is None else f" AND _row IN (SELECT unnest({[*self.numbers]}))"
        return f"_file = {literal(self.digest)}{rows}"


@dataclass(frozen=True)
class Follower:
    """Follows rows through the records of one home."""

    history: History
    registry: Registry
    checker: Checker

    @property
    def home(self) -> Home:
        return self.history.home

    def fates(self, rows: Followed) -> tuple[Fate, ...]:
        """Every way that the rows went; ways that stored the same are one."""
        found = {}
        for ingest in self.history.records:
            if ingest.stage == "ingest" and self._read(ingest, rows.digest):
                for way in self._ways([ingest]):
                    found[tuple(r.data_version for r in way)] = way
        return tuple(self._fate(way, rows) for way in found.values())

    def _read(self, ingest: Record, digest: str) -> bool:
        return any(source["sha256"] == digest for source in ingest.value["sources"])

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

    def _fate(self, way: Sequence[Record], rows: Followed) -> Fate:
        passages: list[Passage] = []
        for record in way:
            # Where no row came from before, none goes on.
            if passages and passages[-1].rows.get("snapshot") == 0:
                break
            passages.append(self._passage(record, rows, passages[-1] if passages else None))
        reached = len(passages) == len(way) and way[-1].stage == "split"
        return Fate(
            passages=tuple(passages),
            models=tuple(self._fed(way[-1], passages[-1])) if reached else (),
            into=tuple(self._into(way[: len(passages)], rows)),
        )

    def _passage(self, record: Record, rows: Followed, before: Passage | None) -> Passage:
        tables = tables_of(value_in(record))
        state = worst(self.checker.snapshot(table) for table in tables.values())
        counts: dict[str, int] = {}
        rules: dict[str, int] = {}
        places: list[Place] = []
        readable = all(exists(table, self.home) for table in tables.values())
        for part, table in tables.items() if readable else ():
            try:
                counts[part] = self._count(table, rows)
                if part == "quarantine":
                    rules = self._rules(table, rows, [*record.value["quarantined"]])
                if rows.single:
                    places += self._places(part, table, rows, rules)
            except StorageError as error:
                self.checker.problems.append(str(error))
                readable = False
        if readable and record.stage == "clean":
            counts["duplicates"] = _came(before) - sum(counts.values())
        if readable and rows.single and not places:
            places = [self._nowhere(record, rows, _came(before))]
        return Passage(
            step=step_name(record),
            stage=record.stage,
            partition=record.partition,
            state=state,
            rows=counts if readable else {},
            rules=rules,
            places=tuple(places),
        )

    def _count(self, table: Snapshot, rows: Followed) -> int:
        with opened(table, self.home) as connection:
            found = connection.execute(f"SELECT count(*) FROM kept WHERE {rows.sql}").fetchone()
        return int(found[0]) if found else 0

    def _rules(self, table: Snapshot, rows: Followed, known: list[str]) -> dict[str, int]:
        with opened(table, self.home) as connection:
            found = connection.execute(
                f"SELECT _rules, count(*) FROM kept WHERE {rows.sql} GROUP BY 1"
            ).fetchall()
        total: dict[str, int] = {}
        for text, count in found:
            for rule in broken_rules(text, known):
                total[rule] = total.get(rule, 0) + count
        return total

    def _places(
        self, part: str, table: Snapshot, rows: Followed, rules: dict[str, int]
    ) -> Iterator[Place]:
        with opened(table, self.home) as connection:
            found = connection.execute(
                f"SELECT _number FROM kept WHERE {rows.sql} ORDER BY 1"
            ).fetchall()
        for (number,) in found:
            broken = tuple(rules) if part == "quarantine" else ()
            yield Place(part=part, row=int(number), rules=broken)

    def _nowhere(self, record: Record, rows: Followed, came: int) -> Place:
        """Of a row that no table of the stage holds."""
        if record.stage != "clean" or not came:
            return Place(part="not there", row=None, rules=())
        return Place(part="duplicate", row=None, rules=(), same_as=self._twin(record, rows))

    def _twin(self, clean: Record, rows: Followed) -> int | None:
        """The record of the same source that was kept in a duplicate's place, if it is of it."""
        key = (clean.parts.get("declaration") or {}).get("deduplicate") or []
        ingest = next((r for r in self.history.inputs(clean) if r.stage == "ingest"), None)
        if not key or ingest is None:
            return None
        names = ", ".join(identifier(name) for name in key)
        table = tables_of(value_in(ingest))["snapshot"]
        with opened(table, self.home) as connection:
            own = connection.execute(f"SELECT {names} FROM kept WHERE {rows.sql}").fetchone()
        same = " AND ".join(f"{identifier(name)} IS NOT DISTINCT FROM ?" for name in key)
        kept = tables_of(value_in(clean))["snapshot"]
        with opened(kept, self.home) as connection:
            found = connection.execute(
                f"SELECT _row FROM kept WHERE {same} AND _file = ? LIMIT 1",
                [*(own or ()), rows.digest],
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
                passed=judged.passed if isinstance(judged, Verdict) else None,
                rows=passage.rows,
            )

    def _into(self, way: Sequence[Record], rows: Followed) -> Iterator[Fate]:
        """The ways through other pipelines that read a snapshot of this one."""
        for record in way:
            others = [u for u in self.history.users(record) if u.pipeline != record.pipeline]
            if not others:
                continue
            table = tables_of(value_in(record))["snapshot"]
            if not exists(table, self.home):
                continue
            with opened(table, self.home) as connection:
                found = connection.execute(
                    f"SELECT _number FROM kept WHERE {rows.sql} ORDER BY 1"
                ).fetchall()
            numbers = tuple(int(number) for (number,) in found)
            for other in others:
                for on in self._ways([other]):
                    yield self._fate(on, Followed(record.data_version, numbers))


def broken_rules(text: str, known: Sequence[str]) -> list[str]:
    """The rules that a quarantined row broke, of those that are known; a name may hold commas."""
    return [rule for rule in known if f",{rule}," in f",{text},"]


def _came(before: Passage | None) -> int:
    """How many of the rows the stage before handed on."""
    return before.rows.get("snapshot", 0) if before else 0
