"""Names for programs that take only some characters, such as MLflow and Dagster."""

import re
from hashlib import sha256

_DIGITS = 8
"""Of the digest that tells names apart whose other characters were replaced."""


def narrow_name(name: str, foreign: str, longest: int) -> str:
    """Return the name if it fits; otherwise what fits of it, and the beginning of its digest.

    Args:
        foreign: a regular expression for a character that the program does not take.
        longest: the most characters that it takes.
    """
    plain = re.sub(foreign, "_", name)
    if plain == name and len(name) <= longest:
        return name
    return f"{plain[: longest - _DIGITS - 1]}_{sha256(name.encode()).hexdigest()[:_DIGITS]}"
