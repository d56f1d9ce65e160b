"""Notice values that may mean "no value", -999 among ages, a few texts among numbers; and numbers
with units.

Only the owner of the data knows, so that a draft asks.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from factory_assets.cli.new.column_summary import MAX_LISTED_VALUES, ColumnForm, ColumnSummary
from factory_assets.cli.new.column_types import NON_TEXT_MISSING_TOKENS
from factory_assets.cli.new.footer import TOTALS
from factory_assets.cli.new.roles import is_named_code, personal_data_reason
from factory_assets.cli.new.units import LIMITS, MONEY, is_unit
from factory_assets.cli.new.written_columns import read_written
from factory_assets.cli.new.written_forms import ENGLISH, GERMAN, is_month
from factory_assets.data.contract.sql_types import looks_like_sql
from factory_assets.spec.contract import ColumnType
from factory_resources.sql.engine import literal

_NINES = re.compile(r"-?9+([7-9]|9\.9+|9\.25)")
"""Numbers such as -999, 98, 99.9 or -999.25, as lists, surveys, weather stations and well logs have
where there is none."""

_ABSURD = 1e30
"""Beyond it, a number is what a program writes for no value, such as -3.4e38, and training would
refuse it."""

_FEWEST_ROWS = 2
"""Fewest rows of a number that stands for something: a single one may be a slip."""

_FEWEST_NUMBERS, _FEW_NUMBERS = MAX_LISTED_VALUES + 1, 5
"""Fewest different numbers beside a text that are read as such, since fewer may be names of
categories or classes; and fewest that a comment names."""

_DIGIT = re.compile("[0-9]")
"""What a code has. A text with one in a single row may be a slip."""

_NUMBERS, _FEW_TEXTS, _MOST_TEXTS = 0.95, 3, 8
"""Share of the values that are numbers, and how many different texts may be among them: codes have
more. More than a few must each have several rows, and a single one may be more frequent."""

_NUMBER = literal(f"([{LIMITS}]+ *)?({ENGLISH.pattern}|{GERMAN.pattern})")

_MARKED = (ENGLISH, GERMAN)

NUMBERS_SQL = f"count(*) FILTER (regexp_full_match({{}}, {_NUMBER}))"
"""SQL that counts the numbers in a column of texts, `{}`."""

_IS_DAY = (
    r"regexp_full_match({}, '([0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|"
    r"[0-9]{1,2}[-/. ]([0-9]{1,2}|\pL{3,9})[-/. ][0-9]{4})([ T].*)?')"
)

_MONTH_OF = r"regexp_extract({}, '^[0-9]{1,2}[-/. ](\pL{3,9})[-/. ][0-9]{4}', 1)"

DAYS_SQL = f"2 * count(*) FILTER ({_IS_DAY}) > count({{}})"
"""SQL of whether most texts of a column, `{}`, are days, however they are written."""

_MOST_TOTALS = 0.2
"""Share of the rows that may be totals: of more, the word is a part of names."""

_MOST_UNITS = 5
"""How many different units numbers may have: codes such as seats have more letters."""

AMOUNT = "[+-]?[0-9](.*[0-9])?"
"""The number of a text with a unit that has no digit."""

_KNOWN = ", ".join(map(literal, NON_TEXT_MISSING_TOKENS))

_WITH_UNIT = f"({'|'.join(map(re.escape, MONEY))})? ?{AMOUNT}[^0-9]*"

AMOUNTS_SQL = f"bool_and(regexp_full_match({{}}, {literal(_WITH_UNIT)}) OR {{}} IN ({_KNOWN}))"
"""SQL of whether each text of a column, `{}`, may be a number with a unit."""

_TOTAL = f"^({'|'.join(sorted(TOTALS))})\\b"

TOTALS_SQL = f"count(*) FILTER (regexp_matches(lower(trim({{}})), {literal(_TOTAL)}))"
"""SQL that counts the texts of a column, `{}`, that begin like a total."""

QUESTION = "does it mean no value? Then add it to missing"


def sentinels(connection: Any, column: ColumnSummary) -> str:
    """Return a question about numbers such as -999 that are unlike the others; empty if none are.

    Args:
        connection: with the view `typed` of all rows.
        column: its profile.
    """
    is_number = column.type in ("int64", "float64")
    return "; ".join(_sentinels(connection, column)) if is_number else ""


def _sentinels(connection: Any, column: ColumnSummary) -> Iterator[str]:
    """Yield a question about an end of the numbers such as -999, if the others are far from it."""
    ends = [
        end
        for end in (column.low, column.high)
        if _NINES.fullmatch(f"{end or 0:.15g}") or abs(end or 0) > _ABSURD
    ]
    for end in dict.fromkeys(ends):
        is_code = f"{column.cell} IN ({', '.join(map(repr, _codes_beside(end)))})"
        [(rows, codes, low, high)] = connection.execute(
            f"SELECT count(*) FILTER ({is_code}), "
            f"list_sort(list(DISTINCT {column.cell}) FILTER ({is_code})), "
            f"min({column.cell}) FILTER (NOT {is_code}), "
            f"max({column.cell}) FILTER (NOT {is_code}) FROM typed"
        ).fetchall()
        if low is None or low == high or rows < _FEWEST_ROWS:
            continue
        nearest = codes[-1] if end == codes[0] else codes[0]
        if not 2 * low - high <= nearest <= 2 * high - low:
            listed = ", ".join(f"{code:.15g}" for code in codes)
            far = "are far" if codes[1:] else "is far"
            yield f"{listed} in {rows} rows {far} from the others: {QUESTION}"


def _codes_beside(end: float) -> Sequence[float]:
    """Return the codes that surveys use together with this one: 97 and 98 beside 99."""
    if end != round(end) or abs(end) > _ABSURD or abs(end) % 10 < 7:
        return (end,)
    tens = abs(end) - abs(end) % 10
    return [(tens + digit) * (1 if end > 0 else -1) for digit in (7, 8, 9)]


def numbers_beside_texts(
    connection: Any, column: ColumnSummary, delimiter: str
) -> ColumnForm | None:
    """Return how the numbers of a column are read if the few texts beside them mean no value.

    As texts if these may be codes, such as V57, 12a or 90+. None if there are no such texts, or so
    many that they may be names of categories, or if it may be personal data, of which a draft
    quotes nothing.

    Args:
        connection: with the view `typed` of all rows.
        column: the profile of texts, some of which are numbers.
        delimiter: what separates the columns of the file; empty if it is not known.
    """
    is_number = f"regexp_full_match({column.cell}, {_NUMBER})"
    known = f"{column.cell} IN ({_KNOWN})"
    most = len(NON_TEXT_MISSING_TOKENS) + _MOST_TEXTS + 1
    found = connection.execute(
        f"SELECT {column.cell}, count(*) AS n, {known} AS known FROM typed "
        f"WHERE NOT {is_number} GROUP BY ALL ORDER BY known DESC, n DESC, 1 LIMIT {most}"
    ).fetchall()
    texts = [(text, rows) for text, rows, is_known in found if not is_known]
    rows = sum(count for _, count in texts)
    numbers = column.present - sum(count for _, count, _ in found)
    is_repeated = len(texts) <= _FEW_TEXTS or min(n for _, n in texts) >= _FEWEST_ROWS
    is_few = len(texts) <= _MOST_TEXTS and rows <= (1 - _NUMBERS) * (rows + numbers)
    # Without a text, these are numbers, but so large that they are kept as text.
    is_one = len(texts) == 1
    if not texts or not ((is_few and is_repeated) or is_one):
        return None
    different = column.distinct - len(found)
    if different < _FEW_NUMBERS:
        return None
    only = f"(SELECT '' AS name, {column.cell} AS text FROM typed WHERE {is_number})"
    form = _form(connection, only, delimiter)
    if form is None or _is_personal(connection, column):
        return None
    beside = tuple(text for text, _ in texts)
    are_codes = any(_DIGIT.search(text) and rows >= _FEWEST_ROWS for text, rows in texts)
    if are_codes or is_named_code(column.source) or different < _FEWEST_NUMBERS:
        return ColumnForm("string", no_numbers=beside)
    tokens = (*beside, *(text for text, _, is_known in found if is_known))
    asked = "the texts in missing count as no value: is that right?"
    note = "; ".join(filter(None, (asked, form.note)))
    return replace(form, tokens=tokens, note=note, no_numbers=beside)


def _is_personal(connection: Any, column: ColumnSummary) -> bool:
    rows = connection.execute(
        f"SELECT DISTINCT {column.cell} FROM typed WHERE {column.cell} IS NOT NULL LIMIT 500"
    )
    return personal_data_reason(column, [text for (text,) in rows.fetchall()]) is not None


def mixed_marks(connection: Any, column: ColumnSummary) -> str:
    """Tell which numbers of a text keep it from being a column of numbers; empty if none do.

    Args:
        connection: with the view `typed` of all rows.
        column: the profile of texts, some of which are numbers.
    """
    point, comma = (f"regexp_full_match({column.cell}, {literal(f.pattern)})" for f in _MARKED)
    known = f"{column.cell} IN ({_KNOWN})"
    [(pointed, with_comma, others, one_pointed, one_with_comma)] = connection.execute(
        f"SELECT count(*) FILTER ({point} AND NOT {comma}), count(*) FILTER ({comma} AND NOT "
        f"{point}), count(*) FILTER (NOT ({point} OR {comma} OR {known})), "
        f"min({column.cell}) FILTER ({point} AND NOT {comma}), "
        f"min({column.cell}) FILTER ({comma} AND NOT {point}) FROM typed"
    ).fetchall()
    if others or not pointed or not with_comma:
        return ""
    fewer, mark, example = min(
        (pointed, "point", one_pointed), (with_comma, "comma", one_with_comma)
    )
    return (
        f"numbers, of which {fewer} {'is' if fewer == 1 else 'are'} written with a {mark}, such as "
        f"{example!r}: write all of them in one way to get a column of numbers"
    )


def totals(column: ColumnSummary, rows: int) -> str:
    """Ask about rows that may be sums of others; empty if these are too many.

    Args:
        column: the profile of texts.
        rows: how many begin like a total.
    """
    if not 0 < rows <= _MOST_TOTALS * column.present:
        return ""
    begin = "1 begins" if rows == 1 else f"{rows} begin"
    return f"{begin} like a total: sums of other rows? Then leave them out by clean.where"


def mixed_dates(connection: Any, column: ColumnSummary) -> str:
    """Tell which values keep a text from being a column of dates; empty if none do.

    Args:
        connection: with the view `typed` of all rows.
        column: the profile of texts, most of which are dates.
    """
    shape = f"regexp_replace(regexp_replace({column.cell}, '[0-9]+', '0', 'g'), '\\pL+', 'a', 'g')"
    texts = f"FROM typed WHERE {column.cell} NOT IN ({_KNOWN})"
    [(usual, rows, example, values)] = connection.execute(
        f"SELECT {shape} AS shape, count(*), min({column.cell}), sum(count(*)) OVER () {texts} "
        f"GROUP BY ALL ORDER BY bool_and({_IS_DAY.replace('{}', column.cell)}) DESC, 2 DESC, 1 "
        "LIMIT 1"
    ).fetchall()
    months = connection.execute(
        f"SELECT DISTINCT {_MONTH_OF.replace('{}', column.cell)} AS month {texts} ORDER BY month"
    ).fetchall()
    if unknown := next((month for (month,) in months if month and not is_month(month)), ""):
        return (
            f"dates such as {example!r}: months are read in English and German, and not "
            f"{unknown!r}; write them as numbers to get dates"
        )
    if rows == values:
        return ""
    [(other,)] = connection.execute(
        f"SELECT min({column.cell}) {texts} AND {shape} <> {literal(usual)}"
    ).fetchall()
    others = "1 value is" if values - rows == 1 else f"{values - rows} values are"
    others = "others are" if 2 * rows < values else others
    return (
        f"dates such as {example!r}, but {others} not, such as {other[:20]!r}: write all of them "
        "in one way, and nothing where there is none, to get dates"
    )


def numbers_in_units(connection: Any, column: ColumnSummary, delimiter: str) -> ColumnForm | None:
    """Return how the numbers of a column are read, and their units as its tokens.

    Of a single one, as of $450k, parts stand on both sides: else these were no texts. None if there
    is no unit, or so many that they may be letters of codes.

    Args:
        connection: with the view `typed` of all rows.
        column: its profile, of texts that may be numbers with units.
        delimiter: what separates the columns of the file; empty if it is not known.
    """
    amount, known = literal(AMOUNT), f"FROM typed WHERE {column.cell} NOT IN ({_KNOWN})"
    found = connection.execute(
        f"SELECT trim(regexp_replace({column.cell}, {amount}, '')) AS unit, count(*) {known} "
        f"GROUP BY 1 ORDER BY 1 LIMIT {_MOST_UNITS + 1}"
    ).fetchall()
    are_units = all(is_unit(unit) and rows >= _FEWEST_ROWS for unit, rows in found)
    if not are_units or not 1 <= len(found) <= _MOST_UNITS:
        return None
    only = f"(SELECT '' AS name, regexp_extract({column.cell}, {amount}) AS text {known})"
    form = _form(connection, only, delimiter)
    if form is None or form.type not in ("int64", "float64"):
        return None
    return replace(form, tokens=tuple(unit for unit, _ in found))


def _form(connection: Any, numbers: str, delimiter: str) -> ColumnForm | None:
    """Return how numbers are read, of a table of (name, text); None if in no single way."""
    kinds: tuple[ColumnType, ...] = ("int64", "float64")
    tests = ", ".join(f"bool_and({looks_like_sql('text', kind)})" for kind in kinds)
    german = f"bool_and(regexp_full_match(text, {literal(GERMAN.pattern)}))"
    [(*fits, is_pointed)] = connection.execute(
        f"SELECT {tests}, {german} AND bool_or(contains(text, '.')) FROM {numbers}"
    ).fetchall()
    native = next((ColumnForm(k) for k, fit in zip(kinds, fits, strict=True) if fit), None)
    if native and not is_pointed:
        return native
    forms = {"": native or ColumnForm("string")}
    pointed = {""} if native else set[str]()
    return read_written(connection, numbers, forms, pointed, delimiter).get("", native)
