"""A table held against its contract as a whole: rows, freshness, drift, undeclared personal data.

Asked in every run, also of a table that was there already: its age is another one by then, and a
limit may have been edited.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from factory_assets.data.profiling.drift import CLEAR
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import ColumnDrift, Drift, Findings
from factory_assets.spec import Contract, Pipeline
from factory_resources.errors import ContractError

_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_TOLD = 5


def declared_checks(contract: Contract) -> dict[str, tuple[str, bool]]:
    """The checks that a contract makes: what each is about, and whether it stops the pipeline."""
    found: dict[str, tuple[str, bool]] = {}
    if contract.rows:
        found["row_count"] = ("The table has as many rows as the contract says.", True)
    if fresh := contract.freshness:
        found["freshness"] = (f"The newest {fresh.column} is at most {fresh.within} old.", True)
    limit = contract.distribution.limit
    found["drift"] = (
        "Columns and their distributions are much as in the snapshot before.",
        limit is not None,
    )
    found["personal_data"] = (
        "No column looks like personal data without being declared so.",
        False,
    )
    return found


def table_checks(
    contract: Contract, rows: int, findings: Findings, now: datetime
) -> Iterator[TableCheck]:
    """Every check of `declared_checks`, in its order.

    Args:
        rows: of the table.
        findings: about the table.
        now: with a time zone.
    """
    if contract.rows:
        yield _row_count(contract, rows)
    if contract.freshness:
        yield _freshness(contract, findings.newest, now)
    yield _drift(contract, findings.drift)
    yield _personal_data(contract, findings.personal)


class TableError(ContractError):
    """The table breaks its contract as a whole; `checks` are all that were made."""

    def __init__(self, checks: Sequence[TableCheck], where: str) -> None:
        broken = [check for check in checks if check.blocking and not check.passed]
        super().__init__(
            "; ".join(check.says for check in broken), where=where, remedy=broken[0].remedy
        )
        self.checks = tuple(checks)


def require_table(pipeline: Pipeline, rows: int, findings: Findings) -> None:
    """Stop a pipeline whose table breaks its contract as a whole.

    Raises:
        TableError: with all that is broken.
    """
    contract = pipeline.spec.ingest.contract
    checks = list(table_checks(contract, rows, findings, datetime.now(UTC)))
    if any(check.blocking and not check.passed for check in checks):
        raise TableError(checks, f"{pipeline.name}/ingest")


def _row_count(contract: Contract, rows: int) -> TableCheck:
    promised = contract.rows
    assert promised is not None
    least, most = promised.at_least, promised.at_most
    low, high = least is not None and rows < least, most is not None and rows > most
    wanted = f"at least {least}" if low else f"at most {most}"
    return TableCheck(
        "row_count",
        not low and not high,
        f"there are {rows} rows, and the contract wants {wanted}"
        if low or high
        else f"{rows} rows",
        blocking=True,
        remedy="look at the source, or correct ingest.contract.rows",
        numbers={
            "rows": rows,
            **({"at least": least} if least is not None else {}),
            **({"at most": most} if most is not None else {}),
        },
    )


def age_limit(within: str) -> timedelta:
    """A length of time as the contract writes it, such as 36h."""
    unit = within.lstrip("0123456789")
    return timedelta(**{_UNITS[unit]: int(within.removesuffix(unit))})


def _freshness(contract: Contract, newest: str | None, now: datetime) -> TableCheck:
    fresh = contract.freshness
    assert fresh is not None
    remedy = "bring newer data, or correct ingest.contract.freshness"
    if newest is None:
        says = f"{fresh.column!r} has no value, so that nobody knows how old the data is"
        return TableCheck("freshness", False, says, blocking=True, remedy=remedy)
    age = now - datetime.fromisoformat(newest).replace(tzinfo=UTC)
    passed = age <= age_limit(fresh.within)
    says = f"the newest {fresh.column!r} is {newest}, {_words(age)} old"
    return TableCheck(
        "freshness",
        passed,
        says if passed else f"{says}; the contract wants {fresh.within}",
        blocking=True,
        remedy=remedy,
        numbers={"newest": newest, "age [h]": round(age / timedelta(hours=1), 2)},
    )


def _words(age: timedelta) -> str:
    if age >= timedelta(days=2):
        return f"{age.days} days"
    return f"{age / timedelta(hours=1):.1f} hours"


def _drift(contract: Contract, found: Drift | None) -> TableCheck:
    wanted, limit = contract.distribution, contract.distribution.limit
    blocking = limit is not None
    if found is None:
        return TableCheck("drift", True, "there is no snapshot before this one", blocking)
    moved = [m for m in found.moved if not wanted.columns or m.column in wanted.columns]
    # From the same index on as a limit lets pass: a limit says what is still alike.
    beyond = [m for m in moved if (m.index > limit if limit is not None else m.index >= CLEAR)]
    changes = _schema_changes(contract, found)
    told = [*changes, *(_told(one) for one in beyond)]
    more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
    return TableCheck(
        "drift",
        not told,
        "against the snapshot before: " + (", ".join(told[:_TOLD]) + more if told else "alike"),
        blocking=blocking,
        remedy="look at the source; if it is meant, raise ingest.contract.distribution.limit "
        "or remove it for one run",
        numbers={
            "compared with": found.against,
            "rows before": found.rows_before,
            "largest index": moved[0].index if moved else 0.0,
            "limit": limit if limit is not None else CLEAR,
        },
    )


def _schema_changes(contract: Contract, found: Drift) -> list[str]:
    """Of a table whose columns and types are declared there are none that nobody meant."""
    if contract.columns and all(column.type for column in contract.columns):
        return []
    return list(found.schema_changes)


def _told(one: ColumnDrift) -> str:
    return f"{one.column!r} {one.what} (index {one.index:.2f})"


def _personal_data(contract: Contract, found: dict[str, str]) -> TableCheck:
    declared = {column.name for column in contract.columns if column.sensitive}
    left = {name: why for name, why in found.items() if name not in declared}
    says = "; ".join(f"{name!r}: {why}" for name, why in left.items())
    return TableCheck(
        "personal_data",
        not left,
        f"may be personal: {says}" if left else "no column looks like personal data",
        blocking=False,
        remedy="declare `sensitive: personal` for the columns that are",
        numbers={"columns": len(left)},
    )
