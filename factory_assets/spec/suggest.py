"""What a person may have meant: the valid words, and the one near a wrong word."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 20


def suggest(word: object, valid: Iterable[str]) -> str:
    """Such as `did you mean 'mlp'? valid: mlp, linear`; at most `SHOWN` words are listed."""
    words = list(valid)
    if not words:
        return "nothing is valid here"
    hint = f"did you mean {near!r}? " if (near := nearest(word, words)) else ""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"{hint}valid: {', '.join(words[:SHOWN])}{more}"


def nearest(word: object, valid: Iterable[str]) -> str | None:
    """The valid word that `word` is most likely a slip of, in any case; None where none is near."""
    by_lower = {name.lower(): name for name in valid}
    close = get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None
