"""Linear models, and `auto`, with and without limits of their effects, judged on new rows.

    python -m benchmarks.extrapolation [linear] [auto]

The tables are those of `benchmarks.tolerance`. In those of classes, missing values are -9,999, as
exports write them; in those of numbers, medians stand for them. The network of `auto`, which has
limits of its own, is left out.
"""

import sys

from benchmarks.tolerance import compare
from factory_assets.ml.models.portfolio.defaults import members_of
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import Auto, MemberSpec, Network

REACHES: tuple[float | None, ...] = (None, 0.0, 0.5, 1.0)
"""The `extrapolation` of linear models; the first has no limits."""


def main() -> None:
    given = sys.argv[1:] or ["linear", "auto"]
    sys.argv[1:] = []
    if "linear" in given:
        compare(lambda _: limited(), None, "linear ")
    if "auto" in given:
        compare(portfolios, None, "auto ")


def limited() -> dict[float | None, Auto]:
    """Return linear models alone."""
    return {reach: _auto(_linear(reach)) for reach in REACHES}


def portfolios(rows: int) -> dict[float | None, Auto]:
    """Return what `auto` tries by default for so many rows, without the network."""
    tried = [one for one in members_of(Auto(kind="auto"), rows, rows) if _is_compared(one)]
    return {reach: _auto(_linear(reach), *tried) for reach in (None, 1.0)}


def _is_compared(member: MemberSpec) -> bool:
    return not isinstance(member, Linear | Network)


def _linear(reach: float | None) -> Linear:
    return Linear(kind="linear", extrapolation=reach)


def _auto(*members: MemberSpec) -> Auto:
    return Auto(kind="auto", members=members)


if __name__ == "__main__":
    main()
