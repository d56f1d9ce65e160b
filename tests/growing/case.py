"""A case of the corpus: the states of a table one after the other, and what each must become."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

Columns = Mapping[str, Sequence[Any]]
"""Each column of the clean table, in order, with its values in the order of the rows."""


@dataclass(frozen=True)
class State:
    """A declaration and its files at one time."""

    files: Mapping[str, str]
    """Text by name; files of earlier states that are not named are removed."""
    expected: Columns | str
    """The clean table, or words of the line by which it is refused."""
    contract: Sequence[Mapping[str, Any]] = ()
    derive: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A table and its states.

    Args:
        name: the id of the test, and the name of the pipeline.
        states: the first is a table that is made; the others change it.
        sites: the partitions; each has a file `<site>.csv`, and `expected` lists their rows in this
            order. Without partitions, all files are read in the order of their names.
    """

    name: str
    states: Sequence[State]
    sites: tuple[str, ...] = ()

    def declaration(self, state: State) -> dict[str, Any]:
        """Return the attributes of the `defs.yaml`."""
        files = "{site}.csv" if self.sites else "*.csv"
        ingest: dict[str, Any] = {"source": {"files": files}}
        if state.contract:
            ingest["contract"] = [dict(column) for column in state.contract]
        partitions = {"partitions": {"site": {"values": [*self.sites]}}} if self.sites else {}
        clean = {"clean": {"derive": dict(state.derive)}} if state.derive else {}
        return {"purpose": "Grow", **partitions, "ingest": ingest, **clean}


NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)

VALUES: dict[str, Sequence[Any]] = {
    "int64": (1, 2),
    "float64": (1.5, 2.25),
    "string": ("one", "two"),
    "bool": (True, False),
    "date": (date(2024, 1, 31), date(2024, 2, 29)),
    "timestamp": (NEW_YEAR + timedelta(hours=1), NEW_YEAR + timedelta(hours=2)),
}
"""Two values of each type of a contract."""

FORMULAS: dict[str, tuple[str, Sequence[Any]]] = {
    "int64": ("k + 1", (2, 3)),
    "float64": ("k / 4", (0.25, 0.5)),
    "string": ("'a' || k", ("a1", "a2")),
    "bool": ("k > 1", (False, True)),
    "date": ("DATE '2024-01-01' + CAST(k AS INTEGER)", (date(2024, 1, 2), date(2024, 1, 3))),
    "timestamp": (
        "TIMESTAMP '2024-01-01 00:00:00' + to_hours(k)",
        (NEW_YEAR + timedelta(hours=1), NEW_YEAR + timedelta(hours=2)),
    ),
}
"""A derived column of each type, over the column `k` with the values 1 and 2."""


def every_change(kinds: Sequence[str]) -> list[str]:
    """Return a walk over the kinds that makes each change from one to another exactly once."""
    unused = set(filter(lambda pair: pair[0] != pair[1], product(kinds, kinds)))
    walk, stack = list[str](), [kinds[0]]
    while stack:
        ahead = next((kind for kind in kinds if (stack[-1], kind) in unused), None)
        if ahead is None:
            walk.append(stack.pop())
        else:
            unused.remove((stack[-1], ahead))
            stack.append(ahead)
    return walk[::-1]


def cell(value: Any) -> str:
    """Return a value as it is written in a file."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def csv(columns: Columns) -> str:
    """Return the text of a file with these columns."""
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(cell, row)) for row in rows)]) + "\n"


def numbered(states: Sequence[str]) -> Iterator[tuple[list[int], str]]:
    """Yield each state with two numbers that occur in no other, so that every table is new."""
    for i, state in enumerate(states):
        yield [10 * i, 10 * i + 1], state
