"""A blend: the weighted mean of the outputs of several models, stored and exported as one.

All members read the same encoding: numbers unscaled, and of each category as many values as every
member can read. A member that needs standardised numbers gets them here, in the graph as well. How
members are fitted belongs in `search`, how they are weighted in `weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import ValidationError

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Model, Shape, unusable_file_error
from factory_assets.ml.models.onnx_nodes import array_inputs, make_model, prefixed
from factory_assets.ml.models.portfolio.encoding import encoded_for, member_outputs, scaling_nodes
from factory_assets.ml.models.portfolio.member import PortfolioRows
from factory_assets.ml.models.portfolio.search import fit_portfolio
from factory_assets.results.base import StageResult
from factory_assets.spec.models import Auto
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


FILE = "blend.json"


class BlendWeights(StageResult):
    """The weight of each member, 0 if it is not kept; they add up to 1."""

    weights: tuple[float, ...]


class BlendModel(Model):
    """The kept members of a portfolio, by their index, and their weights."""

    scaled: ClassVar[bool] = False
    stops: ClassVar[bool] = True
    classes: ClassVar[tuple[type[Model], ...]]
    """The class of each member that is declared."""

    def __init__(
        self, shape: Shape, members: Mapping[int, Model], weights: Sequence[float]
    ) -> None:
        self._shape, self._members, self._weights = shape, members, tuple(weights)

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        found = fit_portfolio(cls.classes, context, train, validation)
        model = cls(context.shape, found.models, found.judged.weights)
        return Fit(model, halved=found.halved, judged=found.judged)

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        by_member = (
            self._weights[i] * member_outputs(self._shape, member, inputs)
            for i, member in self._members.items()
        )
        total: NDArray[np.float64] = sum(by_member, start=next(by_member))
        return total

    def save(self, folder: Path) -> None:
        weights = BlendWeights(weights=self._weights)
        (folder / FILE).write_text(weights.model_dump_json(), encoding="utf-8")
        for i, member in self._members.items():
            with TemporaryDirectory(dir=folder) as own:
                member.save(Path(own))
                for path in Path(own).iterdir():
                    # Whoever verifies a model expects its files side by side.
                    path.rename(folder / f"{_prefix(i)}{path.name}")

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        try:
            weights = BlendWeights.model_validate_json((files / FILE).read_bytes()).weights
        except ValidationError as error:
            raise unusable_file_error(f"{FILE} does not contain weights") from error
        declared = cast(Auto, spec).members or ()
        if len(weights) != len(declared) or not any(weights):
            raise unusable_file_error(f"{FILE} does not match the members of the portfolio")
        members = {}
        for i in (i for i, weight in enumerate(weights) if weight):
            # Elsewhere: a reader may not be allowed to write beside the files.
            with TemporaryDirectory() as own:
                for path in files.glob(f"{_prefix(i)}*"):
                    copyfile(path, Path(own) / path.name.removeprefix(_prefix(i)))
                members[i] = cls.classes[i].load(declared[i], shape, Path(own), folder)
        return cls(shape, members, weights)

    def graph(self) -> onnx.ModelProto:
        graphs = {i: member.graph() for i, member in self._members.items()}
        is_scaled = {i: member.scaled for i, member in self._members.items()}
        nodes, constants = scaling_nodes(self._shape) if any(is_scaled.values()) else ([], [])
        parts = []
        for i, graph in graphs.items():
            inputs = {"numbers": "standardised"} if is_scaled[i] else {}
            part = prefixed(graph, f"member_{i}_", inputs)
            nodes += part.node
            constants += part.initializer
            parts.append(f"member_{i}_outputs")
        more, weights = _weighted(parts, [self._weights[i] for i in graphs])
        return make_model(
            [*nodes, *more],
            array_inputs(self._shape),
            [_outputs(self._shape)],
            [*constants, *weights],
        )

    def on_other_rows(
        self,
        context: FitContext,
        train: LabelledArrays,
        validation: LabelledArrays,
        rounds: Mapping[int, int | None],
    ) -> Self:
        """Fit kept members again on other rows, with the weights that they have.

        Args:
            context: without folds.
            train: the rows to learn from.
            validation: decides when to stop the members without given rounds.
            rounds: the index of each member to fit, and its rounds as in `FitContext`. The weights
                of members that are missing here are distributed in proportion.
        """
        rows = PortfolioRows(self.classes, replace(context, whole=False), train, validation)
        members = {i: rows.on_all_rows(i, count) for i, count in rounds.items()}
        # The weights of all kept members add up to 1 but for rounding, and stay as they are.
        is_whole = members.keys() >= self._members.keys()
        total = 1.0 if is_whole else sum(self._weights[i] for i in members)
        weights = [w / total if i in members else 0.0 for i, w in enumerate(self._weights)]
        return type(self)(self._shape, members, weights)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each declared member, 0 if it is not kept."""
        return self._weights

    @property
    def kept(self) -> Mapping[int, Model]:
        """The members that are part of the blend, by their index among the declared ones."""
        return self._members

    def as_read_by(self, member: int, inputs: Arrays) -> Arrays:
        """Return rows in the encoding that one of the kept members reads."""
        return encoded_for(type(self._members[member]), self._shape, inputs)

    @property
    def parameters(self) -> int:
        return sum(member.parameters for member in self._members.values())


def blend_class(classes: Sequence[type[Model]]) -> type[BlendModel]:
    """Return the class of blends whose declared members have these classes."""
    shared = {
        "classes": tuple(classes),
        "vocabulary": min(one.vocabulary for one in classes),
        "statistics": any(one.statistics for one in classes),
    }
    return type("BlendModel", (BlendModel,), shared)


def _prefix(member: int) -> str:
    """Return what the names of a member's files begin with."""
    return f"member-{member}-"


def _weighted(parts: Sequence[str], weights: Sequence[float]) -> tuple[list[Any], list[Any]]:
    """Return the nodes that compute the weighted mean `outputs`, and their constants."""
    import numpy as np
    from onnx import helper, numpy_helper

    if len(parts) == 1:
        return [helper.make_node("Identity", list(parts), ["outputs"])], []
    nodes, constants = [], []
    for part, weight in zip(parts, weights, strict=True):
        constants.append(numpy_helper.from_array(np.array(weight, np.float32), f"{part}_weight"))
        nodes.append(helper.make_node("Mul", [part, f"{part}_weight"], [f"{part}_share"]))
    shares = [f"{part}_share" for part in parts]
    return [*nodes, helper.make_node("Sum", shares, ["outputs"])], constants


def _outputs(shape: Shape) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["N", shape.outputs])
