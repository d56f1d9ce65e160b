"""What an erasure would take away, told in lines; it names no value."""

from collections.abc import Iterator, Sequence

from factory_assets.erasure.plan import ErasurePlan, LearnedVersion
from factory_assets.spec import Pipeline
from factory_resources.ledger.factory_verify import amount

_SHOWN = 20
"""Row numbers, ids and files that are named one by one."""


def preview_lines(plan: ErasurePlan) -> Iterator[str]:
    """Yield what the home has of the person, and what would become of it."""
    if plan.is_empty:
        yield "nothing satisfies the expression: no row of a table, and no answer"
        for pipeline, columns in plan.unasked.items():
            yield (
                f"answers of {pipeline} do not have {', '.join(columns)}: "
                "to find some of them, name the person by what was asked"
            )
        yield from _hidden(plan)
        return
    yield f"rows of sources: {plan.rows.count}"
    for source in plan.sources:
        yield f"  {source.name}: {_listed([str(row) for row in source.rows])}"
    yield "  later runs leave these rows out as long as a source is as it is: remove them there too"
    yield "rows in tables, in all their snapshots:"
    for table, (files, rows) in plan.tables.items():
        yield f"  {table}: {amount(rows, 'rows')} in {amount(files, 'files')}"
    for pipeline, keys in plan.partitions.items():
        count = amount(len(keys), "partitions")
        gone = "removed with the key, which may be a name"
        yield f"{count} of {pipeline} with no other rows: {gone}"
    for pipeline, names in plan.joined.items():
        yield (
            f"{pipeline} joins {_listed(names)}: values that its rows got there are not found; "
            f"erase them, too, by a command with columns of {pipeline}"
        )
    for pipeline in plan.alike:
        if pipeline not in plan.joined:
            yield (
                f"{pipeline} lacks the columns of the expression, but other rows of it contain "
                "texts of these rows: if they are about the person, erase them, too, by a command "
                f"with columns of {pipeline}"
            )
    yield "models:" if plan.versions else "models: none learned from these rows"
    for version in plan.versions:
        yield f"  {_version(version)}"
    yield from _values(plan)
    yield from _answers(plan)
    if plan.backups:
        yield "backups still have all of it, until you delete them:"
        for number, time in plan.backups[:_SHOWN]:
            yield f"  made {time} (entry {number})"
        if (more := len(plan.backups) - _SHOWN) > 0:
            yield f"  and {more} before"


def _version(version: LearnedVersion) -> str:
    name = f"{version.pipeline}@{version.version}"
    share = f"{version.learned} of {version.rows} rows that it learned from"
    judged = f", {version.judged} that it was evaluated on" if version.judged else ""
    files = "; its files contain values of them and are removed" if version.remembers else ""
    return f"{name}: {share}{judged}{'; it serves' if version.serves else ''}{files}"


def _values(plan: ErasurePlan) -> Iterator[str]:
    searched = len(plan.searched)
    yield (
        f"values that only these rows have: {searched}, which are searched for in the whole home"
        + (f"; {plan.not_searched} more are too short to be searched for" * bool(plan.not_searched))
    )


def _answers(plan: ErasurePlan) -> Iterator[str]:
    for pipeline, ids in plan.answers.items():
        rows = amount(plan.answered_rows[pipeline], "rows")
        yield f"answers of {pipeline}, in whole requests with {rows}: {_listed(ids)}"
    for pipeline, columns in plan.unasked.items():
        named = ", ".join(columns)
        yield (
            f"answers of {pipeline} do not have {named}: found by values that only these rows have"
        )
    yield from _hidden(plan)


def _hidden(plan: ErasurePlan) -> Iterator[str]:
    for pipeline, columns in plan.hidden.items():
        named = ", ".join(columns)
        yield (
            f"answers of {pipeline} have protected values of {named}, which cannot be compared: to "
            "find some of them, name the person by other columns"
        )


def _listed(names: "list[str] | tuple[str, ...]") -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def champion_lines(plan: ErasurePlan, stopped: Sequence[Pipeline]) -> Iterator[str]:
    """Yield what becomes of the versions that serve."""
    names = {pipeline.name for pipeline in stopped}
    for one in plan.versions:
        if one.serves and one.learned:
            what = "is stopped" if one.pipeline in names else "serves until a new version does"
            yield f"{one.pipeline}@{one.version} {what}; {one.pipeline} is trained again"
