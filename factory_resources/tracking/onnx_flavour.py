"""What MLflow's own tools need to open a deployed version: the MLmodel file with its ONNX flavour.

The files are copies for others. The factory itself serves the graph that its ledger proves, and
never reads them. Registering a version belongs in `run.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

from factory_resources.durability import sync_path
from factory_resources.home.home import storage_errors

if TYPE_CHECKING:
    from factory_resources.tracking.registry import Registry, Version

GRAPH, TABLE_GRAPH, EXAMPLE = "model.onnx", "table.onnx", "input_example.json"

_LIBRARIES = ("mlflow", "numpy", "onnx", "onnxruntime")
"""What a program needs to load and run the model."""


@dataclass(frozen=True)
class OnnxFlavour:
    """What MLflow is told about a deployed version."""

    graph: bytes
    """What `mlflow.onnx` loads: the served graph."""
    table_graph: bytes | None
    """What `mlflow.pyfunc` runs, if it cannot feed the served graph from a table."""
    example: Mapping[str, object] | None
    """One row that is no real one; None if a row of plain values is not enough."""
    facts: Mapping[str, object]
    """What a reader must know of the outputs, such as the classes in their order."""


def write_flavour(registry: Registry, version: Version, flavour: OnnxFlavour) -> None:
    """Write the files beside those of the model; the same version gives the same files.

    The MLmodel file comes last: without it the others are not read, and a flavour is there whole or
    not at all.

    Raises:
        StorageError: a file cannot be written.
    """
    for name, content in _files(registry, version, flavour):
        path = version.files / name
        with storage_errors(path):
            present = path.read_bytes() if path.is_file() else None
        # Never replace a file that may be in use.
        if present != content:
            registry.home.write_atomic(path, content)
    with storage_errors(version.files):
        sync_path(version.files)


def _files(
    registry: Registry, version: Version, flavour: OnnxFlavour
) -> Iterator[tuple[str, bytes]]:
    import yaml

    yield GRAPH, flavour.graph
    if flavour.table_graph is not None:
        yield TABLE_GRAPH, flavour.table_graph
    if flavour.example is not None:
        example = {"columns": list(flavour.example), "data": [list(flavour.example.values())]}
        yield EXAMPLE, json.dumps(example).encode()
    for name, content in _environment().items():
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        yield name, text.encode()
    yield "MLmodel", _describe(registry, version, flavour).to_yaml().encode()


def _environment() -> dict[str, Any]:
    """Return the files from which MLflow can build an environment; nothing is looked up for it."""
    from mlflow.utils import PYTHON_VERSION

    needed = [f"{name}=={installed(name)}" for name in _LIBRARIES]
    return {
        "requirements.txt": "\n".join(needed) + "\n",
        "python_env.yaml": {
            "python": PYTHON_VERSION,
            "build_dependencies": ["pip"],
            "dependencies": ["-r requirements.txt"],
        },
        "conda.yaml": {
            "name": "mlflow-env",
            "channels": ["conda-forge"],
            "dependencies": [f"python={PYTHON_VERSION}", "pip", {"pip": needed}],
        },
    }


def _describe(registry: Registry, version: Version, flavour: OnnxFlavour) -> Any:
    from mlflow import pyfunc
    from mlflow.models import Model

    registered = registry.client.get_model_version(version.model, str(version.version))
    created = datetime.fromtimestamp(registered.creation_timestamp / 1000, UTC)
    model_id = version.files.parent.name
    graphs = {GRAPH: flavour.graph}
    if flavour.table_graph is not None:
        graphs[TABLE_GRAPH] = flavour.table_graph
    described = Model(
        run_id=version.run_id,
        model_id=model_id,
        model_uuid=model_id,
        utc_time_created=str(created.replace(tzinfo=None)),
        signature=_signature(graphs.get(TABLE_GRAPH, flavour.graph)),
        saved_input_example_info=_EXAMPLE_INFO if flavour.example is not None else None,
        metadata={
            **flavour.facts,
            "sha256": {name: sha256(graph).hexdigest() for name, graph in graphs.items()},
        },
    )
    pyfunc.add_to_model(
        described,
        loader_module="mlflow.onnx",
        data=list(graphs)[-1],
        conda_env="conda.yaml",
        python_env="python_env.yaml",
    )
    described.add_flavor(
        "onnx",
        onnx_version=installed("onnx"),
        data=GRAPH,
        providers=["CPUExecutionProvider"],
    )
    return described


_EXAMPLE_INFO = {"artifact_path": EXAMPLE, "type": "dataframe", "pandas_orient": "split"}


def _signature(graph: bytes) -> Any:
    """Return the inputs and outputs of a graph as tensors.

    A signature of columns would refuse integers where the model reads floats, and hands text on as
    an array that the ONNX runtime does not accept. Of a tensor of one number a row, MLflow casts
    any numeric column to float64, with NaN if missing, and narrows it for the runtime.
    """
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    described = onnx.load_from_string(graph).graph
    return ModelSignature(
        inputs=Schema([TensorSpec(*_tensor(value), value.name) for value in described.input]),
        outputs=Schema(
            [TensorSpec(*_tensor(value, narrow=True), value.name) for value in described.output]
        ),
    )


def _tensor(value: Any, *, narrow: bool = False) -> tuple[Any, tuple[int, ...]]:
    """Return dtype and shape of an input or output; the first dimension is open."""
    import numpy as np
    from onnx import TensorProto, helper

    tensor = value.type.tensor_type
    shape = (-1, *(dimension.dim_value for dimension in tensor.shape.dim[1:]))
    if tensor.elem_type == TensorProto.STRING:
        return np.dtype("str"), shape
    if tensor.elem_type == TensorProto.FLOAT and shape == (-1, 1) and not narrow:
        return np.dtype("float64"), shape
    return np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)), shape
