"""The error of estimates, measured where truth is known: on shifted windows of reference rows.

Half of the rows teach, windows with a shift of known kind are drawn from the others, and the
estimate is compared with the truth. The estimate itself belongs in `window_estimate.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from factory_assets.ml.performance.labelled_rows import EncodedRows
from factory_assets.ml.performance.window_estimate import EncodedReference, WindowEstimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LEVEL = 0.95

HALVES, WINDOWS = 5, 8
"""How often the rows are halved, and windows of each half."""

MOST_ROWS_OF_HALF, MOST_ROWS_OF_WINDOW, FEWEST_ROWS_OF_WINDOW = 3_000, 1_000, 50

DRAWS = 16

STRONGEST = 2.0
"""At this strength the rows at one end of a shift are e^(2 x 3.46), a thousand times, as frequent
as those at the other; the strength of a shift is uniform from 0."""

MOVED = 0.25
"""The share of an estimated change that is added to its scale: further is less certain."""


@dataclass(frozen=True)
class EstimationErrors:
    """How far estimates of each metric are off, as measured on reference rows."""

    ratios: Mapping[str, list[float]]
    """The errors on simulated windows, in scales, ascending."""
    spreads: Mapping[str, float]
    """The standard error of the metric of the reference rows: other rows would teach others."""


Recall: TypeAlias = "Callable[[bytes, Callable[[], EstimationErrors]], EstimationErrors]"
"""Returns what was measured for the same digest before, or measures it."""


def simulated_ratios(
    rows: EncodedRows,
    truth: NDArray[Any],
    threshold: float,
    names: Collection[str],
    seed: int,
) -> dict[str, list[float]]:
    """Return for each metric the errors of estimates on simulated windows, in scales, ascending.

    Windows in which a metric is undefined are left out.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(HALVES):
        order = generator.permutation(len(rows))
        half = min(len(rows) // 2, MOST_ROWS_OF_HALF)
        taught, others = order[:half], order[half : 2 * half]
        reference = EncodedReference.learn(rows.take(taught), truth[taught], threshold, seed)
        known = reference.scored(reference.rows, truth[taught]).metrics(names)
        for _ in range(WINDOWS):
            window = others[shifted_rows(rows.take(others), generator)]
            sample = rows.take(window)
            found = reference.estimate(
                sample, names, draws=DRAWS, seed=int(generator.integers(2**31))
            )
            real = found.expected.known(truth[window]).metrics(names)
            for name in real.keys() & found.scales.keys() & known.keys():
                scale = widened(found, name, known[name])
                error = abs(found.values[name] - real[name])
                ratios[name].append(error / scale if error else 0.0)
    return {name: sorted(errors) for name, errors in ratios.items()}


def widened(found: WindowEstimate, name: str, reference: float) -> float:
    """Return the scale of an estimate: chance, and how far it is from that of the reference."""
    moved = MOVED * (found.values[name] - reference)
    return float((found.scales[name] ** 2 + moved**2) ** 0.5) or 1e-12


def quantile(ratios: list[float], level: float) -> float | None:
    """Return the bound that a further ratio keeps with this probability (split conformal).

    At least that of chance alone; None if there are too few ratios to tell.

    Source: Lei et al. (2018), doi 10.1080/01621459.2017.1307116.
    """
    from math import ceil
    from statistics import NormalDist

    place = ceil(level * (len(ratios) + 1))
    if place > len(ratios):
        return None
    return max(ratios[place - 1], NormalDist().inv_cdf((1 + level) / 2))


def shifted_rows(rows: EncodedRows, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw a window without repetition in which the inputs or outputs are distributed otherwise.

    Returns:
        Indices into `rows`, 50 … 1,000 of them and at most a third.
    """
    import numpy as np

    most = max(1, min(MOST_ROWS_OF_WINDOW, len(rows) // 3))
    fewest = min(FEWEST_ROWS_OF_WINDOW, most)
    size = round(float(np.exp(generator.uniform(np.log(fewest), np.log(most)))))
    strength = generator.uniform(0, STRONGEST)
    logs = strength * _direction(rows.inputs, generator) + generator.gumbel(size=len(rows))
    return np.argpartition(-logs, size - 1)[:size]


def _direction(inputs: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return a number for each row by which it becomes more or less frequent, of spread 1."""
    import numpy as np
    from scipy.stats import rankdata

    columns = inputs.shape[1]
    kind = generator.choice(["one", "some", "near"])
    chosen = generator.choice(columns, 1 if kind == "one" else min(columns, 4), replace=False)
    values = inputs[:, chosen]
    # Missing values are a value of their own, at one end or the other.
    ends = np.where(generator.random(len(chosen)) < 0.5, -np.inf, np.inf)
    values = np.where(np.isnan(values), ends, values)
    ranks = rankdata(values, axis=0) / len(values) - 0.5
    if kind == "near":
        centre = ranks[generator.integers(len(ranks))]
        score = -abs(ranks - centre).sum(axis=1)
    else:
        score = ranks @ generator.normal(size=len(chosen))
    unit: NDArray[np.float64] = (rankdata(score) / len(score) - 0.5) * 12**0.5
    return unit
