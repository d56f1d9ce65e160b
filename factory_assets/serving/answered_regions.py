"""The sets and intervals of answers, as protocols, scored files and the prediction log have them.

How they are computed belongs in `ml.artifacts.conformal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.conformal import region_intervals, region_sets, undecided
from factory_assets.ml.artifacts.onnx_model import OnnxModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def region_arrays(
    model: OnnxModel, outputs: NDArray[np.float64], groups: NDArray[Any] | None
) -> dict[str, NDArray[Any]]:
    """Return what is answered beside the predictions; nothing without declared uncertainty.

    Args:
        outputs: [rows, classes] or [rows].
        groups: [rows] of text, as for `region_sets`.

    Returns:
        `interval` [rows, 2]; or `set` [rows, classes] of bool and, if the model abstains,
        `abstained` [rows] of bool.
    """
    bounds = model.regions
    if bounds is None:
        return {}
    if not model.classes:
        return {"interval": region_intervals(bounds, outputs, groups)}
    sets = region_sets(bounds, outputs, groups)
    return {"set": sets, **({"abstained": undecided(sets)} if bounds.abstain else {})}


def region_values(
    model: OnnxModel, outputs: NDArray[np.float64], groups: NDArray[Any] | None
) -> dict[str, list[Any]]:
    """Return the same as lists for JSON, one entry a row: the classes of a set by name, and None
    for an infinite end of an interval."""
    import numpy as np

    found = region_arrays(model, outputs, groups)
    values: dict[str, list[Any]] = {name: array.tolist() for name, array in found.items()}
    if "set" in found:
        classes = np.array(model.classes, dtype=object)
        values["set"] = [classes[chosen].tolist() for chosen in found["set"]]
    if "interval" in found and not np.isfinite(found["interval"]).all():
        values["interval"] = [
            [end if np.isfinite(end) else None for end in ends] for ends in values["interval"]
        ]
    return values
