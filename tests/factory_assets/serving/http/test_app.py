"""What the server answers if tables must be joined to rows, or if something of its own fails."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.serving.http import records
from factory_assets.serving.http.app import PredictionApp, route_of
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.metrics import Metrics
from factory_assets.serving.http.oip import metadata
from factory_assets.serving.http.openapi import row_schema
from factory_assets.serving.online.request_rows import ObjectRequest
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.errors import DatabaseAwayError, StorageError
from tests.factory_assets.serving.cases import Deployed
from tests.factory_assets.serving.http.cases import ROW

pytestmark = pytest.mark.slow

MACHINES = "machine,age\nM0,5\nM1,50\nM2,10\nM3,90\n"


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """A reading fails if its machine is old, which only the joined table says."""
    folder = tmp_path_factory.mktemp("joined")
    (folder / "machines.csv").write_text(MACHINES)
    lines = [f"M{i * 7 % 4},{i % 10}.5,{int(i * 7 % 4 in {1, 3})}" for i in range(240)]
    (folder / "rows.csv").write_text("\n".join(("machine,load,failed", *lines)) + "\n")
    join = {"source": {"files": "machines.csv"}, "on": "machine", "required": True}
    deployed = Deployed(
        folder,
        {
            "purpose": "test",
            "ingest": {
                "source": {"files": "rows.csv"},
                "joins": {"machines": join},
                "contract": [
                    {"name": "load", "type": "float64", "range": [0, 100]},
                    {"name": "age", "type": "float64"},
                    {"name": "failed", "type": "int64"},
                ],
            },
            "clean": {"where": {"light": "load < 50"}},
            "train": {"target": "failed", "model": {"kind": "linear"}},
        },
    )
    version, model = load_champion("p", deployed.home)
    served = ServedModel("p", version, model, deployed.home, lambda _: deployed.pipeline)
    yield served
    served.close()


@pytest.fixture
def machines(joined: ServedModel) -> Path:
    """The joined table, as it was in training."""
    file = joined._declared("p").folder / "machines.csv"  # type: ignore[misc]
    file.write_text(MACHINES)
    return file


def ask(
    served: ServedModel,
    path: str,
    body: Any,
    query: str = "",
    full: StorageError | None = None,
) -> tuple[int, Any]:
    """Return status and content of the reply to a request.

    Args:
        full: why nothing can be logged.
    """
    champions: Any = SimpleNamespace(
        served={"p": served},
        get=lambda *_, **__: served,
        trial=lambda _: None,
        require_not_stopped=lambda _: None,
    )

    async def write(*_: object) -> None:
        if full:
            raise full

    access: Any = SimpleNamespace(
        require_origin=lambda *_: None,
        caller=lambda *_, **__: "",
    )
    unused: Any = None
    log: Any = SimpleNamespace(write=write)
    app = PredictionApp(champions, log, access, Metrics(), Limits(), unused, unused, unused)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    async def answer() -> None:
        scope = {"path": path, "method": "POST", "headers": [], "state": {"peer": None}}
        await app({**scope, "query_string": query.encode()}, receive, send)

    asyncio.run(answer())
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize(
    "path",
    ["/predict/", "/v2/models//infer", "/v2/models//versions/1/infer", "/models//invocations"],
)
def test_an_address_that_lacks_the_name_of_a_pipeline_asks_for_none(path: str) -> None:
    assert route_of(path) is None


@pytest.mark.parametrize("content", [None, MACHINES + "M1,3\n", "maschine,age\n"])
def test_a_joined_table_that_cannot_be_read_is_no_mistake_of_the_caller(
    content: str | None,
    joined: ServedModel,
    machines: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    machines.unlink()
    if content:
        machines.write_text(content)
    with caplog.at_level(logging.ERROR, "factory.serve"):
        status, reply = ask(joined, "/predict/p", [{"machine": "M1", "load": 2.5}])
    assert status == 503
    assert reply == {
        "error": "the tables that are joined to the rows cannot be read; send the joined columns "
        "with the rows; the log of the server says why"
    }
    [record] = caplog.records
    assert "machine" in record.getMessage().removeprefix("no table joined for p: ")


def test_a_request_to_which_tables_are_joined_may_have_any_other_key(
    joined: ServedModel, machines: Path
) -> None:
    status, reply = ask(joined, "/predict/p", {"machine": "M1", "load": 2.5, "": 1})
    assert (status, reply["prediction"]) == (200, "1")
    assert ask(joined, "/predict/p", {"machine": "M1"})[0] == 422


def test_the_log_has_what_was_joined(joined: ServedModel, machines: Path) -> None:
    scored = joined.score([{"machine": "M1", "load": 2.5}, {"machine": "M9", "load": 1}])
    assert scored.rows == (0,)
    assert scored.read is not None
    logged = json.loads(ObjectRequest(scored.read).logged(joined))
    assert logged == [{"load": 2.5, "age": 50.0}, {"load": 1}]
    assert joined.score([{"load": 2.5, "age": 30}]).read is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict/p", lambda rows: rows),
        ("/invocations", lambda rows: {"instances": rows}),
        ("/v2/models/p/infer", lambda rows: {"inputs": [*map(tensor, ROW, rows[0].values())]}),
    ],
)
def test_the_sensitive_values_of_many_rows_are_hidden_while_others_are_answered(
    path: str, body: Any, served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = list[threading.Thread]()

    def protect(value: object, time: int) -> dict[str, str]:
        threads.append(threading.current_thread())
        return {"commitment": "0"}

    monkeypatch.setattr(served, "protection", SimpleNamespace(protect=protect))
    status, _ = ask(served, path, body([ROW] * MANY))
    assert (status, len(threads)) == (200, MANY)
    assert threading.current_thread() not in threads


MANY = 2_000


def tensor(name: str, value: Any) -> dict[str, Any]:
    kinds = {float: "FP64", int: "INT64", str: "BYTES", bool: "BOOL"}
    kind = kinds[type(value)]
    return {"name": name, "shape": [MANY], "datatype": kind, "data": [value] * MANY}


def test_an_answer_is_not_given_that_nobody_could_verify(
    joined: ServedModel, machines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LARGEST_RECORD", 1_000)
    row = {"machine": "M1", "load": 2.5}
    assert ask(joined, "/predict/p", [row])[0] == 200
    status, reply = ask(joined, "/predict/p", [row] * 30)
    assert (status, reply["error"].split(" rows")[0]) == (413, "30")
    assert "send fewer rows at once, for at most 1,000 bytes" in reply["error"]


def test_a_caller_is_not_told_where_the_log_lies(joined: ServedModel) -> None:
    full = StorageError("cannot write", where="/srv/home/predictions", remedy="free space")
    status, reply = ask(joined, "/predict/p", {"age": 50, "load": 2.5}, full=full)
    assert (status, reply) == (
        503,
        {"error": "cannot write; free space if a disk is full; the log of the server says where"},
    )
    away = DatabaseAwayError("server on socket /run/x: no such file", remedy="check the server")
    status, reply = ask(joined, "/predict/p", {"age": 50, "load": 2.5}, full=away)
    told = "the database cannot be used; try again; the log of the server says why"
    assert (status, reply) == (503, {"error": told})


@pytest.mark.parametrize(
    ("row", "rule", "column"),
    [
        ({"machine": "M9", "load": 2.5}, "join:machines", None),
        ({"machine": "M1", "load": 101}, "range:load", "load"),
        ({"machine": "M1", "load": 60}, "light", None),
    ],
)
def test_a_request_of_bad_rows_alone_gets_the_reasons(
    row: dict[str, Any], rule: str, column: str | None, joined: ServedModel, machines: Path
) -> None:
    status, reply = ask(joined, "/predict/p", [row])
    assert status == 422
    [reason] = reply["reasons"]
    assert (reason["row"], reason["rule"], reason.get("column")) == (0, rule, column)
    status, partial = ask(joined, "/predict/p", [row, row], "partial=true")
    assert status == 200
    assert [one["prediction"] for one in partial["predictions"]] == [None, None]
    assert partial["predictions"][0]["reasons"] == [reason]
    status, reply = ask(joined, "/predict/p", [row, row], "partail=true")
    line = "parameter 'partail' is unknown; valid: explain, partial"
    assert (status, reply["error"]) == (400, line)


def test_the_key_of_a_join_is_an_input(joined: ServedModel, machines: Path) -> None:
    inputs = metadata(joined, [joined])["inputs"]
    assert [(one["name"], one["datatype"]) for one in inputs] == [
        ("machine", "BYTES"),
        ("load", "FP64"),
        ("age", "FP64"),
    ]
    assert row_schema(joined)["required"] == []
    tensors = [
        {"name": "machine", "datatype": "BYTES", "shape": [2], "data": ["M1", "M0"]},
        {"name": "load", "datatype": "FP64", "shape": [2], "data": [2.5, 2.5]},
    ]
    status, reply = ask(joined, "/v2/models/p/infer", {"inputs": tensors})
    assert status == 200
    assert reply["outputs"][0]["data"] == ["1", "0"]
