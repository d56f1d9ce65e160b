"""What is searched for: values, ready to be compared with bytes, cells and typed columns."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from factory_resources.erasure.matcher import AROUND, Matcher
from factory_resources.erasure.values import Value, is_searchable, needles

_SHOWN = frozenset({"shortened", "rounded"})
"""Forms that only pages and messages have: in a table such a text or number is another value."""


@dataclass(frozen=True)
class SearchTerms:
    """Values that are searchable."""

    values: tuple[Value, ...]

    @cached_property
    def in_files(self) -> Matcher:
        """Compares the bytes of files."""
        return Matcher([one for one in needles(self.values) if one.form != "packed"])

    @cached_property
    def in_cells(self) -> Matcher:
        """Compares texts and blobs of databases, and the journal of answers."""
        return Matcher(needles(self.values))

    @cached_property
    def in_tables(self) -> Matcher:
        """Compares texts and blobs of Parquet files."""
        return Matcher([one for one in needles(self.values) if one.form not in _SHOWN])

    @cached_property
    def numbers(self) -> frozenset[int | float]:
        return frozenset(one for one in self.values if isinstance(one, int | float))

    @cached_property
    def days(self) -> tuple[date, ...]:
        return tuple(one for one in self.values if type(one) is date)

    @cached_property
    def moments(self) -> tuple[datetime, ...]:
        return tuple(one for one in self.values if isinstance(one, datetime))

    @property
    def overlap(self) -> int:
        """Bytes that pieces of a file have in common, so that nothing between two is missed."""
        return self.in_files.longest + 2 * AROUND


def search_terms(values: Collection[Value]) -> SearchTerms:
    """Return the values, each once and in the order in which they are given.

    Raises:
        ValueError: one is not searchable. The message does not quote it.
    """
    if not all(map(is_searchable, values)):
        raise ValueError("a value is too short to be searched for")
    # 1 and 1.0 are equal, and have the same forms or more.
    return SearchTerms(tuple(dict.fromkeys(values)))
