"""Which regular expressions mean the same in Python as in the SQL engine, and cannot run for ever.

The engine's (RE2) take a time proportional to the text; Python's may take for ever. What is not
certain is left to the engine.
"""

from __future__ import annotations

import re

_ATOM = re.compile(
    r"""
    [A-Za-z0-9 _\-/@:,;#%&=~'"<>!]      # itself
    | \\[dDwW.\-/()\[\]{}+*?|^$\\]       # a class of ASCII, or an escaped character
    | \.
    | \[\^?(?:[A-Za-z0-9_ .,:/@+*%=;!?-]|\\[dw.\-])+\]
    """,
    re.VERBOSE,
)

_REPEAT = re.compile(r"[*+?]\??|\{\d{1,3}(,\d{0,3})?\}\??")

_EXACTLY = re.compile(r"\{\d+\}")

_UNBOUNDED = 4
"""Repetitions without an end; the time may grow with the length of the text to this power."""


def is_portable(pattern: str) -> bool:
    """Whether a valid pattern means the same in Python's `fullmatch` with ASCII classes."""
    position, unbounded = 0, 0
    varies: list[bool] = [False]
    """Of each open group: whether it may match a text in several ways."""
    while position < len(pattern):
        closed = False
        if pattern.startswith(("(?:", "("), position):
            varies.append(False)
            position += 3 if pattern.startswith("(?:", position) else 1
            continue
        if pattern[position] == "|":
            varies[-1] = True
            position += 1
            continue
        if pattern[position] == ")":
            if len(varies) == 1:
                return False
            closed, position = varies.pop(), position + 1
        elif atom := _ATOM.match(pattern, position):
            position = atom.end()
        else:
            return False
        if repeat := _REPEAT.match(pattern, position):
            # Each time again in several ways: that may be exponentially many.
            if closed and repeat[0][0] != "?":
                return False
            unbounded += repeat[0][0] in "*+" or ",}" in repeat[0]
            varies[-1] = varies[-1] or not _EXACTLY.match(repeat[0])
            position = repeat.end()
        varies[-1] = varies[-1] or closed
    return len(varies) == 1 and unbounded <= _UNBOUNDED and _compiles(pattern)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern, re.ASCII)
    except re.error:
        return False
    return True
