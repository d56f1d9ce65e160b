"""A factory as it is used, with fifty people in every corner of its tables, answers and logs."""

import csv
import io
import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.commands import in_process
from tests.pipelines import declare
from tests.serving import serving

COUNT = 50
"""People who are erased."""

_FIRST = 4_200_424_000

_COLUMNS: list[dict[str, Any]] = [
    {"name": "nbr", "type": "int64"},
    {"name": "name", "type": "string", "sensitive": "personal"},
    {"name": "note", "type": "string"},
    {"name": "born", "type": "date"},
    {"name": "seen", "type": "timestamp"},
    {"name": "weight", "type": "float64", "range": [0, 300]},
    {"name": "height", "type": "float64"},
    {"name": "heavy", "type": "int64"},
]

_PEOPLE: dict[str, Any] = {
    "purpose": "Tell who is heavy",
    "ingest": {"source": {"files": "data.csv"}, "contract": _COLUMNS, "max_quarantine": 0.2},
    "clean": {
        "where": {"tall": "height > 100"},
        "derive": {"double": "weight * 2", "loud": "upper(note)"},
    },
    "split": {"test": 0.3},
    "train": {
        "target": "heavy",
        "exclude": ["nbr", "name", "note", "born", "seen", "double", "loud"],
        "leaks": {"allow": {"weight": "it is what is told"}},
        "model": {"kind": "linear"},
    },
    "watch": {},
}

_VISITS: dict[str, Any] = {
    "purpose": "Visits, day by day",
    "partitions": {"day": {"values": ["mon", "tue", "wed"]}},
    "ingest": {
        "source": {"files": "visits-{day}.csv"},
        "contract": [
            {"name": "nbr", "type": "int64"},
            {"name": "trade", "type": "string"},
            {"name": "pulse", "type": "float64", "range": [0, 300]},
            {"name": "label", "type": "string"},
        ],
        "max_quarantine": 0.2,
    },
    "train": {"target": "label", "exclude": ["nbr", "day"], "model": {"kind": "linear"}},
}

_STRICT: dict[str, Any] = {
    "purpose": "Fail on a trade that nobody knows",
    "ingest": {
        "source": {"files": "../visits/visits-mon.csv"},
        "contract": [
            {"name": "nbr", "type": "int64"},
            {"name": "trade", "type": "string", "values": ["baker", "smith"]},
        ],
        "max_quarantine": 0.001,
    },
}


@dataclass(frozen=True)
class PlantedPerson:
    """Somebody whose values nobody else has."""

    number: int
    """From 0."""

    @property
    def nbr(self) -> int:
        return _FIRST + 13 * self.number

    @property
    def name(self) -> str:
        return f"Quibbleton Nr{self.number:03}"

    @property
    def note(self) -> str:
        return f'l\'été "{self.number:03}" | Zürich-Wipkingen'

    @property
    def born(self) -> date:
        return date(1931, 2, 3) + timedelta(days=41 * self.number)

    @property
    def seen(self) -> datetime:
        return datetime(2019, 3, 4, 5, 6, 7) + timedelta(seconds=86_413 * self.number)

    @property
    def weight(self) -> float:
        # Every seventh is too heavy, and in quarantine.
        return round(71.13091746 + self.number * 0.70710678 + 900 * (self.number % 7 == 6), 8)

    @property
    def height(self) -> float:
        # Every ninth breaks a rule of `clean`.
        return round(151.27182818 + self.number * 0.57721566 - 100 * (self.number % 9 == 8), 8)

    @property
    def trade(self) -> str:
        return f"gongfarmer{self.number:03}"

    def pulse(self, day: int) -> float:
        return round(61.14142136 + self.number * 0.61803399 + day * 30.5, 8)

    @property
    def row(self) -> list[object]:
        heavy = int(self.weight + 9 * (self.number % 3) > 95)
        cells = [self.nbr, self.name, self.note, self.born, self.seen]
        return [*cells, self.weight, self.height, heavy]

    @property
    def asked(self) -> dict[str, object]:
        """The row as a caller sends it."""
        names = [column["name"] for column in _COLUMNS if column["name"] != "heavy"]
        cells = zip(names, self.row, strict=False)
        return {name: str(cell) if isinstance(cell, date) else cell for name, cell in cells}

    @property
    def texts(self) -> list[str]:
        """What a file would have of them, as text."""
        numbers = [self.weight, self.height, self.weight * 2, *map(self.pulse, range(3))]
        words = [self.name, self.name.upper(), self.trade, *self._written(self.note)]
        moments = [str(self.seen), self.seen.isoformat(), self.born.isoformat()]
        return [str(self.nbr), *words, *moments, *map(repr, numbers)]

    @property
    def rounded(self) -> list[str]:
        """Their numbers as a page shows them."""
        return [f"{one:.6g}" for one in (self.weight, self.height, self.pulse(0))]

    @property
    def binary(self) -> list[bytes]:
        numbers = [self.weight, self.height, float(self.nbr), *map(self.pulse, range(3))]
        doubles = [struct.pack(order, one) for one in numbers for order in ("<d", ">d")]
        return [*doubles, struct.pack("<q", self.nbr)]

    @staticmethod
    def _written(text: str) -> list[str]:
        loud = text.upper()
        return [one for way in (text, loud) for one in (way, way.replace('"', '\\"'))]


PEOPLE = [PlantedPerson(number) for number in range(COUNT)]

WHERE = f"nbr IN ({', '.join(str(one.nbr) for one in PEOPLE)})"


def declare_planted(root: Path) -> None:
    """Declare `people`, `visits` in partitions, and `strict`, whose contract is broken."""
    declared = {"people": _PEOPLE, "visits": _VISITS, "strict": _STRICT}
    for name, attributes in declared.items():
        declare(root / "defs" / name, attributes)
    draw = random.Random(7)
    rows = [*map(_somebody, range(550), [draw] * 550)]
    for person in PEOPLE:
        for _ in range(2 if person.number % 5 == 0 else 1):
            rows.insert(draw.randrange(len(rows)), person.row)
    header = [column["name"] for column in _COLUMNS]
    _write(root / "defs" / "people" / "data.csv", [header, *rows])
    for number, day in enumerate(("mon", "tue", "wed")):
        visits = [_visit(draw) for _ in range(150)]
        for person in PEOPLE:
            pulse = person.pulse(number)
            label = "high" if pulse + 9 * (person.number % 3) > 109 else "low"
            visit: list[object] = [person.nbr, person.trade, pulse, label]
            visits.insert(draw.randrange(len(visits)), visit)
        header = ["nbr", "trade", "pulse", "label"]
        _write(root / "defs" / "visits" / f"visits-{day}.csv", [header, *visits])


def write_asked(path: Path) -> None:
    """Write rows of some of the people as a file to be scored."""
    rows = [person.asked for person in PEOPLE[:10]]
    _write(path, [list(rows[0]), *(list(row.values()) for row in rows)])


def use_factory(root: Path) -> None:
    """Train, fail, answer, learn outcomes, look and back up, in the factory of the environment."""
    declare_planted(root)
    write_asked(root / "asked.csv")
    code, text = in_process("run", "people", "visits", "strict")
    assert (code, "such as 'gongfarmer" in text) == (2, True), text
    with serving(root / "home") as server:
        for person in PEOPLE[:20]:
            # Who is too heavy or too short is refused, and that is logged with the row.
            answers = server.ask("/predict/people", [person.asked]).json.get("predictions", [])
            for answer in answers:
                outcome = {"id": answer["id"], "outcome": 1}
                assert server.ask("/feedback", outcome).status == 200
        visits = [{"trade": one.trade, "pulse": one.pulse(0), "day": "mon"} for one in PEOPLE[20:]]
        assert server.ask("/predict/visits", visits).status == 200
    for arguments in (
        ("predict", "people", root / "asked.csv", "--out", root / "answers.csv"),
        ("monitor", "people"),
        ("backup", root / "backup.tar"),
    ):
        code, text = in_process(*arguments)
        # Whether the look sees a drift is left to its draws.
        assert code in (0, int(arguments[0] == "monitor")), text


def _somebody(number: int, draw: random.Random) -> list[object]:
    weight, height = round(draw.gauss(80, 9), 3), round(draw.gauss(170, 9), 2)
    born = date(1970, 1, 1) + timedelta(days=draw.randrange(9000))
    seen = datetime(2024, 1, 1) + timedelta(minutes=number)
    heavy = int(weight + draw.gauss(0, 5) > 82)
    return [1000 + number, f"Person {number:05}", "came", born, seen, weight, height, heavy]


def _visit(draw: random.Random) -> list[object]:
    pulse = round(draw.gauss(95, 20), 3)
    trade = draw.choice(["baker", "smith"])
    label = "high" if pulse + draw.gauss(0, 9) > 100 else "low"
    return [draw.randrange(1000, 9000), trade, pulse, label]


def _write(path: Path, rows: Iterable[list[object]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())
