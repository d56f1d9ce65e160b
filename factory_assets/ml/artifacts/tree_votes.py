"""A served graph whose forests add up the votes for each of two classes.

A forest adds up the votes for the second class in 32 bits, and leaves the rest to the first one.
If all trees agree on the second class, that rest is not 0 but a rounding error, some of 1e-7 for
40 trees, some of 1e-6 for 500. As a probability that is nothing; but a calibration takes its
logarithm, and an error beside its floor of 1e-5 may show. Added up by itself, 0 is 0.
"""

from __future__ import annotations

from typing import Any


def with_votes_of_both(graph: bytes) -> bytes | None:
    """Return the graph with the votes for the first of two classes; None if there is no forest."""
    import onnx

    model = onnx.load_from_string(graph)
    forests = [node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier"]
    if not sum(_add_votes(node) for node in forests):
        return None
    onnx.checker.check_model(model, full_check=True)
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def _add_votes(node: Any) -> bool:
    """Add to each vote for the second class what is left of the tree's; return whether it did.

    Each tree has an equal share of the votes, which is the largest vote that a leaf can have.
    """
    import numpy as np

    given = {attribute.name: attribute for attribute in node.attribute}
    classes, votes = given["class_ids"].ints, given["class_weights"].floats
    share = 1 / len({*given["class_treeids"].ints})
    weights = np.array(votes, dtype=np.float32)
    is_forest = weights.min() >= 0 and weights.max() <= np.float32(share)
    if len(given["classlabels_int64s"].ints) != 2 or len({*classes}) != 1 or not is_forest:
        return False
    left = np.where(weights == np.float32(share), 0.0, share - weights).clip(min=0)
    for name in ("class_treeids", "class_nodeids"):
        given[name].ints.extend([*given[name].ints])
    # Votes for one class alone are for the second one, whatever its number.
    classes[:] = [*([1] * len(weights)), *([0] * len(weights))]
    votes.extend(left.astype(np.float32).tolist())
    return True
