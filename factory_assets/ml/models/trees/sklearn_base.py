"""Base of the models around a scikit-learn estimator: storage without pickle, ONNX export.

Estimators that users name belong in `ml/models/custom`.
"""

from __future__ import annotations

import io
import json
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model, Shape, unusable_file_error
from factory_assets.ml.models.onnx_nodes import ML_OPSET, OPSET, make_opsets, merge, one_hot
from factory_assets.spec.train import ModelSpec, Task

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


FILE = "estimator.skops"

MOST_ADDED = 500
"""Trees whose shares in a probability add up to 1 but for 7e-6, in the 32 bits of a graph. The sum
of more may be so far above 1 that a calibration has no logarithm of what is left for the other
class."""


class EstimatorModel(Model):
    """A scikit-learn estimator over unscaled numbers and one-hot categories.

    Numbers stay unscaled, so that float32 comparisons in ONNX are those that were learned.
    """

    scaled: ClassVar[bool] = False
    vocabulary: ClassVar[int] = 50
    statistics: ClassVar[bool] = True
    trusted: ClassVar[tuple[str, ...]]
    """The only types beyond skops' defaults that a file of this kind may contain."""
    estimators: ClassVar[tuple[str, ...]]
    """The class that a file of this kind must contain: for classification, for regression."""

    def __init__(self, shape: Shape, estimator: Any) -> None:
        self._shape, self._estimator = shape, estimator

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        matrix = self.matrix(inputs)
        regression = self._shape.task == "regression"
        outputs: NDArray[np.float64] = (
            self._estimator.predict(matrix) if regression else self._estimator.predict_proba(matrix)
        )
        return outputs

    @property
    def estimator(self) -> Any:
        """The fitted estimator."""
        return self._estimator

    def matrix(self, inputs: Arrays) -> NDArray[np.float32]:
        """Return the estimator's input, [rows, width + sum of cardinalities]."""
        return inputs.one_hot(self._shape.cardinalities)

    def save(self, folder: Path) -> None:
        from factory_assets.ml.models.trees import skops_io

        (folder / FILE).write_bytes(canonical(skops_io.dumps(self._estimator)))

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        from factory_assets.ml.models.trees import skops_io

        try:
            estimator = skops_io.load(files / FILE, trusted=list(cls.trusted))
        except (skops_io.UntrustedTypesFoundException, BadZipFile, KeyError, ValueError) as error:
            raise unusable_file_error(
                f"{FILE} is not a file of this kind of model: {error}"
            ) from error
        expected = cls.estimators[shape.task == "regression"]
        if type(estimator).__name__ != expected:
            raise unusable_file_error(
                f"{FILE} contains a {type(estimator).__name__}, not a {expected}"
            )
        return cls(shape, estimator)

    def graph(self) -> onnx.ModelProto:
        return estimator_graph(self._estimator, one_hot(self._shape), self._shape.task)

    @property
    @abstractmethod
    def parameters(self) -> int: ...


def estimator_graph(estimator: Any, matrix: onnx.ModelProto, task: Task) -> onnx.ModelProto:
    """Return the graph that `Model.graph` describes.

    Args:
        matrix: the graph whose only output, float [N, columns], the estimator reads.
    """
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType

    [read] = matrix.graph.output
    width = read.type.tensor_type.shape.dim[1].dim_value
    body = skl2onnx.to_onnx(
        estimator,
        initial_types=[("matrix", FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options=None if task == "regression" else {"zipmap": False},
    )
    scores = body.graph.output[-1].name
    for output in [o for o in body.graph.output if o.name != scores]:
        body.graph.output.remove(output)
    # The operators are the same in our opsets, and merging requires identical declarations.
    del body.opset_import[:]
    body.opset_import.extend(make_opsets())
    whole = merge(matrix, body, {read.name: "matrix"})
    if task == "regression" or len(getattr(estimator, "estimators_", ())) <= MOST_ADDED:
        _rename(whole, scores, "outputs")
    else:
        _rename(whole, scores, "sums")
        _limit(whole, "sums", "outputs")
    whole.graph.output[0].name = "outputs"
    return whole


def _rename(model: onnx.ModelProto, name: str, other: str) -> None:
    for node in model.graph.node:
        node.output[:] = [other if output == name else output for output in node.output]
        node.input[:] = [other if value == name else value for value in node.input]


def _limit(model: onnx.ModelProto, sums: str, result: str) -> None:
    """Add the node that limits probabilities to 0 and 1."""
    import numpy as np
    from onnx import helper, numpy_helper

    limits = {"least": 0.0, "most": 1.0}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), name) for name, value in limits.items()
    )
    model.graph.node.append(helper.make_node("Clip", [sums, *limits], [result]))


def canonical(content: bytes) -> bytes:
    """Rewrite a skops archive so that equal estimators give equal bytes.

    skops names objects by memory address and stores the time.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read("schema.json"))
        files: dict[str, str] = {}
        _renumber(schema, {}, files)
        contents = {new: _without_padding(archive.read(old)) for old, new in files.items()}
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(ZipInfo("schema.json"), json.dumps(schema, sort_keys=True))
        for name in sorted(contents):
            archive.writestr(ZipInfo(name), contents[name])
    return buffer.getvalue()


def _renumber(node: Any, ids: dict[int, int], files: dict[str, str]) -> None:
    """Replace addresses and file names in place by their order of appearance."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict):
        if "__id__" in node:
            node["__id__"] = ids.setdefault(node["__id__"], len(ids))
        if isinstance(node.get("file"), str):
            suffix = Path(node["file"]).suffix
            node["file"] = files.setdefault(node["file"], f"{len(files)}{suffix}")
    for child in children:
        _renumber(child, ids, files)


def _without_padding(content: bytes) -> bytes:
    """Zero the gaps between the fields of tree records, which contain random memory."""
    import numpy as np

    if not content.startswith(b"\x93NUMPY"):
        return content
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, dtype=array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    if "left_child" in array.dtype.names:
        # scikit-learn neither sets nor reads a leaf's direction for missing values.
        clean["missing_go_to_left"][clean["left_child"] == -1] = 0
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()
