"""Recognise columns that say how long, or until when, somebody was watched for an event.

Beside a target such as `status` or `death` they are known only afterwards, even if they reveal
little alone. Other columns that are known only afterwards belong in `leaks`.
"""

import re
from collections.abc import Iterator, Sequence

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.roles import TIMES, is_birth, is_plan
from factory_assets.cli.new.target import TargetChoice
from factory_assets.data.leakage.semantics import words_of

_EVENT = re.compile(r"status|event|cens|dead|death|died|deceased|observed|relapse|tod|verstorben")
"""What the name of a target contains, or begins with, that says whether an event was seen."""

_DURATION = re.compile(
    r"t|tte|t?stop|survival|lifetime|"
    r"(surv|survival|rec|event|death|obs|observation|follow ?up|fu|diff)? ?"
    r"(time|days|weeks|months|years|duration)"
)
"""The whole name, in words, of a time until the event or the end of observation."""

_FEWEST = 10

_LATER = 0.99
"""Share of the rows in which a date is not before another one, if it never should be."""


def follow_ups(
    table: FileProfile, target: TargetChoice, columns: Sequence[ColumnSummary]
) -> dict[str, str]:
    """Return the columns that are known when the event has come, or not, each with the reason.

    Args:
        table: the profile of the data file.
        target: what is predicted.
        columns: the columns that could be inputs, and times.
    """
    if target.column is None or not _is_event(target, target.column):
        return {}
    lengths = {c.source: _LENGTH for c in columns if _is_duration(c)}
    return lengths | dict(_later_dates(table, columns))


_LENGTH = "seems to be the time until the event or the last observation: known only afterwards?"


def _is_event(target: TargetChoice, column: ColumnSummary) -> bool:
    """Whether the target says if an event was seen, or which of several, 0 being none of them."""
    is_one = target.task == "binary" or (target.task == "multiclass" and column.low == 0)
    return is_one and any(_EVENT.match(word) for word in words_of(column.source))


def _is_duration(column: ColumnSummary) -> bool:
    if column.type not in ("int64", "float64") or column.distinct < _FEWEST or column.low < 0:
        return False
    words = words_of(column.source)
    return bool(_DURATION.fullmatch(" ".join(words))) or {"time", "last"} <= {*words}


def _later_dates(table: FileProfile, columns: Sequence[ColumnSummary]) -> Iterator[tuple[str, str]]:
    """Yield the dates that are never before the earliest one, which says when watching began.

    Of dates that were planned, the plan is known beforehand.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    dates = [c for c in columns if c.type in TIMES and c.present and not is_birth(c)]
    moments = {c.source: table.sample[c.source].cast(pa.timestamp("us")) for c in dates}
    for late in (c.source for c in dates if not is_plan(c)):
        for early in moments:
            later = pc.drop_null(pc.greater_equal(moments[late], moments[early]))
            equal = pc.drop_null(pc.equal(moments[late], moments[early]))
            if len(later) >= _FEWEST and pc.mean(later).as_py() >= _LATER > pc.mean(equal).as_py():
                yield late, f"is never before {early}: known only afterwards?"
                break
