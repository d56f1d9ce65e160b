"""Read the header of a file in Attribute-Relation File Format (ARFF), and split its rows.

Converting the rows belongs in `arff`.
"""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NoReturn

from factory_resources.errors import QuotedData, SourceError
from factory_resources.sources.files.text_errors import LONGEST

_CELL = re.compile(
    r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,'"\s][^,]*?|))\s*(,|\Z)""", re.DOTALL
)

_ATTRIBUTE = re.compile(
    r"""@attribute\s+(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s'"{]+))\s*(.*)""",
    re.IGNORECASE,
)

_DATE = re.compile(r"""date\b\s*(?:'([^']*)'|"([^"]*)"|(\S*))\s*\Z""", re.IGNORECASE)

_DATE_PART = re.compile(r"y+|M+|d+|H+|h+|m+|s+|S+|[aZ]|[A-Za-z]|.", re.DOTALL)

_DATE_PARTS = {
    **{"yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%m"},
    **{"dd": "%d", "d": "%d", "HH": "%H", "H": "%H", "hh": "%I", "h": "%I"},
    **{"mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "SSS": "%g", "a": "%p", "Z": "%z"},
}
"""Java's letters for dates, which ARFF uses, to those of the engine."""

_ISO = "yyyy-MM-dd'T'HH:mm:ss"


@dataclass(frozen=True)
class Attribute:
    """One declared column."""

    name: str
    kind: Literal["number", "text", "date"]
    values: frozenset[str] | None = None
    """The values of a nominal attribute."""
    date_format: str = ""
    """How a date is written, in the letters of the engine."""


def attribute_names(head: bytes, name: str, encoding: str) -> tuple[str, ...]:
    """Return the names of the attributes; empty if the header is longer than `LONGEST` bytes.

    Args:
        head: the first `LONGEST` bytes of the file, or all if there are fewer.

    Raises:
        SourceError: the header is not that of ARFF.
    """
    text = io.StringIO(head.decode(encoding, errors="replace").removeprefix("\ufeff"))
    if len(head) == LONGEST and not any(line.strip().lower().startswith("@data") for line in text):
        return ()
    text.seek(0)
    return tuple(attribute.name for attribute in read_header(enumerate(text, 1), name))


def read_header(lines: Iterable[tuple[int, str]], name: str) -> tuple[Attribute, ...]:
    """Read the lines up to `@data`."""
    attributes: dict[str, Attribute] = {}
    number = 0
    for number, line in lines:
        text = line.strip()
        word = text.partition(" ")[0].partition("\t")[0].lower()
        where = f"{name}:{number}"
        if not is_content(line) or word == "@relation":
            continue
        if word == "@data":
            if not attributes:
                refuse("has no @attribute before @data", where, "declare its columns")
            return tuple(attributes.values())
        match = _ATTRIBUTE.match(text)
        if match is None:
            refuse(
                f"is not a line of an ARFF header: {text[:40]!r}",
                where,
                "write @relation, @attribute NAME TYPE and @data, or set source.format",
            )
        attribute = _attribute(_unescaped(match), match[4].strip(), where)
        if attribute.name.lower() in attributes:
            refuse(f"has 2 attributes named {attribute.name!r}", where, "rename one of them")
        attributes[attribute.name.lower()] = attribute
    refuse("has no @data", f"{name}:{number or 1}", "fetch the file again, or set source.format")


def _attribute(name: str, kind: str, where: str) -> Attribute:
    if not name:
        refuse("has an attribute without a name", where, "name it")
    word = kind.lower()
    if word in {"numeric", "real", "integer"}:
        return Attribute(name, "number")
    if word == "string":
        return Attribute(name, "text")
    if kind.startswith("{") and kind.endswith("}"):
        values = split_cells(kind[1:-1].strip(), where)
        return Attribute(name, "text", frozenset(value for value in values if value is not None))
    if match := _DATE.match(kind):
        return Attribute(name, "date", date_format=_date_format(_last(match) or _ISO, where))
    refuse(
        f"attribute {name!r} has type {kind[:30]!r}",
        where,
        "the types that are read are numeric, real, integer, string, date and {a,b}",
    )


def _last(match: re.Match[str]) -> str:
    return next((group for group in match.groups() if group), "")


def _date_format(java: str, where: str) -> str:
    """Return Java's format of a date in the letters of the engine."""
    parts = []
    for i, piece in enumerate(java.split("'")):
        if i % 2:
            # Quoted text stands for itself, and two quotes for one.
            parts.append(piece.replace("%", "%%") or "'")
            continue
        for part in _DATE_PART.findall(piece):
            if part[0].isalpha() and part not in _DATE_PARTS:
                refuse(
                    f"has the date format {java!r}, of which {part!r} is not supported",
                    where,
                    f"write dates with {', '.join(_DATE_PARTS)}",
                )
            parts.append(_DATE_PARTS.get(part, part.replace("%", "%%")))
    return "".join(parts)


def is_content(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith("%")


def split_cells(text: str, where: str) -> list[str | None]:
    """Split a row at its commas; a `?` without quotes is a missing value."""
    if "'" not in text and '"' not in text:
        plain = (cell.strip() for cell in text.split(","))
        return [None if cell in {"?", ""} else cell for cell in plain]
    cells: list[str | None] = []
    position = 0
    while True:
        match = _CELL.match(text, position)
        if match is None:
            refuse(
                "has a quoted value that never ends or continues after its closing quote",
                where,
                "correct the row; write a backslash before a quote inside a quoted value",
            )
        unquoted = match[3]
        cells.append(None if unquoted in {"?", ""} else _unescaped(match))
        if not match[4]:
            return cells
        position = match.end()


def _unescaped(match: re.Match[str]) -> str:
    """Return the text of a cell or name: the third group as it is, the quoted ones unescaped."""
    quoted = match[1] if match[1] is not None else match[2]
    if quoted is None:
        return match[3]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), quoted)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def refuse(what: str, where: str, remedy: str, *, quotes: bool = False) -> NoReturn:
    """Raise a SourceError.

    Args:
        quotes: whether it has a value of the data.
    """
    cause = QuotedData(what) if quotes else None
    raise SourceError(what, where=where, remedy=remedy) from cause
