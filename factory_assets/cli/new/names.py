"""Names for the columns of a pipeline, from those of the data file."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

from factory_assets.cli.new.profile import FileProfile
from factory_assets.ml.features.features import OUTPUTS

UNIT = re.compile(r"\s*[\[(]\s*([^\s\d\])]{1,10})\s*[\])]\s*$")
"""The unit in a name, such as `Torque [Nm]`."""


def column_names(table: FileProfile) -> Iterator[tuple[str, str]]:
    """Yield each column's name in the source and a unique name in the pipeline.

    Plain identifiers stay; other names become lower case with underscores, without the unit unless
    it alone tells two columns apart.
    """
    taken = taken_names(())
    without = Counter(UNIT.sub("", column.source) for column in table.columns)
    for i, column in enumerate(table.columns, 1):
        is_plain = re.fullmatch(r"[A-Za-z]\w{0,62}", column.source, re.ASCII)
        plain = UNIT.sub("", column.source)
        text = plain if plain and without[plain] == 1 else column.source
        base = column.source if is_plain else _snake_case(text) or f"column_{i}"
        yield column.source, free_name(base, taken)


def taken_names(names: Iterable[str]) -> set[str]:
    """Return names, and those that the factory needs, in lower case."""
    return {"file_row_number", *OUTPUTS, *(name.lower() for name in names)}


def free_name(base: str, taken: set[str]) -> str:
    """Return the name, with a number if it is taken, and take it; `taken` is in lower case."""
    name, n = base, 2
    while name.lower() in taken:
        name, n = f"{base}_{n}", n + 1
    taken.add(name.lower())
    return name


def _snake_case(text: str) -> str:
    """Convert `Air Temperature` to `air_temperature`, `Größe 2` to `grosse_2`."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    ascii_only = plain.encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:56].rstrip("_")
    return f"column_{name}" if name[:1].isdigit() else name
