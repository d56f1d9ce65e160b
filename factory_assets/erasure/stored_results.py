"""What results look like once rows are gone: other files in their snapshots, values blotted out.

It changes what records say and nothing else; storing them belongs in `steps`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from factory_assets.results.record_graph import value_in
from factory_resources.erasure.manifest import source_key
from factory_resources.erasure.redaction import Redaction
from factory_resources.erasure.search_terms import SearchTerms
from factory_resources.tables.snapshot import TableFile
from factory_resources.tracking.record import Record

_SNAPSHOT = {"table", "files", "columns"}


@dataclass(frozen=True)
class Blotter:
    """Takes the values that only the erased rows have out of results.

    Whoever reads a result expects a number where there was one: it loses its digits but the first.
    Whole numbers of results are counts, and no values.
    """

    terms: SearchTerms

    def __call__(self, value: Any) -> Any:
        """Return a value of JSON without them."""
        match value:
            case str():
                return self._redaction.text(value)
            case float() if value in self.terms.numbers:
                return float(f"{value:.1g}")
            case dict():
                return {self(name): self(part) for name, part in value.items()}
            case list():
                return [self(part) for part in value]
            case _:
                return value

    @cached_property
    def _redaction(self) -> Redaction:
        return Redaction(self.terms)


@dataclass(frozen=True)
class TableChanges:
    """What an erasure changes in all tables together."""

    files: Mapping[tuple[str, str], TableFile]
    """Table and SHA-256 to the file that replaces it."""
    rules: Mapping[tuple[str, str], Sequence[str]]
    """Table and SHA-256 of a file to the broken rules of each row that left, joined by commas."""
    erased: Mapping[str, int]
    """Key of a source to the number of its rows that are erased."""
    snapshots: Mapping[str, str] = field(default_factory=dict)
    """The name that a snapshot has as a source to the one of that which replaces it."""

    def with_snapshots(self, records: Iterable[Record]) -> "TableChanges":
        """Return them with the names of all snapshots that other pipelines may read."""
        names = {}
        for record in records:
            if record.stage in {"ingest", "clean"}:
                new = rewritten(record, self, lambda value: value)
                name = f"{record.pipeline}/{record.stage}@"
                names[f"{name}{record.data_version}"] = f"{name}{new.data_version}"
        return replace(self, snapshots=names)

    def source(self, one: dict[str, Any]) -> dict[str, Any]:
        """Return a source as an ingest that leaves the rows out describes it."""
        digests = {digest: new.sha256 for (_, digest), new in self.files.items()}
        return {
            **one,
            "name": self.snapshots.get(one["name"], one["name"]),
            "sha256": digests.get(one["sha256"], one["sha256"]),
            "rows": one["rows"] - self.erased.get(source_key(one["sha256"], one["name"]), 0),
        }


def rewritten(record: Record, changes: TableChanges, blot: Callable[[Any], Any]) -> Record:
    """Return the record with the new files in place of the old ones, and without values.

    Args:
        blot: returns a JSON value without the values of the person.
    """
    value = _with_files(record.value, changes.files, blot)
    if "blocks" in value and "sources" in value:
        value = {**value, "sources": [changes.source(one) for one in value["sources"]]}
    if value == record.value:
        return record
    value = _with_counts(record.value, value, changes.rules)
    changed = record.model_copy(update={"value": value})
    return changed.model_copy(update={"data_version": value_in(changed).data_version})


def _with_files(
    value: Any, files: Mapping[tuple[str, str], TableFile], blot: Callable[[Any], Any]
) -> Any:
    if isinstance(value, dict):
        if value.keys() == _SNAPSHOT:
            return _snapshot(value, files)
        return {blot(name): _with_files(part, files, blot) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_files(part, files, blot) for part in value]
    return blot(value)


def _snapshot(
    snapshot: dict[str, Any], files: Mapping[tuple[str, str], TableFile]
) -> dict[str, Any]:
    """Return a snapshot with other files: empty ones are left out, and equal ones are numbered."""
    old = [TableFile.model_validate(one) for one in snapshot["files"]]
    new = [files.get((snapshot["table"], one.sha256), one) for one in old]
    if new == old:
        return snapshot
    seen: dict[str, int] = {}
    kept = []
    for one in [file for file in new if file.rows] or new[:1]:
        number = seen.get(one.sha256, 0)
        seen[one.sha256] = number + 1
        kept.append(one.model_copy(update={"copy_number": number}).model_dump(mode="json"))
    return {**snapshot, "files": kept}


def _with_counts(
    before: dict[str, Any], value: dict[str, Any], rules: Mapping[tuple[str, str], Sequence[str]]
) -> Any:
    """Return the value with counts of rows that add up again: what was read, and what came of it.

    The number of duplicates stays: whether an erased row was one cannot be seen in a table.
    """
    if "blocks" not in value:
        return value
    blocks = [
        {
            **new,
            "rows_in": new["rows_in"] - _left(old, new, "good", "broken"),
            "quarantined": _still_broken(old["broken"], new["quarantined"], rules),
        }
        for old, new in zip(before["blocks"], value["blocks"], strict=True)
    ]
    name = "rows_read" if "rows_read" in value else "rows_in"
    rows = value[name] - _left(before, value, "snapshot", "quarantine")
    counts = _still_broken(before["quarantine"], value["quarantined"], rules)
    return {**value, "blocks": blocks, name: rows, "quarantined": counts}


def _still_broken(
    quarantine: dict[str, Any] | None,
    counts: Mapping[str, int],
    rules: Mapping[tuple[str, str], Sequence[str]],
) -> dict[str, int]:
    """Return the number of rows by the rule that they broke, without those that left."""
    left = Counter[str]()
    if quarantine:
        for file in quarantine["files"]:
            for broken in rules.get((quarantine["table"], file["sha256"]), ()):
                left.update(_named(broken, counts))
    return {rule: some for rule, count in counts.items() if (some := count - left[rule])}


def _named(broken: str, rules: Iterable[str]) -> Iterator[str]:
    """Yield the rules in a list joined by commas, although the name of a rule may have some."""
    rest = f",{broken},"
    for rule in sorted(rules, key=len, reverse=True):
        if f",{rule}," in rest:
            rest = rest.replace(f",{rule},", ",", 1)
            yield rule


def _left(before: dict[str, Any], now: dict[str, Any], *names: str) -> int:
    """Return how many rows left the snapshots of these names."""

    def rows(value: dict[str, Any]) -> int:
        files = (file for name in names if value[name] for file in value[name]["files"])
        return sum(file["rows"] for file in files)

    return rows(before) - rows(now)
