"""Find the columns of text that are numbers or dates, written as people write them.

The ways of writing are in `written_forms` and `units`; what both readings of 1,234 fit is decided
in `decimal_marks`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from factory_assets.cli.new.column_summary import ColumnForm
from factory_assets.cli.new.decimal_marks import MARKS_SQL, MarkedNumbers, Reading, proves_english
from factory_assets.cli.new.units import UNIT_SQL, Unit, unit_of
from factory_assets.cli.new.written_forms import (
    CLOCK,
    ENGLISH,
    GERMAN,
    WrittenForm,
    written_forms,
)
from factory_resources.sql.engine import literal

_READINGS: Mapping[WrittenForm, Reading] = {ENGLISH: "english", GERMAN: "german"}


@dataclass(frozen=True)
class _Proven:
    """How columns of the file are written that can be read in one way only."""

    readings: frozenset[Reading]
    months_first: frozenset[bool]


@dataclass(frozen=True)
class _Column:
    """A column with the written forms that fit all of its texts."""

    form: ColumnForm
    """How the contract reads it."""
    native: bool
    """Whether that is as numbers, some with a point."""
    unit: Unit
    fitting: tuple[WrittenForm, ...]
    mark: str | None
    """What some of its numbers have: a comma or a point."""
    plain: int
    """How many different ones of up to three digits have none."""

    @property
    def marked(self) -> MarkedNumbers | None:
        """Its numbers if both readings fit."""
        if not self.mark or not {ENGLISH, GERMAN} <= {*self.fitting}:
            return None
        return MarkedNumbers(self.mark, self.plain, self.unit.text, self.native)

    @property
    def proven(self) -> Reading | None:
        """The reading that alone is possible."""
        if proves_english(self.unit.text) or (self.native and not self.marked):
            return "english"
        readings = [_READINGS[form] for form in self.fitting if form in _READINGS]
        return readings[0] if self.mark and len(readings) == 1 else None

    @property
    def swapped(self) -> WrittenForm | None:
        """What fits too if the day and the month change places."""
        return next((form for form in self.fitting if form.swaps(self.fitting[0])), None)

    @property
    def month_first(self) -> bool | None:
        """Whether a month comes before its day; None if that is not known, or there are none."""
        written = self.fitting[0] if self.fitting else None
        if written is None or not written.has_order or self.swapped:
            return None
        return written.month_first

    def read(self, delimiter: str, proven: _Proven) -> ColumnForm | None:
        """Return how it is read; None if only the contract reads it, or nothing."""
        written, note = next(iter(self.fitting), None), ""
        if marked := self.marked:
            reading = marked.reading(delimiter, proven.readings)
            written = ENGLISH if reading == "english" else GERMAN
            note = marked.note(reading, proven.readings)
        elif written is ENGLISH and GERMAN in self.fitting and proven.readings == {"german"}:
            # No mark tells yet, but the next file may have one, as in 1.250 € below 980 €.
            written = GERMAN
        elif written and (other := self.swapped):
            written = other if proven.months_first == {other.month_first} else written
            first, last = ("month", "day") if written.month_first else ("day", "month")
            note = f"read with the {first} first, though the {last} fits there too: is that right?"
        if self.native and (time := next((f for f in self.fitting if f.type == "timestamp"), None)):
            return self._written(time, "")
        if self.native and written is not GERMAN:
            return replace(self.form, note=note) if note else None
        return self._written(written, note) if written else None

    def _written(self, written: WrittenForm, note: str) -> ColumnForm:
        unit = self.unit if written.type == "float64" else Unit()
        bare = f"some numbers have no {unit.text}: do they mean the same?" * unit.sometimes
        limit = "a limit such as <0.5 counts as 0.5: is that right?" * unit.limits
        return ColumnForm(
            written.type,
            self.form.tokens,
            written=written.sql.replace("{}", unit.sql),
            pattern=unit.around(written.pattern),
            unit=unit.text or written.unit,
            note="; ".join(filter(None, (note, bare, limit))),
        )


def read_written(
    connection: Any,
    texts: str,
    forms: Mapping[str, ColumnForm],
    pointed: Collection[str],
    delimiter: str,
) -> dict[str, ColumnForm]:
    """Return the forms of numbers and dates that the contract cannot read, or would misread.

    Args:
        connection: an engine that reads the texts.
        texts: SQL of a table of (name, text) without missing values.
        forms: the columns by their names, as the contract reads them, with all of their tokens.
        pointed: all columns of the file that the contract reads as numbers, some with a point.
        delimiter: what separates the columns of the file; empty if it is not known.
    """
    columns = _columns(connection, texts, forms, pointed)
    readings = {reading for column in columns.values() if (reading := column.proven)}
    points: set[Reading] = {"english"} if {*pointed} - forms.keys() else set()
    firsts = {first for column in columns.values() if (first := column.month_first) is not None}
    proven = _Proven(frozenset(readings | points), frozenset(firsts))
    read = {name: column.read(delimiter, proven) for name, column in columns.items()}
    return {name: form for name, form in read.items() if form}


def _columns(
    connection: Any, texts: str, forms: Mapping[str, ColumnForm], pointed: Collection[str]
) -> dict[str, _Column]:
    found = connection.execute(
        f"SELECT name, min(text), max(text), {UNIT_SQL} FROM {texts} GROUP BY name"
    ).fetchall()
    units = {name: unit for name, _, _, *rest in found if (unit := unit_of(*rest)) != Unit()}
    amount = "text"
    if units:
        cases = (f"WHEN {literal(n)} THEN {u.sql.replace('{}', 'text')}" for n, u in units.items())
        amount = f"CASE name {' '.join(cases)} ELSE text END"
    numbers = ", ".join(literal(name) for name in forms if name in units or name in pointed)
    is_number = f"name IN ({numbers})" if numbers else "false"
    # Most forms do not match the first and the last text, and to plan a test of each one takes
    # longer than the rest of a draft of a small file.
    ends = [(least, most) for _, least, most, *_ in found]
    clocks = any(CLOCK in least and CLOCK in most for least, most in ends)
    candidates = [form for form in written_forms(clocks=clocks) if any(map(form.may_fit, ends))]
    rows = connection.execute(
        f"SELECT name, {MARKS_SQL}, {', '.join(form.fits() for form in candidates)} "
        f"FROM (SELECT name, text, {amount} AS amount, {is_number} AS is_number FROM {texts}) "
        "GROUP BY name"
    ).fetchall()
    return {
        name: _Column(
            form=forms[name],
            native=name in pointed,
            unit=units.get(name, Unit()),
            fitting=tuple(form for form, fit in zip(candidates, fits, strict=True) if fit),
            mark=mark,
            plain=plain,
        )
        for name, mark, plain, *fits in rows
    }
