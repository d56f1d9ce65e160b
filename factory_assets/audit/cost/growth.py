"""Estimate a cost at another number of rows from measured costs, with the error of the estimate.

Pure arithmetic of numbers. What was measured belongs in `measured_stages`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

_EXPONENTS = tuple(tenths / 10 for tenths in range(5, 16))
"""The growing part of a cost is proportional to one of these powers of the number of rows."""

_LINEAR = 1.0

_STEP = 0.11
"""Exponents that differ by less are neighbours."""

_NOISE = 0.1
"""The smallest relative error: the same work takes more or less time whenever it is done."""

_ONCE = 0.25
"""The relative error at a number of rows that was measured once, or of a curve of two sizes."""

_LARGEST_EXPONENT = 700.0

Basis = Literal["measured", "between", "beyond", "one size"]
"""Whether a number of rows was measured, is between measured numbers or outside them, or whether
only one other number was measured."""


@dataclass(frozen=True)
class MeasuredCost:
    """One measurement."""

    rows: int
    cost: float


@dataclass(frozen=True)
class CostRange:
    """A cost, and the range in which it is expected."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """The distance from the value to the farther end of the range, as a share of the value."""
        if not self.value:
            return 0.0
        return max(self.high / self.value, 2 - self.low / self.value) - 1

    def times(self, factor: float) -> "CostRange":
        """Return the cost of so many times the work."""
        return CostRange(self.value * factor, self.low * factor, self.high * factor)


def total(ranges: Iterable[CostRange]) -> CostRange:
    """Return the sum of costs whose errors may all have the same sign: their ranges add up."""
    every = [*ranges]
    return CostRange(
        sum(one.value for one in every),
        sum(one.low for one in every),
        sum(one.high for one in every),
    )


def within_cores(
    seconds: CostRange, cpu_seconds: CostRange, cores: float
) -> tuple[CostRange, CostRange]:
    """Return wall and CPU time, changed so that no more than the given cores are busy.

    Each was estimated by itself. The wall time is therefore raised to what the least CPU time needs
    on all cores, and the CPU time is lowered to what all cores can do in the wall time.
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
    """Return what an estimate at a number of rows is based on, given the measured numbers."""
    if rows in sizes:
        return "measured"
    if len({*sizes}) == 1:
        return "one size"
    return "between" if min(sizes) < rows < max(sizes) else "beyond"


def estimate(measured: Sequence[MeasuredCost], rows: int) -> CostRange:
    """Return the cost at a number of rows.

    At a measured number of rows it is the mean, and the range is the spread. If only one other
    number was measured, the cost is taken to be proportional to the rows, and the range goes from
    no growth to growth by the power of 1.5. If several were, curves of several exponents are fitted
    by relative least squares; the range is that of the curves which predict left-out sizes about as
    well as the best one. If all sizes cost the same but for noise, no growth can be seen, and the
    cost is the geometric mean of no growth and the fitted growth.

    Outside the measured sizes the error grows with the logarithm of the distance, and the upper end
    of the range is at least proportional growth from the largest size.

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
    # Beyond the largest exponent of a float, the bounds below are narrower in any case.
    widened = exp(min(error * _distance(means, rows), _LARGEST_EXPONENT))
    low, high = min(values.values()) / widened, max(values.values()) * widened
    # Outside the measured sizes, a cost is taken to grow with a power of the rows from 0 to 1.5.
    end = means[-1] if rows > means[-1].rows else means[0] if rows < means[0].rows else None
    if end is not None:
        bounds = _from_one(end, rows, exp(error) - 1)
        if max(low, bounds.low) < min(high, bounds.high):
            low, high = max(low, bounds.low), min(high, bounds.high)
        else:
            low, high = min(low, bounds.low), max(high, bounds.high)
    # A cost that did not grow so far may begin to: some work is done differently with more rows.
    factor = rows / means[-1].rows
    high = max(high, means[-1].cost * factor * (1 + _NOISE)) if factor > 1 else high
    return CostRange(min(max(value, low), high), low, high)


def _middle(means: Sequence[MeasuredCost], grown: float) -> float:
    """Return the grown cost; if all sizes cost about the same, its geometric mean with theirs."""
    flat = fit(means, 0.0).at(1)
    if any(abs(log(one.cost / flat)) > log(1 + _NOISE) for one in means):
        return grown
    return sqrt(flat * grown)


def _left_out_error(means: Sequence[MeasuredCost], exponent: float) -> float:
    """Return the largest error of the predicted logarithm at a size left out of the fit.

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
    """Return 1 within the measured sizes; outside, 1 more for each of their spans (logarithms)."""
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
