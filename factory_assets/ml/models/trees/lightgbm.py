"""Gradient boosting of LightGBM, an optional extra: stored as text, exported as ONNX trees.

As in the other tree models, numbers are unscaled and never missing, and categories are one-hot. The
ONNX graph has one node for all trees, then the step from scores to probabilities.

Inputs are divided into 1,023 bins rather than LightGBM's 255, whose limits are too coarse for rules
that few rows break. On three drawn tables of such rules this lowered the log loss by a seventh to a
fifth; on ten other tables it made no difference beyond chance, and took at most twice as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Model, Shape
from factory_assets.ml.models.onnx_nodes import make_model, merge, round_down
from factory_assets.ml.models.trees.interactions import PRELIMINARY, Interactions
from factory_assets.results.training import Epoch
from factory_assets.spec.models import LightGbm
from factory_assets.spec.train import ModelSpec
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from factory_assets.ml.models.base import Shape


FILE = "trees.txt"

OF_NUMBERS = {"squared_error": "regression", "absolute_error": "regression_l1"}
"""LightGBM's objective for each loss of numbers."""


class LightGbmModel(Model):
    """The trees up to the best validation loss; an `Epoch` is one boosting round."""

    scaled: ClassVar[bool] = False
    vocabulary: ClassVar[int] = 50
    statistics: ClassVar[bool] = True
    stops: ClassVar[bool] = True

    def __init__(self, shape: Shape, booster: Any, interactions: Interactions) -> None:
        self._shape, self._booster, self._interactions = shape, booster, interactions

    @classmethod
    def require_library(cls) -> None:
        _installed()

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        lightgbm = _installed()
        spec = cast(LightGbm, context.spec)
        parameters = _parameters(spec, context)
        matrix = train.inputs.one_hot(context.shape.cardinalities)
        interactions = _interactions(lightgbm, context, train, parameters, matrix)
        data = partial(_data, lightgbm, context, parameters)
        training_set = data(train, interactions.append(matrix))
        if context.rounds is not None:
            booster = lightgbm.train(parameters, training_set, num_boost_round=context.rounds)
            again = _read(booster.model_to_string())
            return Fit(cls(context.shape, again, interactions), rounds=context.rounds)
        recorded: dict[str, dict[str, list[float]]] = {}
        booster = lightgbm.train(
            parameters,
            training_set,
            num_boost_round=spec.iterations,
            valid_sets=[
                training_set,
                data(
                    validation,
                    interactions.append(validation.inputs.one_hot(context.shape.cardinalities)),
                    training_set,
                ),
            ],
            valid_names=["training", "validation"],
            callbacks=[
                lightgbm.early_stopping(spec.patience, verbose=False),
                lightgbm.record_evaluation(recorded),
                *_at_budget(lightgbm, context),
            ],
        )
        losses = [next(iter(recorded[part].values())) for part in ("training", "validation")]
        history = tuple(
            Epoch(epoch=i, train_loss=train_loss, validation_loss=loss)
            for i, (train_loss, loss) in enumerate(zip(*losses, strict=True), start=1)
        )
        # Not `booster.best_iteration`: if the budget stopped the training, that is the last round.
        best = losses[1].index(min(losses[1])) + 1
        # Through text, so that the model predicts with exactly what is stored: the best rounds.
        best_rounds = _read(booster.model_to_string(num_iteration=best))
        return Fit(cls(context.shape, best_rounds, interactions), history, best, rounds=best)

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        import numpy as np

        classes = self._shape.outputs
        if not len(inputs):
            return np.empty((0, classes) if self._shape.task != "regression" else 0)
        outputs: NDArray[np.float64] = self._booster.predict(self.matrix(inputs))
        if self._shape.task == "binary":
            return np.stack([1 - outputs, outputs], axis=1)
        return outputs

    @property
    def booster(self) -> Any:
        """The trees, as LightGBM's own class."""
        return self._booster

    def matrix(self, inputs: Arrays) -> NDArray[np.float32]:
        """Return the input of the trees, [rows, columns]: that of `Arrays.one_hot`, then pairs."""
        return self._interactions.append(inputs.one_hot(self._shape.cardinalities))

    def save(self, folder: Path) -> None:
        (folder / FILE).write_bytes(self._booster.model_to_string().encode())
        self._interactions.save(folder)

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        booster = _read((files / FILE).read_text(encoding="utf-8"))
        interactions = Interactions.load(files, shape)
        trees = shape.outputs if shape.task == "multiclass" else 1
        found = booster.num_feature(), booster.num_model_per_iteration()
        if found != (interactions.width(shape), trees):
            raise ModelError(f"{FILE} does not match the inputs of the model", remedy="train again")
        return cls(shape, booster, interactions)

    def graph(self) -> onnx.ModelProto:
        trees = self._booster.dump_model()["tree_info"]
        return trees_graph(trees, self._shape, self._interactions)

    @property
    def parameters(self) -> int:
        """The number of nodes of all trees."""
        trees = self._booster.dump_model()["tree_info"]
        return sum(2 * tree["num_leaves"] - 1 for tree in trees)


def _at_budget(lightgbm: Any, context: FitContext) -> list[Any]:
    """Return the callback that stops at the budget, after the round was recorded; or none."""

    def stop(env: Any) -> None:
        if context.budget and context.budget.over(env.iteration + 1):
            context.progress("the budget is spent: keeping the best rounds so far")
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    # LightGBM's own callbacks have orders up to 30 and must run first.
    stop.order = 40  # type: ignore[attr-defined]
    return [stop] if context.budget else []


def _installed() -> Any:
    """Import the package.

    Raises:
        ModelError: it is not installed, or cannot load a library of the system.
    """
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        # Its wheel, unlike those of PyTorch and scikit-learn, brings no OpenMP along.
        install = "apt install libgomp1" if "libgomp" in str(error) else "pip install '.[lightgbm]'"
        raise ModelError(
            f"kind lightgbm needs the package lightgbm: {error}",
            where="train.model.kind",
            remedy=f"{install}, or choose gradient_boosting",
        ) from error
    return lightgbm


def _parameters(spec: LightGbm, context: FitContext) -> dict[str, Any]:
    is_number = context.shape.task == "regression"
    classes = {"num_class": context.shape.outputs} if context.shape.task == "multiclass" else {}
    return {
        "objective": OF_NUMBERS[spec.loss] if is_number else context.shape.task,
        **classes,
        "learning_rate": spec.learning_rate,
        "max_bin": spec.max_bins,
        "num_leaves": spec.max_leaf_nodes,
        "min_data_in_leaf": spec.min_samples_leaf,
        "lambda_l2": spec.regularisation,
        "feature_fraction_bynode": spec.max_features,
        "seed": context.seed % 2**31,
        # The trees must not depend on the number of cores.
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _interactions(
    lightgbm: Any,
    context: FitContext,
    rows: LabelledArrays,
    parameters: dict[str, Any],
    matrix: NDArray[np.float32],
) -> Interactions:
    """Return the pairs of the numbers that a few trees gain most by."""
    most = cast(LightGbm, context.spec).interactions
    if not most:
        return Interactions()
    alone = _data(lightgbm, context, parameters, rows, matrix)
    booster = lightgbm.train(parameters, alone, num_boost_round=PRELIMINARY)
    gains = booster.feature_importance("gain")
    return Interactions.among(matrix, gains, context.shape.numbers, most)


def _data(
    lightgbm: Any,
    context: FitContext,
    parameters: dict[str, Any],
    rows: LabelledArrays,
    matrix: NDArray[np.float32],
    reference: Any = None,
) -> Any:
    return lightgbm.Dataset(
        matrix,
        rows.target,
        weight=context.sample_weights(rows.target),
        reference=reference,
        params=parameters,
    )


def _read(text: str) -> Any:
    lightgbm = _installed()
    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise ModelError(
            f"{FILE} does not contain LightGBM trees: {error}", remedy="train again"
        ) from error


def trees_graph(
    trees: Sequence[dict[str, Any]], shape: Shape, interactions: Interactions
) -> onnx.ModelProto:
    """Return the graph that `Model.graph` describes.

    Args:
        trees: `tree_info` of LightGBM's JSON; within a round, one tree for each class.
        interactions: what they read beside the inputs.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    node: Any = helper.make_node
    targets = shape.outputs if shape.task == "multiclass" else 1
    columns: dict[str, list[Any]] = defaultdict(list)
    for number, tree in enumerate(trees):
        _add_tree(tree["tree_structure"], number, number % targets, columns)
    ensemble = node(
        "TreeEnsembleRegressor",
        ["matrix"],
        ["outputs" if shape.task == "regression" else "scores"],
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function="SUM",
        post_transform="NONE",
        **columns,
    )
    after = {
        "regression": [],
        "multiclass": [node("Softmax", ["scores"], ["outputs"], axis=1)],
        "binary": [
            node("Sigmoid", ["scores"], ["positive"]),
            node("Sub", ["one", "positive"], ["negative"]),
            node("Concat", ["negative", "positive"], ["outputs"], axis=1),
        ],
    }[shape.task]
    ones = [numpy_helper.from_array(np.array([1], dtype=np.float32), "one")]
    describe = helper.make_tensor_value_info
    width = interactions.width(shape)
    body = make_model(
        [ensemble, *after],
        [describe("matrix", TensorProto.FLOAT, ["N", width])],
        [describe("outputs", TensorProto.FLOAT, ["N", shape.outputs])],
        ones if shape.task == "binary" else [],
    )
    before = interactions.graph(shape)
    return merge(before, body, {before.graph.output[0].name: "matrix"})


def _add_tree(root: dict[str, Any], tree: int, target: int, columns: dict[str, list[Any]]) -> None:
    """Append a tree to the attributes of the ONNX node; number its nodes breadth first."""
    waiting = [root]
    number = 0
    while waiting:
        node = waiting.pop(0)
        leaf = "leaf_value" in node
        children = (0, 0)
        if not leaf:
            first = number + len(waiting) + 1
            children = (first, first + 1)
            waiting += [node["left_child"], node["right_child"]]
        else:
            columns["target_treeids"].append(tree)
            columns["target_nodeids"].append(number)
            columns["target_ids"].append(target)
            columns["target_weights"].append(float(node["leaf_value"]))
        columns["nodes_treeids"].append(tree)
        columns["nodes_nodeids"].append(number)
        columns["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
        columns["nodes_featureids"].append(0 if leaf else node["split_feature"])
        columns["nodes_values"].append(0.0 if leaf else float(round_down(node["threshold"])))
        columns["nodes_truenodeids"].append(children[0])
        columns["nodes_falsenodeids"].append(children[1])
        number += 1
