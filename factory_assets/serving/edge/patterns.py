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

_UNBOUNDED = 4
"""Repetitions without an end; the time may grow with the length of the text to this power."""


def is_portable(pattern: str) -> bool:
    """Whether a valid pattern means the same in Python's `fullmatch` with ASCII classes."""
    position, unbounded = 0, 0
    repeated: list[bool] = [False]
    """Of each open group: whether something in it is repeated."""
    while position < len(pattern):
        closed = False
        if pattern.startswith(("(?:", "("), position):
            repeated.append(False)
            position += 3 if pattern.startswith("(?:", position) else 1
            continue
        if pattern[position] == "|":
            position += 1
            continue
        if pattern[position] == ")":
            if len(repeated) == 1:
                return False
            closed, position = repeated.pop(), position + 1
        elif atom := _ATOM.match(pattern, position):
            position = atom.end()
        else:
            return False
        if repeat := _REPEAT.match(pattern, position):
            # A repetition of repetitions may be tried in exponentially many ways.
            if closed:
                return False
            unbounded += repeat[0][0] in "*+" or ",}" in repeat[0]
            repeated[-1], position = True, repeat.end()
        repeated[-1] = repeated[-1] or closed
    return len(repeated) == 1 and unbounded <= _UNBOUNDED and _compiles(pattern)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern, re.ASCII)
    except re.error:
        return False
    return True
