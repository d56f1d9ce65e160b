"""Notes that an engineer may write, and what must stay as the factory wrote it."""

import json

import pytest

from factory_assets.web.mlflow.endpoints import WRITES, OperationRefusedError
from factory_assets.web.mlflow.writes import checked_write

BASE = "/ajax-api/2.0/mlflow/"
NOTES = {
    "runs/set-tag": {"run_id": "r", "key": "k", "value": "v"},
    "runs/delete-tag": {"run_id": "r", "key": "k"},
    "experiments/set-experiment-tag": {"experiment_id": "1", "key": "k", "value": "v"},
    "experiments/delete-experiment-tag": {"experiment_id": "1", "key": "k"},
    "registered-models/set-tag": {"name": "m", "key": "k", "value": "v"},
    "registered-models/delete-tag": {"name": "m", "key": "k"},
    "registered-models/update": {"name": "m", "description": "d"},
    "model-versions/set-tag": {"name": "m", "version": "1", "key": "k", "value": "v"},
    "model-versions/delete-tag": {"name": "m", "version": "1", "key": "k"},
    "model-versions/update": {"name": "m", "version": "1", "description": "d"},
}


def test_every_write_on_the_list_has_a_body_here() -> None:
    assert {one.route.removeprefix(BASE) for one in WRITES} == set(NOTES)


@pytest.mark.parametrize("route", NOTES)
def test_a_note_passes_unchanged(route: str) -> None:
    body, about = checked_write(BASE + route, json.dumps(NOTES[route]).encode())
    assert json.loads(body) == NOTES[route]
    assert not any(one.startswith(("value=", "description=")) for one in about)


@pytest.mark.parametrize(
    "key",
    [
        "factory.onnx_sha256",
        "FACTORY.onnx_sha256",
        " factory.gates",
        "dagster.run_id",
        "mlflow.runName",
        "mlflow.prompt.is_prompt",
        "mlflow.user",
        "",
    ],
)
@pytest.mark.parametrize("route", [route for route in NOTES if route.endswith("-tag")])
def test_a_tag_that_software_reads_is_refused(route: str, key: str) -> None:
    body = json.dumps({**NOTES[route], "key": key}).encode()
    with pytest.raises(OperationRefusedError):
        checked_write(BASE + route, body)


def test_the_description_of_a_run_is_a_tag_that_may_be_written() -> None:
    note = {"run_id": "r", "key": "mlflow.note.content", "value": "good"}
    assert json.loads(checked_write(f"{BASE}runs/set-tag", json.dumps(note).encode())[0]) == note


def test_mlflow_reads_the_key_that_was_checked() -> None:
    body = b'{"run_id": "r", "key": "factory.gates", "value": "v", "key": "k"}'
    assert b"factory" not in checked_write(f"{BASE}runs/set-tag", body)[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"{}"',
        b'"{\\"run_id\\": \\"r\\", \\"key\\": \\"k\\", \\"value\\": \\"v\\"}"',
        b'{"run_id": "r", "key": "k", "value": 1}',
        b'{"runId": "r", "key": "k", "value": "v"}',
        b'{"run_id": "r", "key": "k", "value": "v", "status": "FAILED"}',
        b'{"run_id": "r", "key": "k", "value": "' + b"v" * 5_001 + b'"}',
        b"\xff",
    ],
)
def test_another_body_is_refused_in_one_line(body: bytes) -> None:
    with pytest.raises(OperationRefusedError) as refused:
        checked_write(f"{BASE}runs/set-tag", body)
    assert "\n" not in str(refused.value)
