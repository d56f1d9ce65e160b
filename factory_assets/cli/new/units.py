"""What stands beside the numbers of a column: a unit, a sign behind them, a limit such as <0.5.

How the numbers themselves are written belongs in `written_forms`.
"""

import re
from dataclasses import dataclass, replace

from factory_resources.sql.engine import literal

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

_DASH = "--?|\u2013|\u2014"
"""What may stand in place of cents."""

_NO_CENTS = f"[,.]({_DASH})"

_ZERO = " *([$€£¥] *- *|- *[$€£¥] *)"
"""How spreadsheets write an amount of 0 in the format for accounting."""

_MINUS = "\u2212"
"""The minus of typesetting, which no program reads."""

_LONGEST_UNIT = 10


@dataclass(frozen=True)
class Unit:
    """What stands beside all numbers of a column, and how their minus is written."""

    text: str = ""
    brackets: bool = False
    """Whether (5) is -5."""
    sign_behind: bool = False
    """Whether 50- is -50; 50+ may be beside it."""
    typeset: bool = False
    """Whether some have the minus of typesetting."""
    sometimes: bool = False
    """Whether numbers other than 0 stand without it: 5k and 5000 may be the same."""
    padded: bool = False
    """Whether some have a blank at an end that a source keeps, as numbers from web pages have."""
    limits: bool = False
    """Whether some stand for what is below or above them, such as <0.5."""
    no_cents: bool = False
    """Whether some have a dash in place of cents: 50,- is 50."""
    dash_is_zero: bool = False
    """Whether a dash beside the unit is 0, as in the format of spreadsheets for accounting."""

    @property
    def sql(self) -> str:
        """What takes it from a text `{}`."""
        sql = f"ltrim({{}}, '{LIMITS} ')" if self.limits else "{}"
        sql = f"replace({sql}, '{_MINUS}', '-')" if self.typeset else sql
        sql = f"replace({sql}, {literal(self.text)}, '')" if self.text else sql
        sql = f"trim({sql})" if self.text or self.padded else sql
        if self.no_cents:
            # A cent stays, since its mark tells what 1.234 means: in 1.234,- a thousand.
            sql = rf"regexp_replace({sql}, {literal(f'([,.])({_DASH})')}, '\10')"
        if self.dash_is_zero:
            sql = f"CASE WHEN {sql} = '-' THEN '0' ELSE {sql} END"
        if self.sign_behind:
            plain = f"replace(replace({sql}, '-', ''), '+', '')"
            sql = f"CASE WHEN {sql} LIKE '%-' THEN '-' ELSE '' END || {plain}"
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
        if self.dash_is_zero:
            return f"({replace(self, dash_is_zero=False).around(pattern)}|{_ZERO})"
        if self == Unit():
            return pattern
        unit = re.escape(self.text)
        minus = f"[+-]?{_BLANK}" if self.sign_behind else ""
        minus = f"({_NO_CENTS})?{_BLANK}" if self.no_cents else minus
        before, behind = (f"([+-]?{unit}|{unit}{_BLANK})?", f"({unit})?") if unit else ("", "")
        if self.brackets:
            before = rf"(\(?([+-]?{unit})?|{unit}{_BLANK}\(?)" if unit else r"\(?"
            behind = rf"({unit}{_BLANK}\)?|\)?{_BLANK}({unit})?)" if unit else r"\)?"
        return f"{_BLANK}{before}{pattern}{_BLANK}{minus}{behind}{_BLANK}"


_NUMBER = f"{_NO_UNIT}*[0-9]{_NO_UNIT}*"
"""What is left of a text without it is its unit, with the blanks inside: k €, Mio. €."""

_BESIDE = f" \u00a0\u202f+()\u2212-{LIMITS}"
"""What may stand between a number and its unit, or around both."""

_IS_ZERO = f"regexp_full_match(text, {literal(_ZERO)})"

_IS_LIMIT = f"regexp_matches(text, '^[{LIMITS}].*[0-9]')"

_WITHOUT_DASH = f"regexp_replace(text, {literal(_NO_CENTS)}, '')"

_UNIT = f"trim(regexp_replace({_WITHOUT_DASH}, {literal(_NUMBER)}, '', 'g'), {literal(_BESIDE)})"

UNIT_SQL = (
    f"min({_UNIT}), max({_UNIT}), "
    f"bool_or(regexp_matches(text, '^[^0-9+({_MINUS}{LIMITS}-]')), bool_or(contains(text, '(')), "
    "bool_or(regexp_matches(text, '[0-9] ?-[^0-9]*$')) "
    "AND NOT bool_or(regexp_matches(text, '^-|[0-9].*-.*[0-9]')) "
    # Of marks at school, 2- is a little less than 2.
    "AND bool_or(regexp_matches(text, '[0-9][.,]?[0-9]')) "
    # Of ages, 18- and 65+ are classes; banks write cents.
    "AND (bool_or(regexp_matches(text, '[.,][0-9]')) OR NOT bool_or(text LIKE '%+')), "
    f"bool_or(regexp_matches(text, {literal(f'[0-9].*[^{_NO_UNIT[1:]}.*[0-9]')})), "
    f"bool_or(contains(text, '{_MINUS}')), "
    f"bool_or({_UNIT} = '' AND regexp_matches(text, '[1-9]')), "
    r"bool_or(regexp_matches(text, '^[\x{a0}\x{202f}]|[\x{a0}\x{202f}]$')), "
    f"bool_or({_IS_LIMIT}) "
    f"AND count(DISTINCT text) FILTER (NOT {_IS_LIMIT}) >= {_FEWEST_NUMBERS}, "
    f"bool_or(regexp_matches(text, {literal(f'[0-9]{_NO_CENTS}([^0-9]|$)')})), "
    f"bool_or({_IS_ZERO})"
)
"""What `unit_of` needs to know about the texts of a group, as SQL of twelve values."""


def unit_of(
    least: str,
    most: str,
    is_before: bool,
    brackets: bool,
    sign_behind: bool,
    is_between: bool,
    typeset: bool,
    is_bare: bool,
    padded: bool,
    limits: bool,
    no_cents: bool,
    dash_is_zero: bool,
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
    signs = (brackets, sign_behind, typeset)
    return Unit(most, *signs, sometimes, padded, limits, no_cents, dash_is_zero)


def may_be_amount(text: str) -> bool:
    """Whether a text has a digit, or is 0 in the format of spreadsheets for accounting."""
    return bool(re.search("[0-9]", text) or re.fullmatch(_ZERO, text))


def is_unit(text: str) -> bool:
    """Whether a text beside a number may be its unit."""
    return len(text) <= _LONGEST_UNIT and bool(re.search(r"[^\W\d_]|[%‰°$€£¥]", text))
