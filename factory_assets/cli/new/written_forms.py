"""Ways of writing numbers and dates that a contract does not read: 1.234,5 €, $1,000, 31.12.2024.

Which columns are tested belongs in `column_types`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from factory_assets.spec.contract import ColumnType
from factory_resources.sql.engine import literal


def _any_case(words: Sequence[str]) -> str:
    """Return what matches each of the words, in letters of any case."""
    return f"({'|'.join(''.join(f'[{c.upper()}{c.lower()}]' for c in word) for word in words)})"


_DAYS = (
    *("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%Y%m%d"),
    *("%Y-%m", "%m/%Y", "%d %b %Y", "%d-%b-%Y", "%b %d %Y", "%b %d, %Y", "%Y-%m-%d"),
    *("%b %Y", "%b-%Y", "%Y %b", "%d %B %Y", "%B %d %Y", "%B %d, %Y", "%B %Y"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%b-%y", "%b-%y"),
)
"""How days are written. Of two that fit all rows, the first is taken."""

_CLOCKS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p")

CLOCK = ":"
"""What every text with a time of the day contains, but those of `_WITHOUT_CLOCK` and `_FRENCH`."""

_WITHOUT_CLOCK = ("%Y%m%dT%H%M%S", "%Y%m%d%H%M", "%Y%m%d%H%M%S")

_FRENCH = "%d/%m/%Y %Hh%M"

_MOMENTS = (
    # Of servers of the web and of mail.
    *("%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT"),
    # Of C, of feeds, and of logs by Python and Java.
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%Y-%m-%d %H:%M:%S,%f"),
    # Of browsers in Germany, Britain and America, and of SQL Server.
    *("%d.%m.%Y, %H:%M:%S", "%d.%m.%Y, %H:%M", "%d/%m/%Y, %H:%M:%S", "%m/%d/%Y, %I:%M:%S %p"),
    *("%b %d %Y %I:%M%p", "%m/%d/%Y %I:%M%p", "%d.%m.%Y %H:%M Uhr"),
)
"""How moments are written by programs."""

_MONTH = "%Y%m"

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_LONG_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

_PARTS = {
    "%Y": "(1[5-9]|2[01])[0-9]{2}",
    "%y": "[0-9]{2}",
    "%m": "(0?[1-9]|1[0-2])",
    "%d": "(0?[1-9]|[12][0-9]|3[01])",
    "%b": _any_case(_MONTHS),
    "%B": _any_case(_LONG_MONTHS),
    "%H": "([01]?[0-9]|2[0-3])",
    "%I": "(0?[1-9]|1[0-2])",
    "%M": "[0-5]?[0-9]",
    "%S": "[0-5]?[0-9]",
    "%f": "[0-9]{1,6}",
    "%p": "[AaPp][Mm]",
    "%a": f"({'|'.join(_WEEKDAYS)})",
    "%z": "[+-][0-9]{4}",
}
"""What each part of a date matches: what cannot be one goes to quarantine, not to null."""

_FINE = (
    f"{_PARTS['%Y']}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3])"
    r"(:[0-5][0-9]){2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
"""Moments of .NET or of InfluxDB, finer than the microseconds that a contract reads."""

_GERMAN_MONTH = (
    "(Jan(uar)?|Feb(ruar)?|M(ärz?|rz)|Apr(il)?|Mai|Juni?|Juli?|Aug(ust)?|Sep(t|tember)?|"
    r"Okt(ober)?|Nov(ember)?|Dez(ember)?)\.?"
)

_GERMAN_DAYS = {"%d. %b %Y": "", "%b %Y": "", "%b %y": "M"}
"""How days are written in German, and what one of them contains: without a Mai or a März, `Jan 22`
may be English, and the 22nd."""

_QUARTER = ("([0-9]{4})", "Q([1-4])")
"""Where year and number of a quarter stand."""

MONEY = ("$", "€", "£", "¥", "EUR", "USD", "CHF", "GBP")
"""What may stand before a number. Any unit may stand behind it."""

_NO_UNIT = r"[0-9.,'\x{2019}\x{a0}\x{202f} +()\x{2212}-]"
"""Characters of numbers; what is left of one without them is its unit."""

LIMITS = "<>=\u2264\u2265"
"""What stands before a number that is the limit of what could be measured."""

_FEWEST_NUMBERS = 10
"""Fewest different numbers beside limits; fewer may be names of categories."""

_BLANK = "[ \u00a0\u202f]*"
"""What may stand between a number and its unit."""

_MINUS = "\u2212"
"""The minus of typesetting, which no program reads."""

_LONGEST_UNIT = 10


@dataclass(frozen=True)
class WrittenForm:
    """One way of writing numbers or dates."""

    type: ColumnType
    sql: str
    """What reads a text `{}`."""
    pattern: str
    """What each text matches."""
    sign: str = ""
    """What at least one text contains if no unit tells that they are numbers."""
    layout: str = ""
    """How it writes a date."""
    unit: str = ""
    """Of the number that it reads, if no text says so."""

    @property
    def has_order(self) -> bool:
        """Whether day and month are numbers that could change places."""
        return {self.layout[:2], self.layout[3:5]} == {"%d", "%m"}

    @property
    def month_first(self) -> bool:
        return self.layout.startswith("%m")

    def swaps(self, other: "WrittenForm") -> bool:
        """Whether another form has the day where this one has the month, and the reverse."""
        swapped = re.sub("%[md]", lambda part: {"%m": "%d", "%d": "%m"}[part[0]], self.layout)
        return other.layout == swapped != self.layout

    def fits(self) -> str:
        """Return SQL for whether it reads all texts of a group: `text`, or `amount` without unit.

        `is_number` is whether they are known to be numbers, as by a unit.
        """
        text = "amount" if self.type == "float64" else "text"
        read = f"{self.sql.replace('{}', text)} IS NOT NULL"
        match = f"regexp_full_match({text}, {literal(self.pattern)})"
        signed = f"bool_or(contains({text}, {literal(self.sign)}) OR is_number)"
        # Only a CASE spares reading what does not match, and one such text is one too many.
        share = f"avg(CASE WHEN {match} THEN CAST({read} AS DOUBLE) ELSE '-inf' END)"
        # Of dates, a few may be a 31st of February, which a rule sends to quarantine.
        return f"{share} >= 0.95 AND {signed}"


@cache
def written_forms(*, clocks: bool) -> tuple[WrittenForm, ...]:
    """Return the forms in the order in which they are preferred, `ENGLISH` and `GERMAN` first.

    Args:
        clocks: whether with times of the day: most forms have one, and to test them all takes
            longer than the rest of a draft of a small file.
    """
    others = (_number(group, ".") for group in ("'", "\u2019"))
    blanks = (_number(group, ",") for group in (" ", "\u00a0", "\u202f"))
    return (ENGLISH, GERMAN, *others, *blanks, *_dates(), *(_times() if clocks else ()))


def _number(group: str, point: str) -> WrittenForm:
    """Return numbers with a character between groups of three digits, and a decimal point."""
    grouped = f"[1-9][0-9]{{0,2}}({re.escape(group)}[0-9]{{3}})+"
    pattern = rf"[+-]?({grouped}|0|[1-9][0-9]*)({re.escape(point)}[0-9]+)?([eE][+-]?[0-9]+)?"
    value = f"replace({{}}, {literal(group)}, '')"
    if point != ".":
        value = f"replace({value}, {literal(point)}, '.')"
    sign = "," if group in ".," else group
    return WrittenForm("float64", f"TRY_CAST({value} AS DOUBLE)", pattern, sign)


ENGLISH, GERMAN = _number(",", "."), _number(".", ",")


def _dates() -> Iterator[WrittenForm]:
    for day in (*_DAYS, _MONTH):
        sql = f"CAST(try_strptime({{}}, '{day}') AS DATE)"
        yield WrittenForm("date", sql, _pattern(day), layout=day)
    for day, sign in _GERMAN_DAYS.items():
        sql = f"CAST(try_strptime({_in_english('{}')}, '{day}') AS DATE)"
        pattern = _pattern(day.replace("%b", "month")).replace("month", _GERMAN_MONTH)
        yield WrittenForm("date", sql, pattern, sign)
    monday = "CAST(try_strptime({} || '-1', '%G-W%V-%u') AS DATE)"
    yield WrittenForm("date", monday, f"{_PARTS['%Y']}-W(0[1-9]|[1-4][0-9]|5[0-3])")
    year, quarter = (f"CAST(regexp_extract({{}}, '{part}', 1) AS INT)" for part in _QUARTER)
    for pattern in (f"{_PARTS['%Y']}[ -]Q[1-4]", f"Q[1-4][ /-]{_PARTS['%Y']}"):
        yield WrittenForm("date", f"make_date({year}, 3 * {quarter} - 2, 1)", pattern)
    for pattern, factor in (("1[0-9]{9}", 1_000_000), ("1[0-9]{12}", 1000)):
        sql = f"make_timestamp(TRY_CAST({{}} AS BIGINT) * {factor})"
        yield WrittenForm("timestamp", sql, pattern)
    micro = "make_timestamp(CAST(TRY_CAST({} AS DECIMAL(19, 9)) * 1000000 AS BIGINT))"
    yield WrittenForm("timestamp", micro, r"1[0-9]{9}(\.[0-9]{1,9})?")
    yield from map(_moment, (*_WITHOUT_CLOCK, _FRENCH))


def _times() -> Iterator[WrittenForm]:
    """Return the forms with a time of the day, whose texts all contain `CLOCK`."""
    hours = "date_part('epoch', TRY_CAST({} AS TIME)) / 3600"
    yield WrittenForm("float64", hours, "([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", unit="h")
    for day in _DAYS:
        for clock in _CLOCKS:
            sql = f"try_strptime({{}}, '{day} {clock}')"
            pattern = f"{_pattern(day)} {_pattern(clock)}"
            yield WrittenForm("timestamp", sql, pattern, layout=f"{day} {clock}")
    yield from map(_moment, _MOMENTS)
    micro = r"regexp_replace({}, '([.][0-9]{6})[0-9]+', '\1')"
    sql = f"CAST(TRY_CAST({micro} AS TIMESTAMPTZ) AS TIMESTAMP)"
    yield WrittenForm("timestamp", sql, _FINE)


def _moment(written: str) -> WrittenForm:
    sql = f"CAST(try_strptime({{}}, '{written}') AS TIMESTAMP)"
    # Days below 10 are often padded by a blank.
    return WrittenForm("timestamp", sql, _pattern(written).replace(r"\ ", " +"))


def _in_english(text: str) -> str:
    """Return SQL for a text in which the months have the short English names."""
    short = rf"regexp_replace({text}, '(\pL{{3}})\pL*\.?', '\1')"
    short = f"regexp_replace({short}, 'M[är][rz]', 'Mar')"
    for german, english in (("Mai", "May"), ("Okt", "Oct"), ("Dez", "Dec")):
        short = f"replace({short}, '{german}', '{english}')"
    return short


def _pattern(day: str) -> str:
    """Return what a day or a time of it matches: a year of four digits is not read from two."""
    pattern = re.sub("%[a-zA-Z]", lambda part: _PARTS[part[0]], re.escape(day))
    pattern = pattern.replace("0?", "0") if day.startswith(_MONTH) else pattern
    return pattern.replace("]?", "]") if day in _WITHOUT_CLOCK else pattern


@dataclass(frozen=True)
class Unit:
    """What stands beside all numbers of a column, and how their minus is written."""

    text: str = ""
    brackets: bool = False
    """Whether (5) is -5."""
    minus_behind: bool = False
    """Whether 5- is -5."""
    typeset: bool = False
    """Whether some have the minus of typesetting."""
    sometimes: bool = False
    """Whether numbers other than 0 stand without it: 5k and 5000 may be the same."""
    padded: bool = False
    """Whether some have a blank at an end that a source keeps, as numbers from web pages have."""
    limits: bool = False
    """Whether some stand for what is below or above them, such as <0.5."""

    @property
    def sql(self) -> str:
        """What takes it from a text `{}`."""
        sql = f"ltrim({{}}, '{LIMITS} ')" if self.limits else "{}"
        sql = f"replace({sql}, '{_MINUS}', '-')" if self.typeset else sql
        sql = f"replace({sql}, {literal(self.text)}, '')" if self.text else sql
        sql = f"trim({sql})" if self.text or self.padded else sql
        if self.minus_behind:
            sql = f"CASE WHEN {sql} LIKE '%-' THEN '-' ELSE '' END || replace({sql}, '-', '')"
        return f"replace(replace({sql}, '(', '-'), ')', '')" if self.brackets else sql

    def around(self, pattern: str) -> str:
        """Return what a text matches whose number matches a pattern.

        Another unit does not match: its numbers mean something else.
        """
        if self.limits:
            return f"([{LIMITS}]+ *)?{replace(self, limits=False).around(pattern)}"
        if self.typeset:
            around = replace(self, typeset=False).around(pattern)
            return around.replace("[+-]", f"[+{_MINUS}-]")
        if self == Unit():
            return pattern
        unit = re.escape(self.text)
        minus = f"-?{_BLANK}" if self.minus_behind else ""
        before, behind = f"([+-]?{unit}|{unit}{_BLANK})?", f"({unit})?"
        if self.brackets:
            before = rf"(\(?([+-]?{unit})?|{unit}{_BLANK}\(?)"
            behind = rf"({unit}{_BLANK}\)?|\)?{_BLANK}({unit})?)"
        return f"{_BLANK}{before}{pattern}{_BLANK}{minus}{behind}{_BLANK}"


_NUMBER = f"{_NO_UNIT}*[0-9]{_NO_UNIT}*"
"""What is left of a text without it is its unit, with the blanks inside: k €, Mio. €."""

_BESIDE = f" \u00a0\u202f+()\u2212-{LIMITS}"
"""What may stand between a number and its unit, or around both."""

_IS_LIMIT = f"regexp_matches(text, '^[{LIMITS}].*[0-9]')"

_UNIT = f"trim(regexp_replace(text, {literal(_NUMBER)}, '', 'g'), {literal(_BESIDE)})"

UNIT_SQL = (
    f"min({_UNIT}), max({_UNIT}), "
    f"bool_or(regexp_matches(text, '^[^0-9+({_MINUS}{LIMITS}-]')), bool_or(contains(text, '(')), "
    "bool_or(regexp_matches(text, '[0-9] ?-[^0-9]*$')) "
    "AND NOT bool_or(regexp_matches(text, '^-|[0-9].*-.*[0-9]')), "
    f"bool_or(regexp_matches(text, {literal(f'[0-9].*[^{_NO_UNIT[1:]}.*[0-9]')})), "
    f"bool_or(contains(text, '{_MINUS}')), "
    f"bool_or({_UNIT} = '' AND regexp_matches(text, '[1-9]')), "
    r"bool_or(regexp_matches(text, '^[\x{a0}\x{202f}]|[\x{a0}\x{202f}]$')), "
    f"bool_or({_IS_LIMIT}) "
    f"AND count(DISTINCT text) FILTER (NOT {_IS_LIMIT}) >= {_FEWEST_NUMBERS}"
)
"""What `unit_of` needs to know about the texts of a group, as SQL of ten values."""


def unit_of(
    least: str,
    most: str,
    is_before: bool,
    brackets: bool,
    minus_behind: bool,
    is_between: bool,
    typeset: bool,
    is_bare: bool,
    padded: bool,
    limits: bool,
) -> Unit:
    """Return the unit of texts that may be numbers; none if they have different ones.

    What stands between digits is no unit: 3x4 is not 34, nor 1974Q1 19741. And where 15-24 is a
    range, 40- is not negative.
    """
    is_one = least in ("", most) and not is_between
    if most and not is_unit(most):
        return Unit()
    if not is_one or (is_before and most not in ("", *MONEY)):
        return Unit()
    sometimes = is_bare and bool(most) and most not in MONEY
    return Unit(most, brackets, minus_behind, typeset, sometimes, padded, limits)


def is_unit(text: str) -> bool:
    """Whether a text beside a number may be its unit."""
    return len(text) <= _LONGEST_UNIT and bool(re.search(r"[^\W\d_]|[%‰°$€£¥]", text))
