"""What is logged of a request: what was asked and answered, and nothing that nobody promised."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from factory_assets.audit.prediction import describe_prediction
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.oip import InferenceRequest
from factory_assets.serving.http.records import record_of
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.prediction_log.logged_rows import columns_logged
from factory_resources.prediction_log.protection import Protection
from factory_resources.prediction_log.record import PredictionRecord, decode
from tests.factory_assets.serving.http.cases import ROW, call_of

pytestmark = pytest.mark.slow


def logged(
    served: ServedModel, body: Any, *, engine: bool = False, protection: Protection | None = None
) -> PredictionRecord:
    call = call_of(served, body)
    rows, _ = read_rows(call.body, None if engine else served.decoder, Limits())
    scored = served.score(rows.objects()) if engine else rows.score(served)
    return decode(record_of(call, rows, scored, protection))


def test_a_record_with_a_changed_byte_in_its_answer_is_told(served: ServedModel) -> None:
    record = logged(served, [ROW], engine=True)
    for changed in (record.output.replace(b'"', b"'", 1), b"{}", b"[]"):
        with pytest.raises(StorageError, match="rows of a logged prediction cannot be read"):
            describe_prediction("id", msgspec.structs.replace(record, output=changed), 0, None)


@pytest.mark.parametrize("engine", [False, True])
def test_an_answer_is_logged_with_its_rows(engine: bool, served: ServedModel) -> None:
    record = logged(served, [ROW, ROW], engine=engine)
    assert (record.kind, record.status, record.rows) == ("answer", 200, 2)
    assert (record.pipeline, record.version, record.protocol) == ("p", served.version, "plain")
    assert json.loads(record.input) == [ROW, ROW]
    output = json.loads(record.output)
    assert len(output["predictions"]) == 2
    assert [sum(shares) for shares in output["probabilities"]] == pytest.approx([1, 1])
    assert record.duration >= 0


def test_what_nobody_asked_for_is_not_logged(served: ServedModel) -> None:
    row = {**ROW, "name": "Jane"}
    for engine in (False, True):
        assert json.loads(logged(served, row, engine=engine).input) == [ROW]


def test_refused_rows_are_named_beside_the_others(served: ServedModel) -> None:
    record = logged(served, [{**ROW, "steps": "x"}, ROW], engine=True)
    output = json.loads(record.output)
    assert record.rows == 2
    assert output["rows"] == [1]
    assert output["refused"] == [[[0], ["type:steps"]]]
    assert len(output["predictions"]) == 1


def test_a_small_request_with_many_wrong_rows_makes_a_small_record(served: ServedModel) -> None:
    record = logged(served, [ROW, *[{}] * 2_000, {**ROW, "steps": None}], engine=True)
    assert len(record.output) < 12_000
    for row in (1, 2_000, 2_001):
        found = describe_prediction("id", record, row, None).output
        assert found == {"prediction": None, "rules": ["null:steps"]}
    assert describe_prediction("id", record, 0, None).output["prediction"] is not None


@pytest.mark.parametrize("engine", [False, True])
def test_sensitive_values_are_hidden(engine: bool, served: ServedModel, home: Home) -> None:
    protection = Protection(home, "p", "encrypted")
    rows = [ROW, {**ROW, "code": None}]
    record = logged(served, rows, engine=engine, protection=protection)
    assert b'"c1"' not in record.input
    assert revealed(record, protection) == rows


def revealed(record: PredictionRecord, protection: Protection) -> list[dict[str, Any]]:
    return [
        {**row, "code": protection.reveal(row["code"], record.time)}
        for row in json.loads(record.input)
    ]


@pytest.mark.parametrize("cell", [{"encrypted": "AAAA"}, {"commitment": []}, {"a": {"b": 1}}])
def test_an_object_is_logged_as_its_text_so_that_nobody_takes_it_for_a_protected_value(
    cell: dict[str, Any], served: ServedModel, home: Home
) -> None:
    row, text = {**ROW, "code": cell}, json.dumps(cell, separators=(",", ":"))
    assert json.loads(logged(served, row, engine=True).input) == [{**ROW, "code": text}]
    protection = Protection(home, "p", "encrypted")
    record = logged(served, row, engine=True, protection=protection)
    assert revealed(record, protection) == [{**ROW, "code": text}]


def test_columns_are_logged_as_they_came(served: ServedModel, home: Home) -> None:
    types: Mapping[str, str] = {"Heat [K]": "FP64", "steps": "INT64", "open": "BOOL"}
    inputs = [
        {"name": n, "datatype": types.get(n, "BYTES"), "shape": [1], "data": [ROW[n]]} for n in ROW
    ]
    call = call_of(served, {"inputs": inputs}, "oip")
    read = InferenceRequest(call, Limits())
    record = decode(record_of(call, read.rows, read.rows.score(served), None))
    assert record.protocol == "oip"
    assert columns_logged(record.input) == {name: [value] for name, value in ROW.items()}
    protection = Protection(home, "p", "encrypted")
    hidden = decode(record_of(call, read.rows, read.rows.score(served), protection))
    assert b"\xa2c1" not in hidden.input
    assert revealed(hidden, protection) == [ROW]


def test_a_refusal_is_logged_without_rows(served: ServedModel) -> None:
    reasons = [{"row": 0, "column": "steps", "rule": "type:steps"}]
    broken = {"type:steps": 1}
    error = HttpError(422, "contract", "1 row", "correct it", reasons=reasons, broken=broken)
    record = decode(record_of(call_of(served, ROW), None, error, None))
    assert (record.kind, record.status, record.rows, record.input) == ("error", 422, 0, b"")
    assert json.loads(record.output) == {"error": "1 row; correct it", "rules": broken}
