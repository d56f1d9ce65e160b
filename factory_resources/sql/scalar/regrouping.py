"""Flatten nested sums and products of whole numbers, which the engine's optimizer may regroup.

It adds up the constants of a sum first, and may so overflow although the sum as written does not:
`2147483647 + (i + 2)`. Computing a flat sum belongs in `numbers`.
"""

from factory_resources.sql.scalar.binding import Bound, NotCertainError
from factory_resources.sql.scalar.values import BIGINT, INTEGER

_NAMES = {"+": "+", "add": "+", "*": "*", "multiply": "*"}

_OMITTED = frozenset(
    {"CASE", "CAST", "TRY_CAST", "OPERATOR_COALESCE", "abs", "@", "greatest", "least"}
)
"""Operations that the optimizer may replace by one of their arguments."""


def regrouped(bound: Bound) -> Bound:
    """Return a sum of sums as one sum of many parts, and a product likewise; all else as it is.

    Raises:
        NotCertainError: there may be such a sum once the optimizer omits something between.
    """
    name = _NAMES.get(bound.operation)
    if name is None or bound.type not in (INTEGER, BIGINT):
        return bound
    parts: list[Bound] = []
    for child in map(regrouped, bound.children):
        if _is_same(child, name, bound):
            parts += child.children
        else:
            if any(_is_same(part, name, bound) for part in _exposed(child)):
                raise NotCertainError(f"{bound.operation} of what may become {bound.operation}")
            parts.append(child)
    return Bound(name, bound.type, tuple(parts))


def _is_same(part: Bound, name: str, whole: Bound) -> bool:
    return _NAMES.get(part.operation) == name and part.type == whole.type


def _exposed(bound: Bound) -> list[Bound]:
    """Return the parts by which the optimizer may replace `bound`."""
    neutral = any(_is_neutral(child) for child in bound.children)
    if bound.operation not in _OMITTED and len(bound.children) != 1 and not neutral:
        return []
    return [part for child in bound.children for part in (child, *_exposed(child))]


def _is_neutral(bound: Bound) -> bool:
    """Whether it is 0 or 1, as in `x + 0` and `x * 1`."""
    if bound.operation == "CAST":
        return _is_neutral(bound.children[0])
    return bound.operation == "CONSTANT" and bound.value in (0, 1)
