"""What a column is: an identifier, a group, a code, a text, a time; by its name and its values."""

import re
from collections.abc import Sequence
from typing import Any

from factory_assets.cli.new.column_summary import MAX_LISTED_VALUES, ColumnSummary
from factory_assets.data.leakage.semantics import (
    BIRTHS,
    NAMES,
    PLANS,
    SHORTENED,
    SUBJECTS,
    is_count,
    parted,
    words_of,
)
from factory_assets.data.privacy.pii_scan import names_role, scan_for_pii
from factory_assets.ml.features.texts import MOST_TEXTS, WORDS
from factory_resources.encoders.sentence_encoder import DEFAULT_ENCODER, has_default_encoder

_IDENTIFIER = re.compile(
    r"(^|_)(id|uid|udi|uuid|guid|key|nr|nbr|no|number|index|code|patient|customer|user|account)$|"
    r"^id_?(num|str)$|^idcode$|(nummer|kennung|[a-z]{3}nr)$"
)

_NUMBERED = re.compile(
    "[nN][°º]|#|[nN]uméro|[mM]atrícula|[mM]atricul[ea]|[iI]dentifiant|[cC][oó]digo|[cC]odice"
)
"""How names of identifiers begin in other languages; where values repeat, some count."""

_INDIVIDUALS = frozenset({"individual", "participant", "pupil", "respondent", "firm", "company"})

_CODE = re.compile(r"(^|_)(id|code|type|kind|class|category|group|zip)(_|$)")

FEWEST_GROUPS = 20
"""Fewest people or things whose rows are divided among the parts."""

_FEWEST_PEOPLE = 5
"""Fewest people or things about which a comment asks."""

_NITRIC_OXIDE = "no"
"""What repeats under this name alone may be a measurement."""

_LONG = 10**11
"""From here on, whole numbers that are all different count or measure nothing: they are names."""

TIMES = ("date", "timestamp")

NEARLY_ALL = 0.99
"""Share of the rows that have a time or a group, so that the others can do without: they go to
quarantine."""

_MOST = 0.95
"""Share of the rows that have a group, so that the others can be one more group."""


def why_excluded(column: ColumnSummary, name: str, rows: int) -> str:
    """Return why a column should not be an input; empty if it can be one."""
    if not column.present:
        return "has no value"
    if column.distinct == 1 and column.present == rows:
        return "is the same in every row"
    if column.type in TIMES:
        return ""
    if column.nested or (column.bracketed and column.distinct > MAX_LISTED_VALUES):
        return (
            "holds several values: give each a column of its own in the file, or in source.python"
        )
    if is_group(column, name, rows):
        return "identifies the group that a row belongs to"
    if is_sentence(column):
        read = has_encoder(column)
        return "" if read else f"is free text; pip install {DEFAULT_ENCODER} reads it"
    unique = column.distinct == column.present and column.present > MAX_LISTED_VALUES
    if (
        column.type == "string"
        and column.present > MAX_LISTED_VALUES
        and column.distinct > column.present * 0.9
    ):
        units = ": numbers with units, see the contract" if column.in_units else ""
        return f"is different in nearly every row{units}"
    counts_up = column.type == "int64" and column.high - column.low + 1 == column.present
    is_number_of = _is_named(column, name) or _NUMBERED.match(column.source)
    named = column.type == "int64" and is_number_of
    is_long = column.type == "int64" and column.low >= _LONG
    if column.running or (unique and (named or counts_up or is_long)):
        return "is a row number or identifier"
    return ""


def is_group(column: ColumnSummary, name: str, rows: int) -> bool:
    """Whether it is a repeating identifier, as of patients, whose rows belong in one part."""
    words = words_of(column.source)
    return (
        column.type in ("int64", "string")
        and column.source.casefold() != _NITRIC_OXIDE
        and not is_count(words, whole=column.type == "int64")
        and (_is_named(column, name) or bool((NAMES | _INDIVIDUALS).intersection(words[-1:])))
        and column.distinct >= FEWEST_GROUPS
        and 1.05 * column.distinct < rows
        and (rows < 20 * column.distinct or words == ["id"] or is_somebody(column))
        and column.present >= _MOST * rows
        and column.commonest <= 0.5  # What most rows have is a word for none, or is no unit.
    )


def may_be_unit(column: ColumnSummary, rows: int) -> bool:
    """Whether it may name units of several rows, which is worth a question.

    It has names, serial numbers or codes, such as P-07, or is called after a few people or things.
    """
    is_value = column.bracketed or column.in_units or is_sentence(column)
    if not _FEWEST_PEOPLE <= column.distinct <= rows / 2 or is_value:
        return False
    if column.distinct < FEWEST_GROUPS:
        is_named = bool((NAMES | _INDIVIDUALS).intersection(words_of(column.source)[-1:]))
        return column.type in ("int64", "string") and is_named and is_somebody(column)
    is_serial = all(re.search("[0-9]", str(text)) for text in (column.low, column.high))
    return column.type == "string" and (is_serial or words_of(column.source)[-1:] == ["name"])


def _is_named(column: ColumnSummary, name: str) -> bool:
    """Whether it is named like an identifier."""
    apart = re.sub(r"\W+", "_", parted(column.source))
    return any(_IDENTIFIER.search(one) for one in (name.lower(), apart))


def is_dispensable(column: ColumnSummary, rows: int) -> bool:
    """Whether the few rows without the time or the group go to quarantine."""
    return NEARLY_ALL * rows <= column.present < rows


def is_somebody(column: ColumnSummary) -> bool:
    """Whether its name says that its values are people or things."""
    words = words_of(column.source)
    if len(words) == 1:
        return bool((SUBJECTS | _INDIVIDUALS).intersection(words))
    return bool((NAMES | SHORTENED | _INDIVIDUALS).intersection(words[:-1]))


def is_code(column: ColumnSummary, name: str) -> bool:
    """Whether its whole numbers stand for categories: it is named like a code, with few values."""
    return column.type == "int64" and 2 < column.distinct <= 50 and is_named_code(name)


def is_named_code(name: str) -> bool:
    """Whether a column has the name of a code."""
    return bool(_CODE.search(parted(name).replace(" ", "_")))


def is_slice(column: ColumnSummary) -> bool:
    """Whether its few values may divide the rows: not the surnames or initials of inspectors."""
    is_few = column.type in ("string", "bool") and 2 <= column.distinct <= 8
    names = [str(value)[:1].isupper() for value in column.values]
    return is_few and not (column.type == "string" and names_role(column.source) and all(names))


def is_sentence(column: ColumnSummary) -> bool:
    """Whether it holds sentences, not names."""
    return column.type == "string" and column.words >= WORDS and column.distinct > MAX_LISTED_VALUES


def has_encoder(column: ColumnSummary) -> bool:
    """Whether its sentences can be read here."""
    return column.distinct <= MOST_TEXTS and has_default_encoder()


def is_birth(column: ColumnSummary) -> bool:
    """Whether a date does not say when the row happened."""
    return bool(BIRTHS.intersection(words_of(column.source)))


def is_plan(column: ColumnSummary) -> bool:
    """Whether its name says that it is known beforehand, as a date that was promised."""
    return bool(PLANS.intersection(words_of(column.source)))


def personal_data_reason(column: ColumnSummary, examples: Sequence[Any]) -> str | None:
    """Return why it may be personal data, by its name or some of its values; None if it is not."""
    kind = "VARCHAR" if column.type == "string" else column.type
    return scan_for_pii({column.source: kind}, {column.source: examples}).get(column.source)
