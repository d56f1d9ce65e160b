"""Ways of writing numbers and dates that a contract does not read: 1.234,5 €, $1,000, 31.12.2024.

What stands beside numbers belongs in `units`, which columns are tested in `column_types`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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

_WITHOUT_CLOCK = ("%Y%m%dT%H%M%S", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S")

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

_SURVEY, _ZONE = "%Y/%m/%d %I:%M:%S %p", " [A-Z]{2,5}([+-][0-9]{1,2})?"
"""Moments of Google's forms, and their zone, a word that tells too little: GMT+1 is no MEZ."""

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

_WEEKDAY = "[A-Z][a-z]{1,9}[.]?,? "
"""A word such as Mo or Montag before a day."""

_YEAR_OF = "regexp_extract({}, '([0-9]{4})', 1)"

_QUARTERS = (
    ("{year}[ /-]?Q[1-4]|Q[1-4][ /-]{year}", "Q([1-4])"),
    (r"[1-4]\. ?(Q|Quartal) {year}", "([1-4])[.]"),
)
"""How quarters are written, and where their number stands."""

_WEEKS = "{year}[ /-]?(W|KW ?){week}|KW ?{week}[ /-]{year}"
"""How weeks are written, by ISO 8601 and in German."""

EXCEL_DAY = "[34][0-9]{4}"
"""Days from 1982 to 2036 as Excel counts them, from the end of 1899 on."""

_BEFORE_1970 = 25_569
"""Of these days."""

_DURATION = r"(-|[0-9]+ days? )?[0-9]{1,4}:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
"""Such as 38:30:00, or 1 days 07:19:43 as pandas writes it."""

_TWO_PARTS = r"-?[0-9]{1,4}:[0-5][0-9](\.[0-9]+)?"
"""Minutes and seconds, or hours and minutes."""


def is_month(word: str) -> bool:
    """Whether a word is a month as dates are read, in English or German."""
    return bool(re.fullmatch(f"{_PARTS['%b']}|{_PARTS['%B']}|{_GERMAN_MONTH}", word))


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
    group: str = ""
    """What it has between groups of three digits."""
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

    def may_fit(self, texts: Collection[str]) -> bool:
        """Whether some texts of a group do not tell that `fits` is false for it."""
        # Numbers are read of amounts, without what stands beside them.
        return self.type == "float64" or all(re.fullmatch(self.pattern, text) for text in texts)

    def fits(self) -> str:
        """Return SQL for whether it reads all texts of a group: `text`, or `amount` without unit.

        `is_number` is whether they are known to be numbers, as by a unit.
        """
        text = "amount" if self.type == "float64" else "text"
        read = f"{self.sql.replace('{}', text)} IS NOT NULL"
        match = f"regexp_full_match({text}, {literal(self.pattern)})"
        if self.group:
            # Nobody groups digits before an exponent: 1,234E-02 is little more than 0.01.
            exponent = literal(f"{re.escape(self.group)}[0-9]{{3}}[eE]")
            match = f"{match} AND NOT regexp_matches({text}, {exponent})"
        signed = f"bool_or(contains({text}, {literal(self.sign)}) OR is_number)"
        # Only a CASE spares reading what does not match, and one such text is one too many.
        share = f"avg(CASE WHEN {match} THEN CAST({read} AS DOUBLE) ELSE '-inf' END)"
        # Of dates, a few may be a 31st of February, which a rule sends to quarantine.
        return f"{share} >= 0.95 AND {signed}"


@cache
def written_forms(*, clocks: bool) -> tuple[WrittenForm, ...]:
    """Return the forms in the order in which they are preferred, `ENGLISH` and `GERMAN` first.

    Args:
        clocks: whether with times of the day, which most forms have.
    """
    others = (_number(group, ".") for group in ("'", "\u2019"))
    blanks = (_number(group, point) for group in (" ", "\u00a0", "\u202f") for point in ",.")
    return (ENGLISH, GERMAN, *others, *blanks, *_dates(), *(_times() if clocks else ()))


def _number(group: str, point: str) -> WrittenForm:
    """Return numbers with a character between groups of three digits, and a decimal point."""
    grouped = f"[1-9][0-9]{{0,2}}({re.escape(group)}[0-9]{{3}})+"
    pattern = rf"[+-]?({grouped}|0|[1-9][0-9]*)({re.escape(point)}[0-9]+)?([eE][+-]?[0-9]+)?"
    value = f"replace({{}}, {literal(group)}, '')"
    if point != ".":
        value = f"replace({value}, {literal(point)}, '.')"
    sign = "," if group in ".," else group
    return WrittenForm("float64", f"TRY_CAST({value} AS DOUBLE)", pattern, sign, group)


ENGLISH, GERMAN = _number(",", "."), _number(".", ",")


def _dates() -> Iterator[WrittenForm]:
    for day in (*_DAYS, _MONTH):
        sql = f"CAST(try_strptime({{}}, '{day}') AS DATE)"
        yield WrittenForm("date", sql, _pattern(day), layout=day)
    for day, sign in _GERMAN_DAYS.items():
        sql = f"CAST(try_strptime({_in_english('{}')}, '{day}') AS DATE)"
        pattern = _pattern(day.replace("%b", "month")).replace("month", _GERMAN_MONTH)
        yield WrittenForm("date", sql, pattern, sign)
    sql = f"CAST(try_strptime(regexp_replace({{}}, '^{_WEEKDAY}', ''), '%d.%m.%Y') AS DATE)"
    yield WrittenForm("date", sql, f"{_WEEKDAY}{_pattern('%d.%m.%Y')}")
    yield from _periods()
    # Before seconds since 1970, which have a month and a day of their own by chance alone.
    yield from map(_moment, (*_WITHOUT_CLOCK, _FRENCH))
    for pattern, factor in (("1[0-9]{9}", 1_000_000), ("1[0-9]{12}", 1000)):
        sql = f"make_timestamp(TRY_CAST({{}} AS BIGINT) * {factor})"
        yield WrittenForm("timestamp", sql, pattern)
    micro = "make_timestamp(CAST(TRY_CAST({} AS DECIMAL(19, 9)) * 1000000 AS BIGINT))"
    yield WrittenForm("timestamp", micro, r"1[0-9]{9}(\.[0-9]{1,9})?")


def _periods() -> Iterator[WrittenForm]:
    """Yield weeks and quarters, which are read as their first day, and the days of Excel."""
    year = _PARTS["%Y"]
    number = "lpad(regexp_extract({}, 'W ?([0-9]{1,2})', 1), 2, '0')"
    monday = f"CAST(try_strptime({_YEAR_OF} || '-W' || {number} || '-1', '%G-W%V-%u') AS DATE)"
    week = "(0?[1-9]|[1-4][0-9]|5[0-3])"
    yield WrittenForm("date", monday, _WEEKS.format(year=year, week=week))
    for pattern, place in _QUARTERS:
        month = f"3 * CAST(regexp_extract({{}}, '{place}', 1) AS INT) - 2"
        first = f"make_date(CAST({_YEAR_OF} AS INT), {month}, 1)"
        yield WrittenForm("date", first, pattern.format(year=year))
    yield WrittenForm("date", "DATE '1899-12-30' + CAST({} AS INT)", EXCEL_DAY)
    seconds = f"CAST(round((TRY_CAST({{}} AS DOUBLE) - {_BEFORE_1970}) * 86400) AS BIGINT)"
    moment = f"make_timestamp({seconds} * 1000000)"
    yield WrittenForm("timestamp", moment, rf"{EXCEL_DAY}(\.[0-9]+)?")


def _times() -> Iterator[WrittenForm]:
    """Yield the forms with a time of the day or a duration, whose texts all contain `CLOCK`."""
    hours = "date_part('epoch', TRY_CAST({} AS TIME)) / 3600"
    yield WrittenForm("float64", hours, "([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?", unit="h")
    for clock in ("%I:%M %p", "%I:%M:%S %p"):
        hours = f"date_part('epoch', CAST(try_strptime({{}}, '{clock}') AS TIME)) / 3600"
        yield WrittenForm("float64", hours, _pattern(clock), unit="h")
    hours = "date_part('epoch', TRY_CAST({} AS INTERVAL)) / 3600"
    yield WrittenForm("float64", hours, _DURATION, unit="h")
    # Of minutes and seconds, or hours and minutes: only the owner of the data knows.
    parts = (f"TRY_CAST(split_part(ltrim({{}}, '-'), ':', {n}) AS DOUBLE)" for n in (1, 2))
    sign = "CASE WHEN {} LIKE '-%' THEN -1 ELSE 1 END"
    yield WrittenForm("float64", f"({' + '.join(parts)} / 60) * {sign}", _TWO_PARTS)
    for day in _DAYS:
        for clock in _CLOCKS:
            sql = f"try_strptime({{}}, '{day} {clock}')"
            pattern = f"{_pattern(day)} {_pattern(clock)}"
            yield WrittenForm("timestamp", sql, pattern, layout=f"{day} {clock}")
    yield from map(_moment, _MOMENTS)
    without_zone = f"regexp_replace({{}}, '{_ZONE}$', '')"
    sql = f"try_strptime({without_zone}, '{_SURVEY}')"
    yield WrittenForm("timestamp", sql, f"{_pattern(_SURVEY)}{_ZONE}")
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
