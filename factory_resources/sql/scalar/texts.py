"""Functions of texts, as the engine computes them.

Where case or width of characters matters, only ASCII is certain. Regular expressions belong to the
engine.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from factory_resources.sql.scalar.binding import NotCertainError, SqlType
from factory_resources.sql.scalar.values import (
    BIGINT,
    BOOLEAN,
    VARCHAR,
    Evaluate,
    Row,
    Term,
    UndecidedError,
    strict,
)

_LONGEST = 1_000_000
"""Characters; the engine limits the memory of longer texts."""


def text_function(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    """Return a function of texts, or None if there is none of that name for their types."""
    kinds = [term.type for term in terms]
    if name in _LIKES and kinds == [VARCHAR, VARCHAR]:
        return _like(name, terms)
    if name == "concat" and set(kinds) == {VARCHAR}:
        return _joined(terms)
    wanted = _FUNCTIONS.get((name, len(terms)))
    if wanted is None or kinds != wanted[0] or kind != wanted[1]:
        return None
    return strict(wanted[2], terms)


def _joined(terms: Sequence[Term]) -> Evaluate:
    """Return the concatenation of what is not NULL."""
    evaluates = [term.evaluate for term in terms]

    def evaluate(row: Row) -> str:
        texts = [each(row) for each in evaluates]
        return _short("".join(text for text in texts if text is not None))

    return evaluate


_LIKES = {"~~": (False, True), "!~~": (False, False), "~~*": (True, True), "!~~*": (True, False)}
"""LIKE and ILIKE: whether case is ignored, and the answer if the text matches."""


def _like(name: str, terms: Sequence[Term]) -> Evaluate:
    text, pattern = terms
    folded, answer = _LIKES[name]
    if not pattern.constant or pattern.value is None or "\\" in pattern.value:
        raise NotCertainError("a pattern that is not a plain constant")
    if folded and not pattern.value.isascii():
        raise NotCertainError("a pattern whose case is not that of ASCII")
    matches = _matcher(pattern.value.lower() if folded else pattern.value)
    if folded:
        return strict(lambda value: matches(_lower(value)) == answer, [text])
    return strict(lambda value: matches(value) == answer, [text])


def _matcher(pattern: str) -> Callable[[str], bool]:
    first, *others = pattern.split("%")
    if "_" in pattern:
        # More of them may take a time that grows with the square of the text.
        if len(others) > 2:
            raise NotCertainError("a pattern with many %")
        parts = [re.escape(c) if c not in "_%" else {"_": ".", "%": ".*"}[c] for c in pattern]
        fits = re.compile("".join(parts), re.DOTALL).fullmatch
        return lambda text: fits(_ascii(text)) is not None
    if not others:
        return lambda text: text == first
    *inner, last = others

    def matches(text: str) -> bool:
        if not text.startswith(first) or not text.endswith(last):
            return False
        start, end = len(first), len(text) - len(last)
        for part in inner:
            found = text.find(part, start)
            if found < 0:
                return False
            start = found + len(part)
        return start <= end

    return matches


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    raise UndecidedError("a text beyond ASCII")


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    raise UndecidedError("a long text")


def _lower(text: str) -> str:
    return _ascii(text).lower()


def _replaced(text: str, old: str, new: str) -> str:
    if not old:
        raise UndecidedError("nothing to replace")
    return _short(text.replace(old, new))


def _natural(number: int) -> int:
    if number >= 0:
        return number
    raise UndecidedError("counted from the end")


def _substring(text: str, first: int, length: int) -> str:
    start = _natural(first - 1)
    return _ascii(text)[start : start + _natural(length)]


def _left(text: str, length: int) -> str:
    return _ascii(text)[: _natural(length)]


def _right(text: str, length: int) -> str:
    return _ascii(text)[max(0, len(text) - _natural(length)) :]


_Signature = tuple[list[SqlType], SqlType, Callable[..., Any]]

_TWO = [VARCHAR, VARCHAR]

_FUNCTIONS: dict[tuple[str, int], _Signature] = {
    **{(n, 1): ([VARCHAR], BIGINT, len) for n in ("length", "len", "char_length")},
    ("strlen", 1): ([VARCHAR], BIGINT, lambda text: len(text.encode())),
    **{(n, 1): ([VARCHAR], VARCHAR, _lower) for n in ("lower", "lcase")},
    **{(n, 1): ([VARCHAR], VARCHAR, lambda t: _ascii(t).upper()) for n in ("upper", "ucase")},
    ("trim", 1): ([VARCHAR], VARCHAR, lambda text: _ascii(text).strip(" ")),
    ("ltrim", 1): ([VARCHAR], VARCHAR, lambda text: _ascii(text).lstrip(" ")),
    ("rtrim", 1): ([VARCHAR], VARCHAR, lambda text: _ascii(text).rstrip(" ")),
    ("contains", 2): (_TWO, BOOLEAN, lambda text, part: part in text),
    **{(n, 2): (_TWO, BOOLEAN, str.startswith) for n in ("starts_with", "prefix", "^@")},
    **{(n, 2): (_TWO, BOOLEAN, str.endswith) for n in ("ends_with", "suffix")},
    **{(n, 2): (_TWO, BIGINT, lambda t, part: t.find(part) + 1) for n in ("instr", "strpos")},
    ("position", 2): (_TWO, BIGINT, lambda text, part: text.find(part) + 1),
    ("||", 2): (_TWO, VARCHAR, lambda one, other: _short(one + other)),
    ("replace", 3): ([*_TWO, VARCHAR], VARCHAR, _replaced),
    **{(n, 3): ([VARCHAR, BIGINT, BIGINT], VARCHAR, _substring) for n in ("substring", "substr")},
    ("left", 2): ([VARCHAR, BIGINT], VARCHAR, _left),
    ("right", 2): ([VARCHAR, BIGINT], VARCHAR, _right),
}
"""By name and number of arguments: their types, the type of the result, the function."""
