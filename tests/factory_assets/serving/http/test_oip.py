"""Tensors of the Open Inference Protocol, in JSON and in binary, and lies about them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype

from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.oip import LENGTH, InferenceRequest, metadata, outputs_of
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.http.cases import ROW, call_of, line_of, outcome

pytestmark = pytest.mark.slow

DTYPES = {
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


def tensor(name: str, datatype: str, rows: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [rows], **more}


def request(
    served: ServedModel, *tensors: Any, raw: bytes | None = None, limits: Limits | None = None
) -> InferenceRequest:
    """Read a request; with `raw`, these bytes follow its JSON."""
    body = json.dumps({"inputs": tensors}).encode()
    headers = {} if raw is None else {LENGTH: str(len(body)).encode()}
    call = call_of(served, body + (raw or b""), "oip", headers)
    return InferenceRequest(call, limits or Limits())


def column(read: InferenceRequest, name: str) -> Any:
    found = read.rows.columns[name]
    return found if isinstance(found, list) else found.tolist()


@given(st.data(), st.sampled_from(sorted(DTYPES)), st.booleans())
def test_numbers_arrive_as_they_were_sent(
    served: ServedModel, data: st.DataObject, datatype: str, binary: bool
) -> None:
    dtype = np.dtype(DTYPES[datatype])
    cells = from_dtype(dtype, allow_nan=False, allow_infinity=False)
    values = data.draw(arrays(dtype, st.integers(1, 20), elements=cells))
    raw = values.tobytes()
    if binary:
        size = {"parameters": {"binary_data_size": len(raw)}}
        read = request(served, tensor("steps", datatype, len(values), **size), raw=raw)
    else:
        read = request(served, tensor("steps", datatype, len(values), data=values.tolist()))
    assert column(read, "steps") == values.tolist()


@pytest.mark.parametrize("value", [2**63, 2**63 + 1, 2**64 - 1])
def test_a_large_number_beside_a_small_one_stays_exact(served: ServedModel, value: int) -> None:
    read = request(served, tensor("steps", "UINT64", 2, data=[value, 0]))
    assert column(read, "steps") == [value, 0]


def test_a_key_is_sent_once(served: ServedModel) -> None:
    body = json.dumps({"inputs": [tensor("steps", "INT64", 1, data=[1])]}).encode()
    body = body.replace(b'"data": [1]', b'"data": [1], "data": [2]')
    with pytest.raises(HttpError) as error:
        InferenceRequest(call_of(served, body, "oip"), Limits())
    assert "the key 'data' is sent twice" in line_of(error)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.booleans())
def test_texts_arrive_as_they_were_sent(
    served: ServedModel, texts: list[str], binary: bool
) -> None:
    cells = [text.encode() for text in texts]
    raw = b"".join(len(cell).to_bytes(4, "little") + cell for cell in cells)
    if binary:
        size = {"parameters": {"binary_data_size": len(raw)}}
        read = request(served, tensor("colour", "BYTES", len(texts), **size), raw=raw)
    else:
        read = request(served, tensor("colour", "BYTES", len(texts), data=texts))
    assert column(read, "colour") == texts


@given(st.binary(max_size=60), st.integers(-2, 70), st.integers(-1, 12), st.integers(-1, 99))
def test_bytes_that_are_no_tensor_are_an_error_of_the_caller(
    served: ServedModel, raw: bytes, size: int, rows: int, length: int
) -> None:
    for datatype in ("BYTES", "FP64", "BOOL"):
        sent = tensor("colour", datatype, rows, parameters={"binary_data_size": size})
        body = json.dumps({"inputs": [sent]}).encode()
        declared = len(body) if length < 0 else length
        call = call_of(served, body + raw, "oip", {LENGTH: str(declared).encode()})
        read = outcome(lambda call=call: InferenceRequest(call, Limits()))
        if isinstance(read, HttpError):
            assert read.status == 400
        else:
            assert len(column(read, "colour")) == rows


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT8", [128]),
        ("INT8", [-129]),
        ("UINT8", [-1]),
        ("INT64", [2**63]),
        ("UINT64", [2**64]),
        ("INT32", [1.5]),
        ("INT64", [1.5, None]),
        ("INT64", [2**53 + 1, None]),
        ("INT64", [1e300]),
        ("FP64", [10**400]),
        ("FP64", [10**400, None]),
        ("FP32", [10**400]),
        ("INT64", [10**400]),
    ],
    ids=range(13),
)
def test_a_number_that_would_change_is_refused(
    datatype: str, data: list[Any], served: ServedModel
) -> None:
    with pytest.raises(HttpError) as error:
        request(served, tensor("steps", datatype, len(data), data=data))
    assert "does not fit" in line_of(error)


def test_missing_numbers_arrive_beside_others(served: ServedModel) -> None:
    read = request(served, tensor("steps", "INT64", 3, data=[2**53 - 1, None, -7]))
    assert read.rows.objects() == [{"steps": 2**53 - 1}, {"steps": None}, {"steps": -7}]
    read = request(served, tensor("Heat [K]", "FP64", 2, data=[None, 0.1]))
    assert read.rows.objects() == [{"Heat [K]": None}, {"Heat [K]": 0.1}]
    read = request(served, tensor("colour", "BYTES", 2, data=[None, "red"]))
    assert read.rows.objects() == [{"colour": None}, {"colour": "red"}]


@pytest.mark.parametrize("rows", [1, 3])
def test_both_shapes_of_a_column(rows: int, served: ServedModel) -> None:
    for shape, data in (([rows], [1] * rows), ([rows, 1], [[1]] * rows), ([rows, 1], [1] * rows)):
        sent = {"name": "steps", "datatype": "INT64", "shape": shape, "data": data}
        assert column(request(served, sent), "steps") == [1] * rows


@pytest.mark.parametrize(
    "shape", [[], [-1], [2, 2], [1, 1, 1], [2, 0], [0], [2**63], [10**300], [3]], ids=str
)
def test_a_shape_that_does_not_fit_is_refused(shape: list[int], served: ServedModel) -> None:
    sent = {"name": "steps", "datatype": "INT64", "shape": shape, "data": [1, 2]}
    with pytest.raises(HttpError) as error:
        request(served, sent)
    assert error.value.status in {400, 413}


@pytest.mark.parametrize(
    "length",
    [b"-1", b"1e3", b"", b" 2", b"\xb2", b"9" * 18, b"1" * 5_000, b"0" * 5_000],
    ids=range(8),
)
def test_a_length_of_the_json_that_cannot_be_is_refused(length: bytes, served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        InferenceRequest(call_of(served, b"{}", "oip", {LENGTH: length}), Limits())
    assert "does not fit the body" in line_of(error)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([], "there is no input"),
        ([tensor("weight", "FP64", 1, data=[1])], "'weight' is not an input"),
        ([tensor("steps", "INT64", 1, data=[1])] * 2, "'steps' is sent twice"),
        ([tensor("steps", "DECIMAL", 1, data=[1])], "'DECIMAL' of 'steps' is unknown"),
        ([tensor("steps", "INT64", 1)], "do not fit its shape"),
        ([tensor("steps", "INT64", 1, data=["1"])], "values that are not INT64"),
        ([tensor("steps", "INT64", 1, data=[True])], "values that are not INT64"),
        ([tensor("open", "BOOL", 1, data=[1])], "values that are not BOOL"),
        ([tensor("colour", "BYTES", 1, data=[1])], "values that are not texts"),
        ([tensor("steps", "INT64", 1, data=[[1], [2]])], "do not fit its shape"),
        ([tensor("steps", "INT64", 1, data={"a": 1})], "do not fit its shape"),
        ([tensor("steps", "INT64", 1, parameters={"binary_data_size": 8})], "does not fit the"),
        ([tensor("steps", "INT64", 1, parameters={"binary_data_size": "8"})], "does not fit the"),
        ([tensor("steps", "INT64", 1, parameters=[])], "not one of the protocol"),
        ([5], "not one of the protocol"),
    ],
    ids=range(15),
)
def test_a_wrong_input_is_named(tensors: list[Any], words: str, served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        request(served, *tensors)
    assert words in line_of(error)


def test_rows_have_a_limit(served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        request(served, tensor("steps", "INT64", 4, data=[1] * 4), limits=Limits(rows=3))
    assert "at most 3" in line_of(error, 413)


def test_bytes_behind_the_last_tensor_are_refused(served: ServedModel) -> None:
    sent = tensor("steps", "INT64", 1, parameters={"binary_data_size": 8})
    with pytest.raises(HttpError) as error:
        request(served, sent, raw=bytes(9))
    assert "1 bytes follow the last tensor" in line_of(error)


def test_an_output_is_asked_for_once(served: ServedModel) -> None:
    outputs = [{"name": "probabilities"}] * 2
    body = {"inputs": [tensor("steps", "INT64", 1, data=[1])], "outputs": outputs}
    with pytest.raises(HttpError) as error:
        InferenceRequest(call_of(served, body, "oip"), Limits())
    assert "output 'probabilities' is asked for twice" in line_of(error)


@pytest.mark.parametrize("binary", [False, True])
def test_an_answer_has_the_outputs_that_the_description_names(
    binary: bool, served: ServedModel
) -> None:
    types = {"Heat [K]": "FP64", "steps": "INT64", "colour": "BYTES", "code": "BYTES"}
    inputs = [tensor(n, types.get(n, "BOOL"), 2, data=[ROW[n], ROW[n]]) for n in ROW]
    body = {"inputs": inputs, "id": "mine", "parameters": {"binary_data_output": binary}}
    call = call_of(served, body, "oip")
    read = InferenceRequest(call, Limits())
    scored = read.rows.score(served)
    content, headers = read.encode(call, scored, bytes(16))
    length = int(headers.get(LENGTH, len(content)))
    answer, raw = json.loads(content[:length]), content[length:]
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "p", "1")
    assert [one["name"] for one in answer["outputs"]] == [o["name"] for o in outputs_of(served)]
    shares = answer["outputs"][1]
    assert shares["shape"] == [2, 2]
    assert bool(raw) is binary
    if binary:
        sizes = [one["parameters"]["binary_data_size"] for one in answer["outputs"]]
        assert sum(sizes) == len(raw)
        found = np.frombuffer(raw[sizes[0] :], "<f8").reshape(2, 2)
    else:
        found = np.array(shares["data"]).reshape(2, 2)
    assert found.tolist() == scored.outputs.tolist()


def test_the_description_names_each_column_with_its_type(served: ServedModel) -> None:
    described = metadata(served, [served])
    assert {one["name"]: one["datatype"] for one in described["inputs"]} == {
        "Heat [K]": "FP64",
        "steps": "INT64",
        "colour": "BYTES",
        "code": "BYTES",
        "open": "BOOL",
    }
