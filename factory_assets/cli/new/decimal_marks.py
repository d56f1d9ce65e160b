"""Decide what 1,234 means in a column whose numbers both readings fit: a thousand, or little more
than one.

Either way a wrong reading is off by a factor of 1000, so that the draft tells which one was taken.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Reading = Literal["english", "german"]
"""Whether the comma stands between groups of three digits and the point before decimals, or the
other way round."""

_ENGLISH_UNITS = ("$", "£")

_FEW = 3
"""So many different numbers without a mark show that it groups digits: decimals that are cut off
where they are 0 would have one or two digits too, and others always have a mark."""

MARKS_SQL = (
    "min(regexp_extract(amount, '[.,]')) FILTER (regexp_matches(amount, '[.,]')), "
    "count(DISTINCT amount) FILTER (regexp_full_match(amount, '[+-]?[0-9]{1,3}'))"
)
"""What `MarkedNumbers` needs to know about the amounts of a group, as SQL of two values."""


@dataclass(frozen=True)
class MarkedNumbers:
    """Numbers of a column that both readings fit."""

    mark: str
    """What stands in some of them: a comma or a point."""
    plain: int
    """How many different ones of up to three digits have no mark."""
    unit: str = ""
    native: bool = False
    """Whether the contract reads them as well, as decimals."""

    def reading(self, delimiter: str, proven: Collection[Reading]) -> Reading:
        """Return how they are read.

        Args:
            delimiter: what separates the columns of the file; empty if it is not known.
            proven: the readings that alone fit another column of the file.
        """
        if proves_english(self.unit):
            return "english"
        if len(proven) == 1:
            return next(iter(proven))
        groups = self.plain >= _FEW and not (self.native and delimiter == ",")
        is_comma = self.mark == ","
        groups = groups or (is_comma and delimiter != ";")
        return "english" if groups == is_comma else "german"

    def note(self, reading: Reading, proven: Collection[Reading]) -> str:
        """Tell the reading and the other one; empty if there is hardly a doubt."""
        groups = (reading == "english") == (self.mark == ",")
        if self.native and not groups and not self.plain and "english" in proven:
            return ""
        taken, other = ("1234", "1.234") if groups else ("1.234", "1234")
        return f"1{self.mark}234 is read as {taken}, not {other}: is that right?"


def proves_english(unit: str) -> bool:
    """Whether the unit of a column tells how numbers are written in its file."""
    return unit in _ENGLISH_UNITS
