"""Record the outcomes in a table: rows named by the ids of answers, or by a key in what was asked.

Reading a file into a table belongs in `file`; where a key is found in the log, in `keys`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from factory_assets.serving.feedback.keys import KeyMatch, answers_by_key
from factory_assets.serving.feedback.recorder import (
    JudgedOutcome,
    OutcomeRecorder,
    RefusedOutcomeError,
    SentOutcome,
)
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.outcome import Feedback, Source
from factory_resources.outcomes.target_values import TargetValues, class_name
from factory_resources.outcomes.targets import Targets

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 3
"""Wrong rows that an error tells of."""


@dataclass(frozen=True)
class OutcomeColumns:
    """The names of the columns of a table."""

    id: str = "id"
    outcome: str = "outcome"
    observed: str | None = None
    """None for `observed`, if there is such a column."""
    key: str | None = None
    """A column of the source instead of `id`: an outcome is that of the latest answer before it
    was observed whose row had the same value. If several rows of its request had, none is meant."""


@dataclass(frozen=True)
class OutcomeCounts:
    """What became of the rows of a table."""

    recorded: int
    repeated: int
    corrected: int
    refused: int
    empty: int
    """Rows without an outcome, which is not known yet."""
    reasons: tuple[str, ...]
    """Why rows were refused: the first ones, each in one line without values."""
    later: int = 0
    """Rows whose key has earlier answers, too."""
    unanswered: int = 0
    """Refused rows about which no answer is on record, which may come later, as those of a pack."""


def record_from_table(
    pipeline: str,
    table: pa.Table,
    home: Home,
    *,
    source: Source = "table",
    columns: OutcomeColumns | None = None,
    wrong: Literal["refuse", "count"] = "refuse",
) -> OutcomeCounts:
    """Record the outcomes of a table in one transaction, and enter them in the ledger.

    Args:
        pipeline: the pipeline that answered.
        table: a row an outcome, with the columns that `columns` names.
        source: how the table came.
        wrong: what a row that cannot be recorded does: `refuse` the whole table, or only `count`.

    Raises:
        DataError: a column is missing, or a row is wrong and the table is refused.
        ModelError: the pipeline has no champion.
        StorageError: a database cannot be read or written; nothing was recorded.
    """
    named = columns or OutcomeColumns()
    target = Targets(home).of_champion(pipeline)
    sent, rows, matches = _sent(pipeline, table, named, target, home)
    recorder = OutcomeRecorder(home)
    try:
        judged = recorder.judge(sent, source, "", lambda name: name == pipeline)
        if named.key is not None:
            judged = [
                _about_key(one, match, named.key)
                for one, match in zip(judged, matches, strict=True)
            ]
        judged = _agreeing(judged)
        reasons = [*_reasons(judged, rows)]
        if reasons and wrong == "refuse":
            more = len(reasons) - _SHOWN
            also = f" (and {more:,} more rows)" if more > 0 else ""
            raise DataError(
                "; ".join(reasons[:_SHOWN]) + also,
                where=f"outcomes of {pipeline}",
                remedy="nothing was recorded; correct the rows and send all of them again",
            )
        counted = [
            one if isinstance(one, Feedback) else RefusedOutcomeError(str(one), pipeline)
            for one in judged
        ]
        counts = Counter(recorder.store(counted))
    finally:
        recorder.close()
    bind_outcomes(home)
    return OutcomeCounts(
        recorded=counts["recorded"],
        repeated=counts["repeated"],
        corrected=counts["corrected"],
        refused=len(reasons),
        empty=table.num_rows - len(sent),
        reasons=tuple(reasons[:_SHOWN]),
        later=sum(match.has_earlier for match in matches),
        unanswered=sum(isinstance(one, RefusedOutcomeError) and not one.pipeline for one in judged),
    )


def _about_key(judged: JudgedOutcome, match: KeyMatch, key: str) -> JudgedOutcome:
    if match.rows > 1:
        why = f"{match.rows:,} rows of one request have this value of {key!r}"
        return RefusedOutcomeError(f"{why}; name the one that is meant by its id")
    if match.id is None:
        why = f"no answer before it was observed has this value of {key!r}"
        return RefusedOutcomeError(f"{why}; check both, and the time zone")
    return judged


def _agreeing(judged: Sequence[JudgedOutcome]) -> list[JudgedOutcome]:
    """Refuse rows that say different things of one answer, and not when: none is the later one.

    Each time that they are sent, they would correct each other.
    """
    values = defaultdict[bytes, set[str]](set)
    for one in judged:
        if isinstance(one, Feedback) and one.observed is None:
            values[one.id].add(one.value)
    why = "other rows give another outcome for the same answer; keep one, or say when each "
    why += "was observed"
    return [
        RefusedOutcomeError(why)
        if isinstance(one, Feedback) and one.observed is None and len(values[one.id]) > 1
        else one
        for one in judged
    ]


def _reasons(judged: Sequence[JudgedOutcome], rows: Sequence[int]) -> Iterator[str]:
    for one, row in zip(judged, rows, strict=True):
        if isinstance(one, RefusedOutcomeError):
            yield f"row {row}: {one}"


def _sent(
    pipeline: str, table: pa.Table, named: OutcomeColumns, target: TargetValues, home: Home
) -> tuple[list[SentOutcome], list[int], list[KeyMatch]]:
    """Return the outcomes of a table, the number of the row of each, from 1, and, if rows are named
    by a key, the answers that have it."""
    values = [_value(cell, target) for cell in _cells(table, named.outcome, "outcome")]
    observed = _observed(table, named)
    known = [place for place, value in enumerate(values) if value is not None]
    matches: list[KeyMatch] = []
    if named.key is None:
        cells = _cells(table, named.id, "id")
        ids = [cells[n] for n in known]
    else:
        keys = _cells(table, named.key, "key")
        wanted = [(keys[n], observed[n]) for n in known]
        matches = answers_by_key(pipeline, named.key, wanted, target.sensitive, home)
        ids = [match.id for match in matches]
    sent = [SentOutcome(one, values[n], observed[n]) for one, n in zip(ids, known, strict=True)]
    return sent, [n + 1 for n in known], matches


def _cells(table: pa.Table, name: str, what: str) -> list[Any]:
    if name not in table.column_names:
        do = f"say which one it is (`--{what}-column`, or `{what}` of declared outcomes)"
        if what == "key":
            do = "name the column as in the source of the pipeline"
        raise DataError(
            f"there is no column {name!r}",
            where="outcomes",
            remedy=f"{do}: {', '.join(table.column_names)}",
        )
    cells: list[Any] = table[name].to_pylist()
    return cells


def _observed(table: pa.Table, named: OutcomeColumns) -> list[Any]:
    import pyarrow as pa

    name = named.observed or "observed"
    if named.observed is None and name not in table.column_names:
        return [None] * table.num_rows
    if name in table.column_names and pa.types.is_timestamp(table.schema.field(name).type):
        zone = table.schema.field(name).type.tz
        column = table[name].cast(pa.timestamp("us", zone), safe=False)
        table = table.set_column(table.column_names.index(name), name, column)
    return [None if cell == "" else cell for cell in _cells(table, name, "observed")]


def _value(cell: Any, target: TargetValues) -> Any:
    """Return a cell as a value of JSON; None if it is empty."""
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        return _class(text, target.classes) if target.classes else _number(text)
    if cell is None or isinstance(cell, bool | int | float):
        return None if cell != cell else cell
    return str(cell) if target.classes else _number(str(cell))


def _class(text: str, classes: Sequence[str]) -> str:
    """Return the class that a text spells: pandas writes 1 as 1.0 beside gaps, and true as True."""
    if text in classes:
        return text
    spellings = class_name(_number(text)), text.lower()
    return next((name for name in spellings if name is not None and name in classes), text)


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
