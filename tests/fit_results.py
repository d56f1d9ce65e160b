"""What a training and its evaluation have stored, as far as it must not depend on who fitted."""

import re
from typing import Any

from factory_resources.home.home import Home
from factory_resources.tracking.records import Records

_RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")
"""MLflow draws the numbers of its runs by chance."""


def fit_results(home: Home) -> dict[str, Any]:
    """Return what results of `apples` are: keys, models and values, but for numbers of runs.

    The number of its run is a part of a candidate, and so of the key of its evaluation.
    """
    train, evaluate = (Records(home).latest("apples", stage) for stage in ("train", "evaluate"))
    assert train is not None
    assert evaluate is not None
    return {
        "trained": (train.key, train.parts, _RUN_ID.sub("", str(train.value))),
        "evaluated": (evaluate.inputs, _RUN_ID.sub("", str(evaluate.value))),
        "declared": {n: part for n, part in evaluate.parts.items() if n != "inputs"},
    }
