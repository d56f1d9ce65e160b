"""Recognise lines below the last row of a text file: totals, and notes about the export.

Lines above the first row belong in `header`. What only might be a note is a row: a line that is
taken for one ends later files too.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import dropwhile
from pathlib import Path

from factory_assets.cli.new.header import MISSING_TOKENS, is_written_number
from factory_resources.sources.files.delimited_text import TextRules, decoder
from factory_resources.sources.files.discovery import format_of

TOTALS = frozenset(
    (
        *("total", "totals", "grand total", "subtotal", "sum"),
        *("summe", "gesamt", "gesamtsumme", "insgesamt", "zwischensumme"),
        # Without Somme, which is also a part of France.
        *("totaux", "total général", "total general"),
        *("totale", "totali", "totale generale", "subtotale", "somma"),
        *("totales", "suma", "suma total"),
        *("totaal", "eindtotaal", "subtotaal"),
    )
)
"""Words of rows that are sums of others: in English, German, French, Italian, Spanish and Dutch."""

_MOST = 10
"""Most lines below the last row."""

_BEGINNING = re.compile(r"[^0-9;,\t|]+")
"""What stays the same in the next file: text before the first number or separator."""

_SENTENCE = 3
"""Fewest words of a text that may be a note without a number or a colon."""

_NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")

_BESIDE = re.compile("['\u2019 \u00a0\u202f€$£¥]")
"""What stands beside the digits of an amount, other than a point and a comma."""

_NO_VALUE = (None, "", *MISSING_TOKENS)

_ROUNDED = Decimal("0.01")
"""Most that a total may differ from the sum of numbers that were rounded, as a share of it."""

_RULE = re.compile(r"([-=_*#])\1{4,}")
"""A line that is drawn."""


def sign_of_end(lines: Sequence[str], number: int) -> str:
    """Return how the line begins at which the rows end; empty if it is a row like others.

    Args:
        lines: all lines of the file.
        number: of the first line, from 1, that is no row.
    """
    if not len(lines) - _MOST <= number <= len(lines):
        return ""
    begins = _BEGINNING.match(lines[number - 1])
    sign = begins[0].rstrip() if begins else ""
    return "" if any(line.startswith(sign) for line in lines[: number - 1]) else sign


def may_be_below(line: str) -> bool:
    """Whether a line with too few or too many cells is no damaged row: a note, or a total."""
    first, *others = re.split("[;,\t|]", line)
    return not others or _begins_total(first) or _looks_like_note(first.strip())


def count_totals(rows: Sequence[Sequence[object]]) -> int:
    """Return how many of the last rows are totals, or have a note in place of a row.

    Args:
        rows: the last rows, with their cells as text.
    """
    count, kept = 0, rows[: max(len(rows) - _MOST, len(rows) // 2)]
    for number, row in enumerate(reversed(rows[-_MOST:]), 1):
        cells = {place: str(cell) for place, cell in enumerate(row) if cell not in (None, "")}
        if not cells:
            continue
        place, first = next(iter(cells.items()))
        above = [str(other[place]) for other in kept if other[place] not in (None, "")]
        others = [text for at, text in cells.items() if at != place]
        is_total = len(cells) < len(row) and _is_total(first, others, above)
        is_single = len(cells) == 1 < len(row) - 1
        if not is_total and not (is_single and _is_note(first, above)):
            break
        count = number
    return count if count < len(rows) else 0


def may_be_sum(rows: Sequence[Sequence[object]]) -> bool:
    """Whether the last row has a word such as Total in a column without another such word."""
    *above, last = rows
    return any(
        _is_total_word(str(cell)) and not any(_is_total_word(str(row[place])) for row in above)
        for place, cell in enumerate(last)
    )


def is_sum(rows: Sequence[Sequence[object]]) -> bool:
    """Whether each number of the last row is the sum of those above it, and one is larger than each
    of them.

    Args:
        rows: all rows, with their cells as text.
    """
    *above, last = rows
    columns = [
        _if_sum([str(total), *(str(row[place]) for row in above if row[place] not in _NO_VALUE)])
        for place, total in enumerate(last)
        if re.search("[0-9]", str(total))
    ]
    return all(columns) and any(abs(total) > max(map(abs, cells)) for total, *cells in columns)


def lines_below(path: Path, rules: TextRules) -> list[str]:
    """Return the lines of a file that are not read because of `until`, but for blank ones."""
    if not rules.until or format_of(path.name)[1] != "plain":
        return []
    content = path.read_bytes()
    lines = decoder(rules.encoding, content).decode(content).splitlines()
    below = dropwhile(lambda line: not line.startswith(rules.until), lines)
    return [line.strip() for line in below if line.strip()]


def _is_total(first: str, others: Sequence[str], above: Sequence[str]) -> bool:
    """Whether a row begins with a word such as Total: alone, or above sums and unlike the rows."""
    if _is_total_word(first):
        return True
    sums = bool(others) and all(map(is_written_number, others))
    return sums and _begins_total(first) and not _is_alike(first, above)


def _if_sum(texts: Sequence[str]) -> Sequence[Decimal]:
    """Return the numbers of texts if the first is the sum of the others, but for rounding."""
    for group, mark in (",.", ".,"):
        plain = [_BESIDE.sub("", text).replace(group, "").replace(mark, ".") for text in texts]
        if len(plain) < 2 or not all(map(_NUMBER.fullmatch, plain)):
            continue
        total, *cells = numbers = [*map(Decimal, plain)]
        found = sum(cells, Decimal())
        unit = 1 / Decimal(10) ** min(_decimals(plain[0]), max(map(_decimals, plain[1:])))
        if abs(total - found) <= min(unit * Decimal(len(cells)).sqrt(), abs(found) * _ROUNDED):
            return numbers
    return ()


def _decimals(number: str) -> int:
    return len(number.partition(".")[2])


def _begins_total(text: str) -> bool:
    return bool(TOTALS.intersection(_words(text)[:1]))


def _is_total_word(text: str) -> bool:
    return " ".join(_words(text)) in TOTALS and not re.search("[0-9]", text)


def _is_note(text: str, above: Sequence[str]) -> bool:
    return bool(_RULE.fullmatch(text)) or (_looks_like_note(text) and not _is_alike(text, above))


def _looks_like_note(text: str) -> bool:
    words = _words(text)
    return bool(words and re.search("^[*†]|[0-9:]", text)) or len(words) >= _SENTENCE


def _is_alike(text: str, above: Sequence[str]) -> bool:
    """Whether a text may be a value of its column: one of texts, short, and without a new sign."""
    texts = [value for value in above if not is_written_number(value)]
    if len(texts) < len(above) / 2 or not texts:
        return False
    longest = max(len(value.split()) for value in texts)
    signs = [set(re.findall("[0-9:]", re.sub("[0-9]", "0", value))) for value in (text, *texts)]
    return len(text.split()) <= max(longest, _SENTENCE) and signs[0] <= set().union(*signs[1:])


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())
