"""The products and differences of pairs of numbers, which trees read beside the inputs themselves.

A limit of a product or of a difference is one split then, such as that of the power that torque and
speed make; of the inputs alone, it takes a staircase of splits. Which pairs there are is decided
where the trees are fitted.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import NonNegativeInt, ValidationError

from factory_assets.ml.models.base import Shape, unusable_file_error
from factory_assets.ml.models.onnx_nodes import make_model, one_hot
from factory_assets.results.base import StageResult

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


FILE = "interactions.json"

PRELIMINARY = 30
"""Rounds of boosting that show which numbers are useful enough to be combined."""

_PARTED = 2
"""Values that one split parts: of a flag, no product or difference says more than the flag."""


class Interactions(StageResult):
    """The pairs, by the position of their columns in the matrix that trees read."""

    pairs: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = ()

    @classmethod
    def among(
        cls, matrix: NDArray[np.float32], usefulness: NDArray[np.float64], numbers: int, most: int
    ) -> Self:
        """Return the pairs of the most useful numbers.

        Args:
            matrix: [rows, columns].
            usefulness: [columns], 0 of a column that is of no use.
            numbers: how many of the columns, from the first, are numbers.
            most: how many numbers are combined at most.
        """
        import numpy as np

        ranked = np.argsort(-usefulness[:numbers], kind="stable")
        useful = (int(i) for i in ranked if usefulness[i] > 0 and _varies(matrix[:, i]))
        chosen = [column for column, _ in zip(useful, range(most), strict=False)]
        return cls(pairs=tuple(combinations(chosen, 2)))

    def append(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [rows, columns + 2 · pairs]: the matrix, all products, then all differences."""
        import numpy as np

        if not self.pairs:
            return matrix
        first, second = (matrix[:, [*columns]] for columns in zip(*self.pairs, strict=True))
        limits = np.finfo(np.float32)
        with np.errstate(over="ignore"):
            combined = np.concatenate([first * second, first - second], axis=1)
        # Limits of infinite numbers could not be halfway between two of them.
        return np.concatenate([matrix, combined.clip(limits.min, limits.max)], axis=1)

    def width(self, shape: Shape) -> int:
        """The columns that trees read."""
        return shape.numbers + sum(shape.cardinalities) + 2 * len(self.pairs)

    def graph(self, shape: Shape) -> onnx.ModelProto:
        """Return what trees read as a graph with one output, float [N, columns]."""
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper

        matrix = one_hot(shape)
        if not self.pairs:
            return matrix
        sides = dict(zip(("first", "second"), zip(*self.pairs, strict=True), strict=True))
        limits = np.finfo(np.float32)
        constants = [
            numpy_helper.from_array(np.array(limits.min), "lowest"),
            numpy_helper.from_array(np.array(limits.max), "highest"),
            *(
                numpy_helper.from_array(np.array(columns, dtype=np.int64), f"{side}_columns")
                for side, columns in sides.items()
            ),
        ]
        node: Any = helper.make_node
        nodes = [
            *(node("Gather", ["matrix", f"{side}_columns"], [side], axis=1) for side in sides),
            node("Mul", ["first", "second"], ["products"]),
            node("Sub", ["first", "second"], ["differences"]),
            node("Concat", ["products", "differences"], ["combined"], axis=1),
            node("Clip", ["combined", "lowest", "highest"], ["finite"]),
            node("Concat", ["matrix", "finite"], ["columns"], axis=1),
        ]
        width = self.width(shape)
        return make_model(
            [*matrix.graph.node, *nodes],
            matrix.graph.input,
            [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", width])],
            [*matrix.graph.initializer, *constants],
        )

    def save(self, folder: Path) -> None:
        """Write the pairs, if there are any, into a file beside those of the trees."""
        if self.pairs:
            (folder / FILE).write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def load(cls, files: Path, shape: Shape) -> Self:
        """Read the pairs of a model; without their file there are none.

        Raises:
            ModelError: the file does not contain pairs of the model's numbers.
        """
        if not (files / FILE).exists():
            return cls()
        try:
            found = cls.model_validate_json((files / FILE).read_bytes())
        except ValidationError as error:
            raise unusable_file_error(f"{FILE} does not contain pairs of inputs") from error
        if any(column >= shape.numbers for pair in found.pairs for column in pair):
            raise unusable_file_error(f"{FILE} names inputs that the model does not have")
        return found


def _varies(column: NDArray[np.float32]) -> bool:
    import numpy as np

    return len(np.unique(column)) > _PARTED
