"""The outputs of a model in the words of its users: classes, probabilities, numbers, and reasons.

How a protocol writes them down belongs in `serving.http`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.serving.answered_regions import region_values
from factory_assets.serving.online.served_model import ScoredRequest, ServedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


EXPLAINED = 5
"""Inputs that an explanation names at most."""

_ROUNDING = 1e-6
"""Relative difference of outputs of 32 bits that rows in other places of a run may have."""


def predictions(served: ServedModel, scored: ScoredRequest) -> list[Any]:
    """Return the predicted class of each scored row, by the threshold, or its number."""
    model = served.model
    if not model.classes:
        numbers: list[Any] = scored.outputs.tolist()
        return numbers
    return [model.classes[code] for code in model.codes(scored.outputs).tolist()]


def answers(served: ServedModel, scored: ScoredRequest) -> list[dict[str, Any]]:
    """Return for each scored row its prediction, and the probability of each class if any.

    With declared uncertainty also its `interval`, or its `set` and whether it `abstained`.
    """
    chosen = predictions(served, scored)
    classes = served.model.classes
    if classes:
        found = [
            {"prediction": value, "probabilities": dict(zip(classes, row, strict=True))}
            for value, row in zip(chosen, scored.outputs.tolist(), strict=True)
        ]
    else:
        found = [{"prediction": value} for value in chosen]
    for name, values in regions(served, scored).items():
        for answer, value in zip(found, values, strict=True):
            answer[name] = value
    return found


def regions(served: ServedModel, scored: ScoredRequest) -> dict[str, list[Any]]:
    """Return the sets or intervals of the scored rows; nothing without declared uncertainty."""
    if served.model.regions is None:
        return {}
    return region_values(served.model, scored.outputs, scored.groups)


def explanations(served: ServedModel, scored: ScoredRequest) -> list[list[dict[str, Any]]]:
    """Return for each scored row the inputs that moved its prediction most, strongest first.

    The `change` of an input is the output as it is, minus the output that the row would have if
    the input were missing: of the probability of the predicted class (of two classes: the second),
    or of the number. Inputs without any effect are left out.
    """
    if not len(scored.outputs):
        return []
    names = [name for name, kind in served.model.inputs.items() if kind != "tensor(uint8)"]
    changes = {
        name: _change(*(_of_interest(served, scored.outputs, outputs) for outputs in compared))
        for name, compared in zip(names, scored.without(names), strict=True)
    }
    found: list[list[dict[str, Any]]] = []
    for i in range(len(scored.outputs)):
        ranked = sorted(changes, key=lambda name: -abs(changes[name][i]))
        found.append(
            [
                {"input": name, "change": float(changes[name][i])}
                for name in ranked[:EXPLAINED]
                if changes[name][i]
            ]
        )
    return found


def _change(as_is: NDArray[np.float64], without: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the difference where it is more than the rounding of the graph, else 0."""
    import numpy as np

    change = as_is - without
    return np.where(
        np.abs(change) > _ROUNDING * np.maximum(np.abs(as_is), np.abs(without)), change, 0
    )


def _of_interest(
    served: ServedModel, decided: NDArray[np.float64], outputs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return [rows]: the number, or the probability that is explained."""
    import numpy as np

    if outputs.ndim == 1:
        return outputs
    if outputs.shape[1] == 2:
        second: NDArray[np.float64] = outputs[:, 1]
        return second
    rows = np.arange(len(outputs))
    chosen: NDArray[np.float64] = outputs[rows, served.model.codes(decided)]
    return chosen
