"""The rules that a row broke, from the text in which they are stored.

What the rules are belongs in `data.contract.rules` and `data.transforms.cleaning`.
"""

import re

_NEXT = re.compile(",(?=(?:type|null|range|length|pattern|values|unique|join|overflow):)")
"""What is before the next rule of a contract."""


def rules_in(reason: str) -> tuple[str, ...]:
    """Return the names of the rules.

    A column may be called `Income, USD`: a rule of a contract, `range:Income, USD`, then has a
    comma as well. Rules of `clean.where` have none, nor a colon, and no row breaks rules of both.
    """
    return tuple(_NEXT.split(reason) if ":" in reason else reason.split(","))
