"""Find inputs that are known only after the outcome, as training would, and rows that repeat."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from factory_assets.cli.new.column_summary import MAX_LISTED_VALUES, ColumnSummary
from factory_assets.cli.new.follow_up import follow_ups
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.roles import TIMES, personal_data_reason
from factory_assets.cli.new.target import TargetChoice
from factory_assets.data.leakage.overlap import count_copies
from factory_assets.data.leakage.pairs import measure_pairs
from factory_assets.data.leakage.policy import LEAST_COPIES, MANY_COPIES, WELL
from factory_assets.data.leakage.predictive_power import Power, measure_power
from factory_assets.data.leakage.semantics import afterwards, outcome_words, unplanned
from factory_assets.results.data import InputPair
from factory_resources.sql.engine import sealed

if TYPE_CHECKING:
    import pyarrow as pa

_FEWEST = 20
"""Fewest rows, and different values, from which an exact relation is believed."""

_CHANCE = 0.01
"""How rarely rows drawn at random may be of one class as those that have a value: of a class with
99 % of the rows, 100 rows mostly are."""

_NEARLY = {"AUC": 0.95, "R²": 0.9}
"""How well an input must predict the target alone to be suspected: few are known beforehand."""

_CAUTION = 0.5
"""A draft already acts at this share of the copies at which training stops, because another split
may have twice as many."""

_FULL = 0.9
"""Share of the repeated rows that repeat the target too if they are copies."""


@dataclass(frozen=True)
class FoundLeaks:
    """Columns by their name in the file, with the reason."""

    sure: Mapping[str, str]
    """They are no inputs."""
    suspected: Mapping[str, str]
    """They are named like an outcome but tell little, or tell much without being certain."""


def find_leaks(
    table: FileProfile,
    target: TargetChoice,
    columns: Sequence[ColumnSummary],
    names: Mapping[str, str],
) -> FoundLeaks:
    """Return the columns that seem to be known only afterwards.

    Nothing is sure, only suspected, if no input would be left.

    Args:
        table: the profile of the data file.
        target: what is predicted.
        columns: the columns that could be inputs.
        names: the columns' names in the file and in the pipeline.
    """
    if target.column is None:
        return FoundLeaks({}, {})
    sample = _known(table, target.column, columns)
    name = target.column.source
    power = measure_power(sample, name, target.task)
    pairs = measure_pairs(sample, name, target.task, power)
    personal = {c.source for c in columns if personal_data_reason(c, table.examples(c))}
    sure = {
        **_alone(sample, target, columns, power, personal),
        **_together(pairs, power, names),
        **follow_ups(table, target, columns),
    }
    suspected = _beside(pairs, names)
    for column in columns:
        alone = power.of.get(column.source, 0.0)
        if alone >= _NEARLY[power.measure]:
            suspected[column.source] = (
                f"predicts the target well alone ({power.measure} {alone:.2f})"
            )
        elif where := _only_where(sample, column, target.column):
            suspected[column.source] = f"has a value only where the target is {where}"
        elif one := _one_class(sample, column, target, hidden=column.source in personal):
            suspected[column.source] = one
        words = outcome_words(names[column.source], names[name])
        strong = power.of.get(column.source, 0.0) >= WELL[power.measure]
        if words and (strong or column.type in TIMES):
            sure.setdefault(column.source, f"{words}: known only afterwards?")
        elif words:
            suspected[column.source] = words
    inputs = {c.source for c in columns}
    if not inputs - set(sure):
        suspected |= {one: _QUESTION.sub("", sure[one]) for one in inputs}
        sure = {one: why for one, why in sure.items() if one not in inputs}
    return FoundLeaks(sure, {one: why for one, why in suspected.items() if one not in sure})


_QUESTION = re.compile(r": known only afterwards\?$")


def _known(
    table: FileProfile, target: ColumnSummary, columns: Sequence[ColumnSummary]
) -> "pa.Table":
    import pyarrow.compute as pc

    known = table.sample.filter(pc.is_valid(table.sample[target.source]))
    return known.select([*(c.source for c in columns), target.source])


def _only_where(sample: "pa.Table", column: ColumnSummary, target: ColumnSummary) -> str:
    """Return the class of all rows in which the column has a value, if others have none."""
    import pyarrow.compute as pc

    if not sample[column.source].null_count:
        return ""
    there = sample.filter(pc.is_valid(sample[column.source]))[target.source]
    if not _FEWEST <= len(there) < sample.num_rows / 2 or target.distinct > MAX_LISTED_VALUES:
        return ""
    [most] = pc.value_counts(there).sort(by="counts", order="descending").slice(0, 1).to_pylist()
    is_one = pc.equal(sample[target.source], most["values"])
    by_chance = (pc.sum(is_one).as_py() / sample.num_rows) ** len(there)
    is_all = most["counts"] == len(there) and by_chance < _CHANCE
    return str(most["values"]) if is_all else ""


def _one_class(
    sample: "pa.Table", column: ColumnSummary, target: TargetChoice, *, hidden: bool
) -> str:
    """Return which value has all rows of one of several classes and no others; empty if none."""
    assert target.column is not None
    is_measured = column.type == "float64" or column.distinct > MAX_LISTED_VALUES
    if target.task != "multiclass" or is_measured:
        return ""
    names = [column.source, target.column.source]
    pairs = sample.group_by(names).aggregate([([], "count_all")]).to_pylist()
    for pair in pairs:
        value, of_class = (pair[name] for name in names)
        alike = [one for one in pairs if one[names[0]] == value or one[names[1]] == of_class]
        if value is not None and alike == [pair] and pair["count_all"] >= _FEWEST:
            what = "has one of its values" if hidden else f"is {value}"
            return f"{what} where the target is {of_class}, and nowhere else"
    return ""


def _alone(
    sample: "pa.Table",
    target: TargetChoice,
    columns: Sequence[ColumnSummary],
    power: Power,
    personal: Collection[str],
) -> dict[str, str]:
    """Return the columns that reveal the target by themselves, each with the reason.

    It quotes no value of a `personal` column.
    """
    found = {}
    for column in columns:
        if power.limit is not None and power.of.get(column.source, 0.0) >= power.limit:
            measure = f"{power.measure} {power.of[column.source]:.3f}"
            found[column.source] = (
                f"reveals the target by itself ({measure}): known only afterwards?"
            )
        elif implied := power.implied.get(column.source):
            value = "has one of its values" if column.source in personal else implied.value
            found[column.source] = (
                f"where it {value}, the target is {implied.target}: known only afterwards?"
            )
        elif target.task == "regression" and _same_order(sample, column, target):
            found[column.source] = "has the order of the target, or the reverse: computed from it?"
    return found


def _same_order(sample: "pa.Table", column: ColumnSummary, target: TargetChoice) -> bool:
    """Whether a number increases or decreases with the target, without an exception."""
    import numpy as np
    import pyarrow.compute as pc

    assert target.column is not None
    if column.type not in ("int64", "float64") or column.distinct < _FEWEST:
        return False
    rows = sample.select([column.source, target.column.source])
    rows = rows.filter(pc.is_valid(rows[column.source])).sort_by(column.source)
    if rows.num_rows < _FEWEST or column.distinct < target.column.distinct / 2:
        return False
    truth, values = (
        rows[name].cast("float64", safe=False).to_numpy()
        for name in (target.column.source, column.source)
    )
    # Compared, not subtracted: a difference may be beyond float64.
    begins = np.flatnonzero(np.append(True, values[1:] > values[:-1]))
    # Of all rows of a value: one row of each of few values is in order by chance.
    low, high = (extreme.reduceat(truth, begins) for extreme in (np.minimum, np.maximum))
    is_constant = truth.min() == truth.max()
    increases, decreases = (high[:-1] <= low[1:]).all(), (low[:-1] >= high[1:]).all()
    return not is_constant and bool(increases or decreases)


def _together(pairs: Sequence[InputPair], power: Power, names: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that reveal the target together with another one, each with the reason.

    An example is the arrival time beside the scheduled one.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        for name in afterwards(pair, power.of):
            found.setdefault(name, f"{_relation(pair, name, names)}: known only afterwards?")
    return found


def _beside(pairs: Sequence[InputPair], names: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of pairs whose names do not tell which one was known beforehand.

    Both may be known only afterwards, as the goals of two teams are.
    """
    return {
        name: _relation(pair, name, names)
        for pair in reversed(pairs)
        if unplanned(pair) is None
        for name in pair.columns
    }


def _relation(pair: InputPair, name: str, names: Mapping[str, str]) -> str:
    other = next(column for column in pair.columns if column != name)
    return f"its {pair.relation} with {names[other]} reveals the target"


def repeats(table: FileProfile, inputs: Sequence[str], target: TargetChoice) -> str:
    """Return whether test rows would be copies of training rows: `copied`, `alike`, or empty.

    Args:
        table: the profile of the data file.
        inputs: the inputs, by their names in the file.
        target: what is predicted; rows are copies if they repeat that too.
    """
    if target.column is None:
        return ""
    # The engine has names of its own, and none that differ only in case.
    sample = table.sample.select([*inputs, target.column.source])
    cells = [f"c{place}" for place in range(sample.num_columns)]
    with (
        TemporaryDirectory() as scratch,
        sealed(read=[], write=Path(scratch)) as connection,
    ):
        connection.register("sample", sample.rename_columns(cells))
        connection.execute(
            "CREATE TEMP TABLE source AS SELECT *, row_number() OVER () AS _order FROM sample"
        )
        connection.execute(
            "CREATE TEMP TABLE parts AS SELECT _order, CASE WHEN _order % 5 = 0 THEN 'test' "
            "ELSE 'train' END AS _part FROM source"
        )
        copies = count_copies(connection, cells[:-1], sample.num_rows)
        if copies is None or copies.coincidence or copies.share < MANY_COPIES * _CAUTION:
            return ""
        if copies.rows * table.rows / sample.num_rows < LEAST_COPIES * _CAUTION:
            return ""
        of = [", ".join(names) for names in (cells[:-1], cells)]
        alike, copied = (
            connection.execute(
                f"SELECT count(*) FROM (SELECT count(*) OVER (PARTITION BY {key}) AS n FROM source)"
                " WHERE n > 1"
            ).fetchall()[0][0]
            for key in of
        )
    return "copied" if copied >= _FULL * alike else "alike"
