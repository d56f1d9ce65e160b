"""Estimate a cost at another number of rows from measured costs, with how wrong that may be.

Pure arithmetic of numbers. What was measured belongs in `measured_stages`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

_EXPONENTS = tuple(tenths / 10 for tenths in range(5, 16))
"""How the part of a cost that grows may grow with the rows: by the powers of .5 to 1.5."""

_LINEAR, _STEP = 1.0, 0.11

_NOISE = 0.1
"""No error is told as smaller: the same work takes more or less from one time to the next."""

_ONCE = 0.25
"""The error at a number of rows that was measured once, or of a curve that nothing contradicts."""

Basis = Literal["measured", "between", "beyond", "one size"]
"""Whether this number of rows was measured, is between measured ones or beyond them, or whether
only one number was."""


@dataclass(frozen=True)
class MeasuredCost:
    """One measurement."""

    rows: int
    cost: float


@dataclass(frozen=True)
class CostRange:
    """A cost, and between which figures it is expected."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """By which share of the value it may be off, the larger of both sides."""
        if not self.value:
            return 0.0
        return max(self.high / self.value, 2 - self.low / self.value) - 1

    def times(self, factor: float) -> "CostRange":
        """Return the cost of so many times the work."""
        return CostRange(self.value * factor, self.low * factor, self.high * factor)


def total(ranges: Iterable[CostRange]) -> CostRange:
    """Return the sum; all may be off in the same direction."""
    every = [*ranges]
    return CostRange(
        sum(one.value for one in every),
        sum(one.low for one in every),
        sum(one.high for one in every),
    )


def within_cores(
    seconds: CostRange, cpu_seconds: CostRange, cores: float
) -> tuple[CostRange, CostRange]:
    """Return both such that no more cores are busy than there are.

    They were estimated apart, each from measurements of its own. So the time is as long at least as
    the least CPU time needs, and the CPU time no more than all cores give in the time.
    """
    low = max(seconds.low, cpu_seconds.low / cores)
    value = max(seconds.value, low)
    time = CostRange(value, low, max(seconds.high, value))
    high = min(cpu_seconds.high, cores * time.high)
    busy = min(cpu_seconds.value, cores * time.value)
    return time, CostRange(busy, min(cpu_seconds.low, busy), max(busy, high))


@dataclass(frozen=True)
class Curve:
    """The cost `fixed + growing * rows ** exponent`."""

    fixed: float
    growing: float
    exponent: float

    def at(self, rows: float) -> float:
        cost: float = self.fixed + self.growing * rows**self.exponent
        return cost


def basis_of(sizes: Collection[int], rows: int) -> Basis:
    """Return on what an estimate at a number of rows rests, by the numbers that were measured."""
    if rows in sizes:
        return "measured"
    if len({*sizes}) == 1:
        return "one size"
    return "between" if min(sizes) < rows < max(sizes) else "beyond"


def estimate(measured: Sequence[MeasuredCost], rows: int) -> CostRange:
    """Return the cost at a number of rows.

    At a measured number of rows it is the mean, and the range is the spread. With one other number,
    the cost is taken to be proportional to the rows, and may be anything between not growing at all
    and growing by the power of 1.5. With more, curves of several exponents are fitted by relative
    least squares; those that predict left out sizes about as well as the best one make the range.
    If all sizes cost the same but for the noise, growth cannot be told from noise, and the cost is
    the middle of both, on a scale of logarithms.
    Beyond the measured sizes their error grows with the distance on a scale of logarithms, and the
    range ends no earlier than growth in proportion to the largest size.

    Args:
        measured: at least one, with costs and rows above 0.
        rows: above 0.
    """
    sizes = _by_size(measured)
    if rows in sizes:
        return _at_measured(sizes[rows])
    means = [MeasuredCost(size, sum(costs) / len(costs)) for size, costs in sorted(sizes.items())]
    if len(means) == 1:
        return _from_one(means[0], rows, _ONCE)
    return _from_curves(means, rows)


def _by_size(measured: Iterable[MeasuredCost]) -> dict[int, list[float]]:
    sizes: dict[int, list[float]] = {}
    for one in measured:
        sizes.setdefault(one.rows, []).append(one.cost)
    return sizes


def _at_measured(costs: Sequence[float]) -> CostRange:
    mean = sum(costs) / len(costs)
    error = _NOISE if len(costs) > 1 else _ONCE
    return CostRange(mean, min(min(costs), mean / (1 + error)), max(max(costs), mean * (1 + error)))


def _from_one(one: MeasuredCost, rows: int, error: float) -> CostRange:
    factor = rows / one.rows
    ends = one.cost, one.cost * factor ** _EXPONENTS[-1]
    return CostRange(one.cost * factor, min(ends) / (1 + error), max(ends) * (1 + error))


def _from_curves(means: Sequence[MeasuredCost], rows: int) -> CostRange:
    errors = {exponent: _left_out_error(means, exponent) for exponent in _EXPONENTS}
    best = min(errors, key=lambda one: errors[one])
    error = 2 * errors[best] + _NOISE
    # The true exponent may lie between the best one and its neighbours.
    fitting = [one for one in errors if errors[one] <= error or abs(one - best) < _STEP]
    nearest = _LINEAR if _LINEAR in fitting else best
    value = _middle(means, fit(means, nearest).at(rows))
    values = {exponent: fit(means, exponent).at(rows) for exponent in fitting}
    error = max(error, log(1 + _NOISE))
    widened = exp(error * _distance(means, rows))
    low, high = min(values.values()) / widened, max(values.values()) * widened
    # Beyond what was measured, no cost shrinks, or grows by more than the largest power.
    end = means[-1] if rows > means[-1].rows else means[0] if rows < means[0].rows else None
    if end is not None:
        bounds = _from_one(end, rows, exp(error) - 1)
        if max(low, bounds.low) < min(high, bounds.high):
            low, high = max(low, bounds.low), min(high, bounds.high)
        else:
            low, high = min(low, bounds.low), max(high, bounds.high)
    # What did not grow yet may begin to: some work is done in another way with more rows.
    factor = rows / means[-1].rows
    high = max(high, means[-1].cost * factor * (1 + _NOISE)) if factor > 1 else high
    return CostRange(min(max(value, low), high), low, high)


def _middle(means: Sequence[MeasuredCost], grown: float) -> float:
    """Return a grown cost, or if all sizes cost about the same, what is between them and it."""
    flat = fit(means, 0.0).fixed or fit(means, 0.0).growing
    if any(abs(log(one.cost / flat)) > log(1 + _NOISE) for one in means):
        return grown
    return sqrt(flat * grown)


def _left_out_error(means: Sequence[MeasuredCost], exponent: float) -> float:
    """Return the largest error of the logarithm at a size that the curve was not fitted to.

    Two sizes leave nothing to compare with: any curve fits them. Three leave one at a time, which a
    wrong curve may hit by chance.
    """
    if len(means) == 2:
        return log(1 + _ONCE)
    least = log(1 + _ONCE) / 4 if len(means) == 3 else 0.0
    return max(least, *_errors(means, exponent))


def _errors(means: Sequence[MeasuredCost], exponent: float) -> Iterator[float]:
    for i, left_out in enumerate(means):
        others = [*means[:i], *means[i + 1 :]]
        yield abs(log(fit(others, exponent).at(left_out.rows) / left_out.cost))


def _distance(means: Sequence[MeasuredCost], rows: int) -> float:
    """Return how far beyond the measured sizes it is: 1 within them, 2 at twice their span."""
    smallest, largest = means[0].rows, means[-1].rows
    beyond = max(log(rows / largest), log(smallest / rows), 0.0)
    return 1 + beyond / log(largest / smallest)


def fit(measured: Sequence[MeasuredCost], exponent: float) -> Curve:
    """Fit a curve by least squares of the relative errors; neither of its parts is negative."""
    # With weights 1 / cost², the normal equations of 1 = (fixed + growing * x) / cost.
    pairs = [(1 / one.cost, one.rows**exponent / one.cost) for one in measured]
    ones, xs = sum(u for u, _ in pairs), sum(v for _, v in pairs)
    one_one, one_x = sum(u * u for u, _ in pairs), sum(u * v for u, v in pairs)
    x_x = sum(v * v for _, v in pairs)
    determinant = one_one * x_x - one_x**2
    if determinant > 1e-12 * one_one * x_x:
        fixed = (ones * x_x - xs * one_x) / determinant
        growing = (xs * one_one - ones * one_x) / determinant
        if fixed >= 0 and growing >= 0:
            return Curve(fixed, growing, exponent)
        if growing < 0:
            return Curve(ones / one_one, 0.0, exponent)
    return Curve(0.0, xs / x_x, exponent)
