"""The weights of a blend: greedy selection with replacement, and the smallest set that is as good.

Source: R. Caruana, A. Niculescu-Mizil, G. Crew and A. Ksikes, Ensemble selection from libraries of
models, ICML 2004, doi:10.1145/1015330.1015432.

The loss is the squared error: of predicted numbers, or of probabilities (Brier's score, summed over
the classes). With errors `e` [members, values], a blend of weights `w` has the loss `|w e|²`, which
`w (e eᵀ) wᵀ` is as well. So a set is weighted without looking at a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


STEPS = 25
"""How many members are added one after another; a weight is a multiple of 1/25 at the finest."""


NOISE = 0.5
"""Standard errors by which a smaller set may be worse. With a whole one, the blends of small tables
lost more than half of what they gain over their best member."""


def smallest_blend(
    outputs: NDArray[np.float64],
    target: NDArray[Any],
    row_weights: NDArray[np.float64] | None = None,
) -> tuple[float, ...]:
    """Return the weights of the smallest set of members that is as good as all of them.

    As good is a set whose mean loss is higher than that of the blend of all members by at most
    `NOISE` standard errors of this difference over the rows. Of the sets of a size, the best one
    counts. Its weights are bagged, which costs a little on these rows, and gains on others.

    Args:
        outputs: [members, rows, classes], probabilities; or [members, rows], standardised numbers.
        target: [rows], class codes or standardised numbers.
        row_weights: [rows]; None if all weigh the same.

    Returns:
        For each member its weight, 0 if it is not in the set; together 1.
    """
    import numpy as np

    errors = _errors(outputs, target, row_weights)
    products = np.einsum("irk,jrk->ij", errors, errors)
    everyone = range(len(errors))
    whole = greedy_weights(products, everyone)
    losses, kept = _losses(errors, whole), whole
    for size in everyone[1:]:
        sets = [greedy_weights(products, members) for members in combinations(everyone, size)]
        smaller = min(sets, key=lambda weights: float(weights @ products @ weights))
        worse = _losses(errors, smaller) - losses
        if worse.mean() <= NOISE * worse.std(ddof=1) / len(worse) ** 0.5:
            kept = smaller
            break
    return tuple(bagged_weights(products, np.flatnonzero(kept).tolist()).tolist())


def bagged_weights(products: NDArray[np.float64], members: Sequence[int]) -> NDArray[np.float64]:
    """Return the mean of the greedy weights of all subsets of the members, as of as many bags.

    So every member weighs something, and none nearly everything.

    Args:
        products: as of `greedy_weights`.
        members: at least one.
    """
    import numpy as np

    bags = chain.from_iterable(combinations(members, size) for size in range(1, len(members) + 1))
    mean: NDArray[np.float64] = np.mean([greedy_weights(products, bag) for bag in bags], axis=0)
    return mean


def greedy_weights(products: NDArray[np.float64], members: Iterable[int]) -> NDArray[np.float64]:
    """Add the member that lowers the loss of the mean most, `STEPS` times.

    A member may be added again. The mean after that step is taken at which the loss was lowest.

    Args:
        products: [all, all], the sums of products of the errors of any two.
        members: those that may be added.

    Returns:
        [all], the share of each member; 0 for those that were never added.
    """
    import numpy as np

    allowed = np.array([*members])
    own = np.diag(products)[allowed]
    counts = np.zeros(len(products))
    best, lowest = counts, np.inf
    for step in range(1, STEPS + 1):
        # The loss of the sum with one more member, of which the step makes a mean.
        total = counts @ products @ counts + 2 * (counts @ products)[allowed] + own
        chosen = int(np.argmin(total))
        counts[allowed[chosen]] += 1
        if (loss := float(total[chosen]) / step**2) < lowest:
            best, lowest = counts / step, loss
    return best


def _errors(
    outputs: NDArray[np.float64], target: NDArray[Any], row_weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """[members, rows, values]: what each member is off; heavier rows count as farther off."""
    import numpy as np

    errors: NDArray[np.float64]
    if outputs.ndim == 2:
        errors = (outputs - target)[:, :, None]
    else:
        errors = outputs - np.eye(outputs.shape[-1])[target]
    if row_weights is not None:
        errors = errors * np.sqrt(row_weights)[:, None]
    return errors


def _losses(errors: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """[rows]: the loss of each row in the blend."""
    import numpy as np

    blend = np.tensordot(weights, errors, 1)
    losses: NDArray[np.float64] = np.square(blend).sum(axis=-1)
    return losses
