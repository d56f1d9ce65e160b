"""`train.uncertainty`: what is answered beside a prediction, to say how sure it is.

Fitting and computing sets and intervals belongs in `ml.artifacts.conformal`.
"""

from typing import Annotated

from pydantic import Field

from factory_assets.spec.base import ColumnName, Spec
from factory_assets.spec.evaluate import COVERAGE_METRICS, Gate


class Uncertainty(Spec):
    """Answer a set of classes, or an interval, that contains the truth as often as declared.

    `uncertainty: {}` uses the defaults.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """The share of answers whose set or interval is to contain the truth, such as `0.9`."""
    by: ColumnName | None = None
    """A categorical input such as `site`: the coverage is to hold for each of its values, not only
    for all rows together. Or, for classes, the target: it is to hold for each class, however
    rare. Default: for all rows together."""
    abstain: bool = False
    """For classes: also answer `abstained`, which is true unless the set has exactly one class."""


def missing_uncertainty(gate: Gate, declared: Uncertainty | None) -> str | None:
    """Return what `train.uncertainty` lacks for a gate; None if it lacks nothing."""
    if gate.metric not in COVERAGE_METRICS:
        return None
    abstains = gate.metric in ("abstention_rate", "selective_accuracy")
    if abstains and not (declared and declared.abstain):
        return "{abstain: true}"
    if gate.group and not (declared and declared.by):
        return "{by: COLUMN}"
    return None if declared else "{coverage: 0.9}"
