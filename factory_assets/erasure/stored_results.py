"""What results look like once rows are gone: other files in their snapshots, values blotted out.

It changes what records say and nothing else; storing them belongs in `steps`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from factory_assets.results.record_graph import value_in
from factory_resources.erasure.redaction import Redaction
from factory_resources.erasure.sought import Sought
from factory_resources.tables.snapshot import TableFile
from factory_resources.tracking.record import Record

_SNAPSHOT = {"table", "files", "columns"}


@dataclass(frozen=True)
class Blotter:
    """Takes the values that only the erased rows have out of results.

    Whoever reads a result expects a number where there was one: it loses its digits but the first.
    """

    sought: Sought

    def __call__(self, value: Any) -> Any:
        """Return a value of JSON without them."""
        match value:
            case str():
                return self._redaction.text(value)
            case float() | int() if not isinstance(value, bool) and value in self.sought.numbers:
                return type(value)(float(f"{value:.1g}"))
            case dict():
                return {self(name): self(part) for name, part in value.items()}
            case list():
                return [self(part) for part in value]
            case _:
                return value

    @cached_property
    def _redaction(self) -> Redaction:
        return Redaction(self.sought)


def rewritten(
    record: Record,
    files: Mapping[tuple[str, str], TableFile],
    erased: Mapping[str, int],
    renamed: Mapping[str, str],
    blot: Callable[[Any], Any],
) -> Record:
    """Return the record with the new files in place of the old ones, and without values.

    Args:
        files: table and SHA-256 to the file that replaces it.
        erased: SHA-256 of a source to the number of its rows that are erased.
        renamed: SHA-256 and name of files and snapshots that are sources, to those that replace
            them.
        blot: returns a JSON value without the values of the person.
    """
    value = _with_files(record.value, files, blot)
    value = _with_sources(value, erased, renamed)
    if value == record.value:
        return record
    value = _with_counts(record.value, value)
    changed = record.model_copy(update={"value": value})
    return changed.model_copy(update={"data_version": value_in(changed).data_version})


def renamed_snapshot(record: Record, new: Record) -> dict[str, str]:
    """Return the name that the snapshot of a result had as a source, with its name from now on."""
    name = f"{record.pipeline}/{record.stage}@"
    return {f"{name}{record.data_version}": f"{name}{new.data_version}"}


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


def _with_sources(
    value: dict[str, Any], erased: Mapping[str, int], renamed: Mapping[str, str]
) -> dict[str, Any]:
    """Return the value with sources that have fewer rows, and other names if they are snapshots."""
    if "sources" not in value or "blocks" not in value:
        return value
    sources = [
        {
            **one,
            "name": renamed.get(one["name"], one["name"]),
            "sha256": renamed.get(one["sha256"], one["sha256"]),
            "rows": one["rows"] - erased.get(one["sha256"], 0),
        }
        for one in value["sources"]
    ]
    return {**value, "sources": sources}


def _with_counts(before: dict[str, Any], value: dict[str, Any]) -> Any:
    """Return the value with counts of rows that add up again: what was read, and what came of it.

    The number of duplicates stays: whether an erased row was one cannot be seen in a table.
    """
    if "blocks" not in value:
        return value
    blocks = [
        {**new, "rows_in": new["rows_in"] - _left(old, new, "good", "broken")}
        for old, new in zip(before["blocks"], value["blocks"], strict=True)
    ]
    name = "rows_read" if "rows_read" in value else "rows_in"
    rows = value[name] - _left(before, value, "snapshot", "quarantine")
    return {**value, "blocks": blocks, name: rows}


def _left(before: dict[str, Any], now: dict[str, Any], *names: str) -> int:
    """Return how many rows left the snapshots of these names."""

    def rows(value: dict[str, Any]) -> int:
        files = (file for name in names if value[name] for file in value[name]["files"])
        return sum(file["rows"] for file in files)

    return rows(before) - rows(now)
