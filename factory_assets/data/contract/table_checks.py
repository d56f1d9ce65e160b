"""Check a whole table: rows, freshness, drift, personal data, offsets, copies, joins.

The checks run in every run, even if the table is reused: its age has changed by then, and a limit
may have been edited. But a limit of drift is for new tables: one that was accepted is what the next
is compared with. What the checks compare is measured in `profiling.inspection`.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta

from factory_assets.results.checks import TableCheck
from factory_assets.results.data import (
    CLEAR_DRIFT,
    ColumnDrift,
    Drift,
    Findings,
    IngestResult,
    SourceFile,
)
from factory_assets.spec import Contract, Ingest, Pipeline
from factory_resources.durations import seconds_of
from factory_resources.errors import ContractError

_AHEAD = timedelta(days=1)
"""How far a newest value may be in the future: local times that are read as UTC are."""

_SHOWN = 5
"""Changes that the message of the drift check lists."""


def declared_checks(ingest: Ingest) -> dict[str, tuple[str, bool]]:
    """Return each check of a table: its description, and whether it stops the pipeline."""
    contract = ingest.contract
    checks: dict[str, tuple[str, bool]] = {}
    if contract.rows:
        checks["row_count"] = ("The number of rows is within the limits of the contract.", True)
    if fresh := contract.freshness:
        checks["freshness"] = (f"The newest {fresh.column} is at most {fresh.within} old.", True)
    limit = contract.distribution.limit
    checks["drift"] = (
        "Columns and their distributions are similar to those of the previous snapshot.",
        limit is not None,
    )
    checks["personal_data"] = (
        "No column looks like personal data unless it is declared as such.",
        False,
    )
    checks["offsets"] = (
        "No column has times both with and without an offset, unless its `timezone` is declared.",
        False,
    )
    checks["copies"] = ("No two files of rows have the same content.", False)
    if ingest.joins:
        checks["joins"] = ("Some row has a match in the table of each join.", False)
    return checks


def table_checks(
    contract: Contract, rows: int, findings: Findings, now: datetime, *, accepted: bool = False
) -> Iterator[TableCheck]:
    """Yield the result of every check of `declared_checks`, in that order.

    Args:
        rows: the number of rows of the table.
        findings: what was measured on the table.
        now: the current time, with a time zone.
        accepted: whether the table is stored already; then its drift stops nothing.
    """
    if contract.rows:
        yield _row_count(contract, rows)
    if contract.freshness:
        yield _freshness(contract, findings.newest, now)
    yield _drift(contract, findings.drift, accepted)
    yield _personal_data(contract, findings.personal)
    yield _offsets(contract, findings.offsets)
    yield _copies(findings.copies)
    if findings.matched:
        yield _joins(findings.matched)


def checks_of_result(contract: Contract, value: IngestResult, now: datetime) -> list[TableCheck]:
    """Return the result of every check for a table that is stored."""
    return [*table_checks(contract, value.snapshot.rows, value.findings, now, accepted=True)]


class TableError(ContractError):
    """The table as a whole breaks its contract; `checks` holds the result of every check."""

    def __init__(self, checks: Sequence[TableCheck], where: str) -> None:
        broken = [check for check in checks if check.blocking and not check.passed]
        super().__init__(
            "; ".join(check.says for check in broken), where=where, remedy=broken[0].remedy
        )
        self.checks = tuple(checks)


def require_table(pipeline: Pipeline, rows: int, findings: Findings) -> None:
    """Require that a new table passes every blocking check.

    Raises:
        TableError: a blocking check failed; the message lists all of them.
    """
    contract = pipeline.spec.ingest.contract
    _require(pipeline, [*table_checks(contract, rows, findings, datetime.now(UTC))])


def require_result(pipeline: Pipeline, value: IngestResult) -> None:
    """As `require_table`, of a table that is stored."""
    contract = pipeline.spec.ingest.contract
    _require(pipeline, checks_of_result(contract, value, datetime.now(UTC)))


def _require(pipeline: Pipeline, checks: Sequence[TableCheck]) -> None:
    if any(check.blocking and not check.passed for check in checks):
        raise TableError(checks, f"{pipeline.name}/ingest")


def _row_count(contract: Contract, rows: int) -> TableCheck:
    limits = contract.rows
    assert limits is not None
    least, most = limits.at_least, limits.at_most
    low, high = least is not None and rows < least, most is not None and rows > most
    wanted = f"at least {least}" if low else f"at most {most}"
    found = f"{rows} row{'' if rows == 1 else 's'}"
    return TableCheck(
        "row_count",
        not low and not high,
        f"the table has {found}, but the contract requires {wanted}" if low or high else found,
        blocking=True,
        remedy="look at the source, or correct ingest.contract.rows",
        numbers={
            "rows": rows,
            **({"at least": least} if least is not None else {}),
            **({"at most": most} if most is not None else {}),
        },
    )


def _freshness(contract: Contract, newest: str | None, now: datetime) -> TableCheck:
    fresh = contract.freshness
    assert fresh is not None
    remedy = "provide newer data, or correct ingest.contract.freshness"
    if newest is None:
        says = f"{fresh.column!r} has no value, so the age of the data is unknown"
        return TableCheck("freshness", False, says, blocking=True, remedy=remedy)
    age = now - datetime.fromisoformat(newest).replace(tzinfo=UTC)
    if age < -_AHEAD:
        says = f"the newest {fresh.column!r} is {newest}, in the future, so the age is unknown"
        remedy = "correct such rows, or send them to quarantine by a `range` in the contract"
        return TableCheck("freshness", False, says, blocking=True, remedy=remedy)
    passed = age <= timedelta(seconds=seconds_of(fresh.within))
    # The age would change what an approver is shown of data that is too old while they read it.
    too_old = f"older than the contract allows ({fresh.within})"
    compared = f"{_age_in_words(age)} old" if passed else too_old
    return TableCheck(
        "freshness",
        passed,
        f"the newest {fresh.column!r} is {newest}, {compared}",
        blocking=True,
        remedy=remedy,
        numbers={"newest": newest, "age [h]": round(age / timedelta(hours=1), 2)},
    )


def _age_in_words(age: timedelta) -> str:
    if age >= timedelta(days=2):
        return f"{age.days} days"
    return f"{age / timedelta(hours=1):.1f} hours"


def _drift(contract: Contract, drift: Drift | None, accepted: bool) -> TableCheck:
    distribution, limit = contract.distribution, contract.distribution.limit
    if drift is None:
        return TableCheck("drift", True, "there is no previous snapshot", limit is not None)
    moved = [m for m in drift.moved if not distribution.columns or m.column in distribution.columns]
    # A declared limit is the largest index that passes; the default the smallest that is reported.
    beyond = [
        m for m in moved if (m.index > limit if limit is not None else m.index >= CLEAR_DRIFT)
    ]
    changes = _schema_changes(contract, drift)
    # A column may have become sensitive since its drift was measured.
    hidden = {column.name for column in contract.columns if column.sensitive}
    listed = [*changes, *(_words_of(one, hidden) for one in beyond)]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return TableCheck(
        "drift",
        not listed,
        "compared with the previous snapshot: "
        + (", ".join(listed[:_SHOWN]) + more if listed else "no change"),
        blocking=limit is not None and not (accepted and listed),
        remedy=f"look at the source; {_remedy(limited=limit is not None, accepted=accepted)}",
        numbers={
            "compared with": drift.against,
            "rows before": drift.rows_before,
            "largest index": moved[0].index if moved else 0.0,
            "limit": limit if limit is not None else CLEAR_DRIFT,
        },
    )


def _remedy(*, limited: bool, accepted: bool) -> str:
    if not limited:
        return "to refuse such tables, declare types in ingest.contract or a distribution.limit"
    if accepted:
        return "this table was accepted before; the next one is compared with it"
    return (
        "if the change is intended, raise ingest.contract.distribution.limit or remove it for one "
        "run"
    )


def _schema_changes(contract: Contract, drift: Drift) -> list[str]:
    """Return the schema changes; none if the contract declares all columns and their types.

    A person then changed them on purpose, in the contract.
    """
    if contract.columns and all(column.type for column in contract.columns):
        return []
    return list(drift.schema_changes)


def _words_of(column: ColumnDrift, hidden: Set[str]) -> str:
    what = "drifted" if column.shows_values and column.column in hidden else column.what
    return f"{column.column!r} {what} (index {column.index:.2f})"


def _personal_data(contract: Contract, found: dict[str, str]) -> TableCheck:
    declared = {column.name for column in contract.columns if column.sensitive}
    undeclared = {name: why for name, why in found.items() if name not in declared}
    says = "; ".join(f"{name!r}: {why}" for name, why in undeclared.items())
    return TableCheck(
        "personal_data",
        not undeclared,
        f"may be personal: {says}" if undeclared else "no column looks like personal data",
        blocking=False,
        remedy="declare `sensitive: personal` for the columns that are",
        numbers={"columns": len(undeclared)},
    )


def _offsets(contract: Contract, found: dict[str, tuple[int, int]]) -> TableCheck:
    declared = {column.name for column in contract.columns if column.timezone}
    mixed = {name: counts for name, counts in found.items() if name not in declared}
    says = "; ".join(
        f"{name!r} has {there} times with an offset from UTC and {without} without, "
        "which were read as UTC"
        for name, (there, without) in mixed.items()
    )
    return TableCheck(
        "offsets",
        not mixed,
        says or "no column has times both with and without an offset",
        blocking=False,
        remedy="declare the zone of those without in ingest.contract: "
        + ", ".join(f"{{name: {name}, timezone: Europe/Berlin}}" for name in mixed)
        + ", or UTC",
        numbers={"columns": len(mixed)},
    )


def copies(sources: Sequence[SourceFile], columns: Collection[str]) -> dict[str, str]:
    """Return the files of rows that repeat another one, each with that one.

    Files of several labels, such as sites, may be alike, and so may those of several partitions of
    a Delta table.

    Args:
        columns: those of the table.
    """
    found: dict[str, str] = {}
    first: dict[tuple[str, str], str] = {}
    for source in sources:
        if not source.join and source.rows:
            key = source.sha256, json.dumps(source.constants(columns), sort_keys=True)
            other = first.setdefault(key, source.name)
            if other != source.name:
                found[source.name] = other
    return found


def _copies(found: dict[str, str]) -> TableCheck:
    shown = [f"{name} has the content of {other}" for name, other in found.items()]
    more = [f"and {len(shown) - _SHOWN} more files"] * (len(shown) > _SHOWN)
    return TableCheck(
        "copies",
        not found,
        "; ".join([*shown[:_SHOWN], *more]) or "no two files have the same content",
        blocking=False,
        remedy="remove one of them: their rows count twice unless clean.deduplicate names a key",
        numbers={"files": len(found)},
    )


def _joins(matched: Mapping[str, int]) -> TableCheck:
    without = [name for name, rows in matched.items() if not rows]
    return TableCheck(
        "joins",
        not without,
        f"no row has a match in the table of {', '.join(f'joins.{name}' for name in without)}"
        if without
        else "some row has a match in the table of each join",
        blocking=False,
        remedy="write the keys of both tables alike: texts are compared as they are, so that 007 "
        "is not 7, nor 2024-01-31 the text 2024-01-31 00:00:00",
        numbers={f"rows with a match in {name}": rows for name, rows in matched.items()},
    )
