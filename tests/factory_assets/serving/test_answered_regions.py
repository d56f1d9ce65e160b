"""Sets and intervals in answers: over every protocol, in files, in the log and in a pack."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.audit.prediction import describe_prediction
from factory_assets.ml.artifacts.conformal import region_intervals, region_sets
from factory_assets.serving.edge import score as program
from factory_assets.serving.edge.contract import edge_contract
from factory_assets.serving.http import invocations, plain
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.oip import LENGTH, InferenceRequest, metadata
from factory_assets.serving.http.openapi import openapi
from factory_assets.serving.http.records import record_of
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.prediction_log.record import decode
from tests.factory_assets.serving.cases import Deployed, served_by
from tests.factory_assets.serving.http.cases import call_of

pytestmark = pytest.mark.slow

CONTRACT = [
    {"name": "heat", "type": "float64"},
    {"name": "site", "type": "string"},
    {"name": "label", "type": "string"},
    {"name": "wear", "type": "float64"},
]

ROWS = [
    {"heat": heat, "site": site}
    for heat in (-3.0, -0.2, 0.0, 0.3, 4.0)
    for site in ("north", "south", "unseen", None)
]

ID = bytes(15) + b"\1"


def deploy(folder: Path, target: str, **declared: Any) -> Deployed:
    """In the south, heat says less than in the north."""
    chance = np.random.default_rng(1)
    other = {"label": "wear", "wear": "label"}[target]
    lines = ["heat,site,label,wear"]
    for i in range(600):
        heat, south = chance.normal(0, 2), i % 3 == 0
        near = heat + chance.normal(0, 2 if south else 0.5)
        label = ("low", "mid", "high")[int(near > -1) + int(near > 1)]
        lines.append(f"{heat:.4f},{'south' if south else 'north'},{label},{near + heat**2 / 9:.4f}")
    folder.mkdir()
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    spec = {
        "purpose": "test",
        "ingest": {"source": {"files": "data.csv"}, "contract": CONTRACT},
        "split": {"validation": 0.4},
        "train": {
            "target": target,
            "model": {"kind": "linear"},
            "exclude": [other],
            "uncertainty": declared,
        },
    }
    return Deployed(folder, spec)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    folder = tmp_path_factory.mktemp("regions") / "classes"
    return deploy(folder, "label", by="site", abstain=True)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return deploy(tmp_path_factory.mktemp("regions") / "numbers", "wear", by="site")


def ask(deployed: Deployed, *, engine: bool = False) -> Any:
    """Return the plain answers for `ROWS`."""
    served = served_by(deployed)
    call = call_of(served, ROWS)
    rows, several = read_rows(call.body, None if engine else served.decoder, Limits())
    scored = served.score(ROWS) if engine else rows.score(served)
    return json.loads(plain.encode(call, rows, scored, ID, several=several, moved=None))


@pytest.mark.parametrize("engine", [False, True])
def test_plain_answers_have_the_set_and_say_if_they_abstain(
    classes: Deployed, engine: bool
) -> None:
    answer = ask(classes, engine=engine)
    assert answer["coverage"] == 0.9
    found = answer["predictions"]
    assert {len(one["set"]) for one in found} >= {1, 2}
    for one in found:
        assert one["abstained"] == (len(one["set"]) != 1)
        least = min([one["probabilities"][name] for name in one["set"]], default=1)
        others = {*one["probabilities"]} - {*one["set"]}
        assert all(one["probabilities"][name] < least for name in others)


def test_each_group_has_its_own_bound(classes: Deployed, numbers: Deployed) -> None:
    north, south, *unknown = ask(numbers)["predictions"][:4]
    widths = [one["interval"][1] - one["interval"][0] for one in (north, south, *unknown)]
    assert widths[1] > 1.5 * widths[0]
    assert widths[0] < widths[2] < widths[1]
    sizes = [len(one["set"]) for one in ask(classes)["predictions"]]
    assert sum(sizes[1::4]) > sum(sizes[::4])


@pytest.mark.parametrize("engine", [False, True])
def test_intervals_are_around_the_prediction(numbers: Deployed, engine: bool) -> None:
    for one in ask(numbers, engine=engine)["predictions"]:
        low, high = one["interval"]
        assert (low + high) / 2 == pytest.approx(one["prediction"])
        assert "set" not in one


def test_infinite_intervals_are_null_in_json(numbers: Deployed) -> None:
    known = served_by(numbers).model
    assert known.regions
    endless = known.regions.model_copy(update={"bound": None, "groups": ()})
    served = ServedModel("p", 1, replace(known, regions=endless), numbers.home)
    rows, several = read_rows(json.dumps(ROWS[0]).encode(), served.decoder, Limits())
    call, scored = call_of(served, ROWS[0]), rows.score(served)
    answer = json.loads(plain.encode(call, rows, scored, ID, several=several, moved=None))
    assert answer["interval"] == [None, None]
    record = decode(record_of(call, rows, scored, None))
    assert json.loads(record.output)["intervals"] == [[None, None]]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_open_inference_answers_the_same(
    kind: str, binary: bool, request: pytest.FixtureRequest
) -> None:
    deployed = request.getfixturevalue(kind)
    served = served_by(deployed)
    inputs = [
        {"name": "heat", "datatype": "FP64", "shape": [20], "data": [r["heat"] for r in ROWS]},
        {"name": "site", "datatype": "BYTES", "shape": [20], "data": [r["site"] for r in ROWS]},
    ]
    body = {"inputs": inputs, "parameters": {"binary_data_output": binary}}
    call = call_of(served, body, "oip")
    asked = InferenceRequest(call, Limits())
    content, headers = asked.encode(call, asked.rows.score(served), ID)
    found = tensors(content, headers)
    assert [*found] == [output["name"] for output in metadata(served, [served])["outputs"]]
    plainly = ask(deployed)["predictions"]
    if kind == "numbers":
        assert found["interval"] == [one["interval"] for one in plainly]
        return
    names = served.model.classes
    sets = [[name for name, is_in in zip(names, row, strict=True) if is_in] for row in found["set"]]
    assert sets == [one["set"] for one in plainly]
    assert found["abstained"] == [one["abstained"] for one in plainly]


def tensors(content: bytes, headers: dict[bytes, bytes]) -> dict[str, Any]:
    """Return the outputs of an answer as nested lists."""
    length = int(headers.get(LENGTH, b"0")) or len(content)
    raw, found = content[length:], {}
    for output in json.loads(content[:length])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        part, raw = raw[:size], raw[size:]
        if output["datatype"] == "BYTES":
            values: Any = output.get("data")
        else:
            dtype = {"BOOL": "?", "FP64": "<f8"}[output["datatype"]]
            cells = np.frombuffer(part, dtype) if size else np.array(output["data"])
            values = cells.reshape(output["shape"]).tolist()
        found[output["name"]] = values
    return found


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_mlflow_s_protocol_answers_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    deployed = request.getfixturevalue(kind)
    served = served_by(deployed)
    call = call_of(served, {"dataframe_records": ROWS}, "mlflow")
    scored = invocations.read(call, Limits()).score(served)
    answer, plainly = json.loads(invocations.encode(call, scored, ID)), ask(deployed)["predictions"]
    if kind == "numbers":
        assert answer["intervals"] == [one["interval"] for one in plainly]
    else:
        assert answer["sets"] == [one["set"] for one in plainly]
        assert answer["abstained"] == [one["abstained"] for one in plainly]


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_log_keeps_what_was_answered(kind: str, request: pytest.FixtureRequest) -> None:
    deployed = request.getfixturevalue(kind)
    served = served_by(deployed)
    call = call_of(served, ROWS)
    rows, _ = read_rows(call.body, served.decoder, Limits())
    record = decode(record_of(call, rows, rows.score(served), None))
    for number, one in enumerate(ask(deployed)["predictions"]):
        said = describe_prediction("id", record, number, None).output
        expected = {name: value for name, value in one.items() if name != "id"}
        if kind == "classes":
            assert said.pop("probabilities") == [*expected.pop("probabilities").values()]
        assert said == expected


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_scored_file_has_them_as_columns_and_logs_them(
    kind: str, request: pytest.FixtureRequest
) -> None:
    deployed = request.getfixturevalue(kind)
    lines = [f"{row['heat']},{row['site'] or ''}" for row in ROWS]
    found = deployed.predict("new.csv", "\n".join(["heat,site", *lines, "x,north"]) + "\n")
    plainly = ask(deployed)["predictions"]
    *scored, refused = found
    if kind == "numbers":
        assert [[row["low"], row["high"]] for row in scored] == [p["interval"] for p in plainly]
        assert refused["low"] is None
    else:
        names = ("high", "low", "mid")
        sets = [[name for name in names if row[f"set_{name}"]] for row in scored]
        assert sets == [sorted(one["set"]) for one in plainly]
        assert [row["abstained"] for row in scored] == [one["abstained"] for one in plainly]
        assert refused["abstained"] is None
    assert [*found[0]][-2:] == ["reason", "id"]
    said = _logged(deployed, scored[2]["id"])
    assert (
        said.items()
        >= {
            name: value for name, value in plainly[2].items() if name in ("set", "interval")
        }.items()
    )


def _logged(deployed: Deployed, identifier: str) -> dict[str, Any]:
    from factory_assets.audit.trace.answer.finding import find_answer

    return find_answer(identifier, deployed.home).prediction.output


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_pack_answers_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    deployed = request.getfixturevalue(kind)
    served = served_by(deployed)
    packed = _packed(served)
    for row, one in zip(ROWS, ask(deployed)["predictions"], strict=True):
        outputs = [*one.get("probabilities", {"": one["prediction"]}).values()]
        answer = packed(outputs, {"heat": row["heat"], "site": row["site"] or ""})
        assert {**answer, "id": one["id"]} == one


def _packed(served: ServedModel) -> Callable[[list[float], dict[str, Any]], dict[str, Any]]:
    """Return what the program of a pack makes of the outputs of a row."""
    model = object.__new__(program.Model)
    model.contract = json.loads(json.dumps(edge_contract("p", served.model)))
    return model._answer


def test_the_description_of_the_server_names_them(classes: Deployed, numbers: Deployed) -> None:
    described = openapi({"one": served_by(classes), "two": served_by(numbers)})
    schemas = described["components"]["schemas"]
    assert schemas["one.answer"]["properties"].keys() >= {"coverage", "set", "abstained"}
    assert schemas["two.answer"]["properties"].keys() >= {"coverage", "interval"}
    assert "set" not in schemas["two.answer"]["properties"]


def test_each_class_can_have_its_own_bound(tmp_path: Path) -> None:
    deployed = deploy(tmp_path / "by_class", "label", by="label")
    served = served_by(deployed)
    bounds = served.model.regions
    assert bounds
    assert [one.group for one in bounds.groups] == [*served.model.classes]
    assert len({one.bound for one in bounds.groups}) == 3
    for one in ask(deployed)["predictions"]:
        outputs = np.array([[*one["probabilities"].values()]])
        [expected] = region_sets(bounds, outputs, None)
        assert one["set"] == np.array(served.model.classes)[expected].tolist()
        assert "abstained" not in one
        assert _packed(served)(outputs[0].tolist(), {})["set"] == one["set"]


def test_the_exported_graph_carries_the_bounds_of_the_model(numbers: Deployed) -> None:
    served = served_by(numbers)
    bounds = served.model.regions
    assert bounds
    assert len(bounds.scales) == 5
    answers = ask(numbers)["predictions"]
    outputs = np.array([one["prediction"] for one in answers])
    groups = np.array([row["site"] or "" for row in ROWS], dtype=object)
    expected = region_intervals(bounds, outputs, groups).tolist()
    assert [one["interval"] for one in answers] == expected
