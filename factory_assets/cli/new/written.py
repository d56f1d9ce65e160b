"""Numbers and dates that are written as the contract cannot read them: 1.234,5 and 31.12.2024.

A derived column reads them, in training and in service alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory_assets.spec.contract import ColumnType
from factory_resources.sql.engine import literal

_DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y.%m.%d", "%d %b %Y", "%b %d, %Y")
"""How days are written. Of two that fit all rows, the first is taken."""

_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")


@dataclass(frozen=True)
class WrittenForm:
    """How the values of a text column are read."""

    type: ColumnType
    sql: str
    """With `{}` for the text."""
    pattern: str = ""
    """What each text must match besides, if anything."""
    sign: str = ""
    """What at least one text must contain."""

    def fits(self, text: str) -> str:
        """Return SQL for whether it reads all texts of a column."""
        read = f"{self.sql.replace('{}', text)} IS NOT NULL"
        if self.pattern:
            read += f" AND regexp_full_match({text}, {literal(self.pattern)})"
        signed = f"bool_or(contains({text}, {literal(self.sign)}))" if self.sign else "true"
        return f"coalesce(bool_and({read}) FILTER ({text} IS NOT NULL) AND {signed}, false)"


_FORMS = (
    WrittenForm(
        "float64",
        "TRY_CAST(replace(replace({}, '.', ''), ',', '.') AS DOUBLE)",
        r"[+-]?([0-9]{1,3}(\.[0-9]{3})+|[0-9]+)(,[0-9]+)?([eE][+-]?[0-9]+)?",
        ",",
    ),
    *(WrittenForm("date", f"CAST(try_strptime({{}}, '{day}') AS DATE)") for day in _DAYS),
    *(
        WrittenForm("timestamp", f"try_strptime({{}}, '{day} {clock}')")
        for day in _DAYS
        for clock in _CLOCKS
    ),
)


def written_forms(
    connection: Any, table: str, texts: Sequence[tuple[int, str]]
) -> Mapping[int, WrittenForm]:
    """Return the first fitting form of each column that has one.

    Args:
        connection: the engine.
        table: SQL of the table.
        texts: each column's position, and SQL of its text.
    """
    tests = [form.fits(text) for _, text in texts for form in _FORMS]
    if not tests:
        return {}
    row = iter(connection.execute(f"SELECT {', '.join(tests)} FROM {table}").fetchone())
    fits = {place: [form for form in _FORMS if next(row)] for place, _ in texts}
    return {place: forms[0] for place, forms in fits.items() if forms}
