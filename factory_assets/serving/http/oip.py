"""The Open Inference Protocol v2 in JSON, and its binary tensor extension.

Specification: https://github.com/open-inference/open-inference-protocol; the extension:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from factory_assets.serving.answered_regions import region_arrays
from factory_assets.serving.http.call import Call
from factory_assets.serving.http.errors import HttpError, malformed
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.rows import require_count, require_distinct_keys
from factory_assets.serving.online.answers import predictions
from factory_assets.serving.online.column_request import ColumnRequest
from factory_assets.serving.online.row_schema import EXACT
from factory_assets.serving.online.served_model import ScoredRequest, ServedModel
from factory_assets.spec import Column
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import LOGGED_REGIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray


LENGTH = b"inference-header-content-length"
"""The header that gives the bytes of the JSON before binary tensors."""

_DIGITS = 18
"""Of a length that is read."""

_NUMBERS = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


class InferenceRequest:
    """A request that was read: its rows, and how the answer is to be written."""

    def __init__(self, call: Call, limits: Limits) -> None:
        head, raw = _parts(call)
        try:
            self._asked = msgspec.json.decode(head, type=_Request)
            require_distinct_keys(head)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(f"the request is not one of the protocol: {error}", _INPUTS) from error
        known = [entry["name"] for entry in outputs_of(call.served)]
        given = self._asked.outputs
        self._wanted = [*map(_Output, known)] if given is None else given
        left = set(known)
        for output in self._wanted:
            if output.name not in left:
                # With one output thousands of times, an answer would take gigabytes.
                twice = f"output {output.name!r} is asked for twice"
                what = twice if output.name in known else f"there is no output {output.name!r}"
                raise malformed(what, f"outputs are: {', '.join(known)}")
            left.remove(output.name)
        self.rows = _columns(self._asked.inputs, raw, call.served, limits)

    def encode(
        self, call: Call, scored: ScoredRequest, identifier: bytes
    ) -> tuple[bytes, dict[bytes, bytes]]:
        """Return the body of the answer, and its headers if tensors follow in binary."""
        by_default = bool(self._asked.parameters.get("binary_data_output"))
        raw: list[bytes] = []
        outputs = []
        for one in self._wanted:
            binary = bool(one.parameters.get("binary_data", by_default))
            values = _output(one.name, call.served, scored)
            outputs.append(_encoded(one.name, values, binary, raw))
        number = ids.text(identifier)
        head = msgspec.json.encode(
            {
                "model_name": call.served.pipeline,
                "model_version": str(call.served.version),
                "id": self._asked.id or number,
                "parameters": {"prediction_id": number},
                "outputs": outputs,
            }
        )
        if not raw:
            return head, {}
        headers = {LENGTH: str(len(head)).encode(), b"content-type": b"application/octet-stream"}
        return b"".join([head, *raw]), headers


_INPUTS = 'send {"inputs": [{name, shape, datatype, data}]}'


def metadata(served: ServedModel, versions: Sequence[ServedModel]) -> dict[str, Any]:
    """Return the description of a model.

    Args:
        versions: those that may be asked.
    """
    return {
        "name": served.pipeline,
        "versions": [str(one.version) for one in versions],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": column.source_name, "datatype": datatype_of(column), "shape": [-1]}
            for column in served.inputs
        ],
        "outputs": outputs_of(served),
    }


def datatype_of(column: Column) -> str:
    """Return the type in which a column is sent; dates and times are texts."""
    return {"float64": "FP64", "int64": "INT64", "bool": "BOOL"}.get(column.type or "", "BYTES")


def outputs_of(served: ServedModel) -> list[dict[str, Any]]:
    """Return the outputs of a model."""
    bounds = served.model.regions
    if not served.model.classes:
        interval = {"name": "interval", "datatype": "FP64", "shape": [-1, 2]}
        plain = {"name": "prediction", "datatype": "FP64", "shape": [-1]}
        return [plain, *([interval] if bounds else [])]
    by_class = {
        "shape": [-1, len(served.model.classes)],
        "parameters": {"classes": list(served.model.classes)},
    }
    outputs: list[dict[str, Any]] = [
        {"name": "prediction", "datatype": "BYTES", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", **by_class},
    ]
    if bounds:
        outputs.append({"name": "set", "datatype": "BOOL", **by_class})
        if bounds.abstain:
            outputs.append({"name": "abstained", "datatype": "BOOL", "shape": [-1]})
    return outputs


def _parts(call: Call) -> tuple[bytes, memoryview]:
    declared = call.headers.get(LENGTH)
    if declared is None:
        return call.body, memoryview(b"")
    # Python refuses to convert thousands of digits.
    if not declared.isdigit() or len(declared) > _DIGITS or int(declared) > len(call.body):
        raise malformed(
            f"{LENGTH.decode()} {declared[:_DIGITS].decode('latin-1')!r} does not fit the body",
            "give the bytes of the JSON before the tensors",
        )
    length = int(declared)
    return call.body[:length], memoryview(call.body)[length:]


def _columns(
    tensors: Sequence[_Tensor], raw: memoryview, served: ServedModel, limits: Limits
) -> ColumnRequest:
    inputs = {column.source_name for column in served.inputs}
    known = inputs | {key.source_name for key in served.keys}
    columns: dict[str, NDArray[Any] | list[str | None]] = {}
    rows: int | None = None
    for tensor in tensors:
        if tensor.name not in known or tensor.name in columns:
            what = "is sent twice" if tensor.name in columns else "is not an input"
            raise malformed(f"{tensor.name!r} {what}", f"inputs are: {', '.join(sorted(known))}")
        count = _rows(tensor)
        if rows is not None and rows != count:
            raise malformed(
                f"input {tensor.name!r} has {count} rows, the first one {rows}",
                "send as many values of each",
            )
        rows = count
        require_count(rows, limits)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            columns[tensor.name] = _from_json(tensor, rows)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(raw):
            raise malformed(f"binary_data_size of {tensor.name!r} does not fit the body", _INPUTS)
        columns[tensor.name] = _from_bytes(tensor, rows, raw[:size])
        raw = raw[size:]
    if len(raw):
        raise malformed(f"{len(raw)} bytes follow the last tensor", "send no more than announced")
    if rows is None:
        raise malformed("there is no input", _INPUTS)
    return ColumnRequest(columns, rows)


def _rows(tensor: _Tensor) -> int:
    shape = tensor.shape
    if not shape or shape[0] < 0 or any(size != 1 for size in shape[1:]) or len(shape) > 2:
        raise malformed(f"input {tensor.name!r} has the shape {shape}", "send [rows] or [rows, 1]")
    return shape[0]


def _from_json(tensor: _Tensor, rows: int) -> NDArray[Any] | list[str | None]:
    import numpy as np

    data = tensor.data
    if isinstance(data, list) and data and all(isinstance(cell, list) for cell in data):
        data = [cell for row in data for cell in row]
    if not isinstance(data, list) or len(data) != rows:
        raise malformed(
            f"the data of {tensor.name!r} do not fit its shape {tensor.shape}", "send all values"
        )
    if tensor.datatype == "BYTES":
        if not all(cell is None or isinstance(cell, str) for cell in data):
            raise malformed(f"{tensor.name!r} contains values that are not texts", "send strings")
        return data
    dtype = _dtype(tensor)
    # Of Python's types, bool is an int; of the protocol's, it is none.
    kinds = {bool} if dtype == "?" else {int, float}
    if not all(cell is None or type(cell) in kinds for cell in data):
        raise malformed(
            f"{tensor.name!r} contains values that are not {tensor.datatype}", "send such values"
        )
    present = [cell for cell in data if cell is not None]
    found = _exact(tensor, present, dtype)
    if len(present) == rows:
        return found
    spread = np.full(rows, np.nan)
    spread[[cell is not None for cell in data]] = found
    if dtype[1:2] in {"i", "u"} and (np.abs(spread) >= EXACT).any():
        raise _unfit(tensor)
    return spread


def _exact(tensor: _Tensor, cells: list[Any], dtype: str) -> NDArray[Any]:
    """Return the cells as an array; a conversion that changes a whole number is an error."""
    import numpy as np

    try:
        if dtype[1:2] in {"i", "u"}:
            # NumPy would read a list with a number from 2^63 on beside a small one as floats.
            whole = [int(cell) for cell in cells]
            if whole != cells:
                raise _unfit(tensor)
            return np.array(whole, dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.array(cells).astype(dtype)
    except (OverflowError, ValueError) as error:
        raise _unfit(tensor) from error


def _unfit(tensor: _Tensor) -> HttpError:
    return malformed(
        f"a value of {tensor.name!r} does not fit {tensor.datatype}", "send another datatype"
    )


def _from_bytes(tensor: _Tensor, rows: int, raw: memoryview) -> NDArray[Any] | list[str | None]:
    import numpy as np

    if tensor.datatype == "BYTES":
        return _texts(tensor, rows, raw)
    dtype = np.dtype(_dtype(tensor))
    if len(raw) != rows * dtype.itemsize:
        raise malformed(
            f"{tensor.name!r} has {len(raw)} bytes, its shape needs {rows * dtype.itemsize}",
            "send all values",
        )
    return np.frombuffer(raw, dtype)


def _texts(tensor: _Tensor, rows: int, raw: memoryview) -> list[str | None]:
    found: list[str | None] = []
    place = 0
    while place < len(raw):
        end = place + 4 + int.from_bytes(raw[place : place + 4], "little")
        if end > len(raw):
            break
        try:
            found.append(str(raw[place + 4 : end], "utf-8"))
        except UnicodeDecodeError as error:
            raise malformed(f"a text of {tensor.name!r} is not UTF-8", "send UTF-8") from error
        place = end
    if place != len(raw) or len(found) != rows:
        raise malformed(f"the texts of {tensor.name!r} do not fit its shape", "send all of them")
    return found


def _dtype(tensor: _Tensor) -> str:
    dtype = _NUMBERS.get(tensor.datatype)
    if dtype is None:
        raise malformed(
            f"datatype {tensor.datatype!r} of {tensor.name!r} is unknown",
            f"send one of: {', '.join([*_NUMBERS, 'BYTES'])}",
        )
    return dtype


def _output(name: str, served: ServedModel, scored: ScoredRequest) -> list[str] | Any:
    """Return texts, or an array."""
    if name in LOGGED_REGIONS:
        return region_arrays(served.model, scored.outputs, scored.groups)[name]
    if name == "probabilities" or not served.model.classes:
        return scored.outputs
    return predictions(served, scored)


def _encoded(name: str, values: Any, binary: bool, raw: list[bytes]) -> Mapping[str, Any]:
    """Describe an output; its values go into `raw` if they are sent in binary."""
    texts = isinstance(values, list)
    shape = [len(values)] if texts else list(values.shape)
    kind = "BYTES" if texts else "BOOL" if values.dtype == bool else "FP64"
    entry: dict[str, Any] = {"name": name, "datatype": kind, "shape": shape}
    if not binary:
        return {**entry, "data": values if texts else values.reshape(math.prod(shape)).tolist()}
    if texts:
        cells = [value.encode() for value in values]
        content = b"".join(part for c in cells for part in (len(c).to_bytes(4, "little"), c))
    else:
        content = values.astype("?" if kind == "BOOL" else "<f8").tobytes()
    raw.append(content)
    return {**entry, "parameters": {"binary_data_size": len(content)}}
