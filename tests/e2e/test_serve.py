"""`factory serve` as a process: its three protocols by unchanged clients, and what it refuses."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.serving_acts import change_serving, roll_back
from factory_resources.home.home import PROJECT
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.security.tokens import Tokens
from tests.approvals import Factory
from tests.serving import SOON, PredictionServer, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

VERIFIER = str(PROJECT / "factory_resources" / "ledger" / "factory_verify.py")

ROW = {"size": 3.5, "colour": "red"}


@pytest.fixture(scope="module")
def server(made: Factory) -> Iterator[PredictionServer]:
    with serving(made.home.path, code=SOON) as running:
        yield running


def in_file(made: Factory, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from factory_assets.serving.batch import predict

    file = made.root / "asked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: list[dict[str, Any]] = predict(
        load_pipeline(made.defs / "apples"), file, made.home
    ).to_pylist()
    return found


ROWS = [{"size": 0.5 + i / 3, "colour": ("red", "green")[i % 2]} for i in range(20)]


def test_one_row_gets_one_answer(server: PredictionServer, made: Factory) -> None:
    reply = server.ask("/predict/apples", ROW)
    assert reply.status == 200
    [row] = in_file(made, [ROW])
    answer = reply.json
    assert answer["pipeline"] == "apples"
    assert answer["version"] == 2
    assert answer["prediction"] == row["prediction"]
    assert answer["probabilities"] == {"bad": row["p_bad"], "good": row["p_good"]}


def test_several_rows_get_answers_in_their_order(server: PredictionServer, made: Factory) -> None:
    answer = server.ask("/predict/apples", ROWS).json
    for got, row in zip(answer["predictions"], in_file(made, ROWS), strict=True):
        assert got["prediction"] == row["prediction"]
        assert got["probabilities"]["good"] == row["p_good"]
    identifiers = [got["id"] for got in answer["predictions"]]
    assert sorted(set(identifiers)) == identifiers


def test_an_explanation_is_given_if_it_is_asked_for(server: PredictionServer) -> None:
    answer = server.ask("/predict/apples?explain=true", ROW).json
    assert {one["input"] for one in answer["moved_by"]} <= {"size", "colour"}
    assert answer["moved_by"][0]["change"]
    assert "moved_by" not in server.ask("/predict/apples?explain=false", ROW).json


def test_a_wrong_row_is_named_with_column_value_rule_and_remedy(server: PredictionServer) -> None:
    reply = server.ask("/predict/apples", [ROW, {"size": "big", "colour": "red"}])
    assert reply.status == 422
    [reason] = reply.json["reasons"]
    assert reason == {
        "row": 1,
        "column": "size",
        "rule": "type:size",
        "value": "big",
        "remedy": "send a value of type float64",
    }
    rule = server.ask("/predict/apples", {"size": -1, "colour": "red"})
    assert rule.json["reasons"][0]["rule"] == "positive"
    assert "size > 0" in rule.json["reasons"][0]["remedy"]


def test_other_rows_are_answered_if_the_request_says_so(server: PredictionServer) -> None:
    rows = [ROW, {"size": "big", "colour": "red"}, ROW]
    answer = server.ask("/predict/apples?partial=true", rows).json["predictions"]
    assert answer[0]["prediction"] == answer[2]["prediction"] is not None
    assert answer[1]["prediction"] is None
    assert answer[1]["reasons"][0]["column"] == "size"
    assert answer[1]["id"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/predict/pears", b"{}", 404, "pipelines served: apples"),
        ("/predict/apples", b"", 400, "the body is empty"),
        ("/predict/apples", b"{", 400, "not JSON"),
        ("/predict/apples", b"[]", 400, "no row"),
        ("/predict/apples", b"[1]", 400, "not a row"),
        ("/predict/apples", b'"text"', 400, "not a row"),
        ("/predict/apples", b'{"size": NaN}', 400, "not JSON"),
        ("/predict/apples", b'{"size": "\xff"}', 400, "not JSON"),
        ("/predict/apples", b"[" * 100_000, 400, "nested"),
        ("/predict/apples", b'{"size": 1}', 422, "'colour'"),
        ("/predict/apples?partial=maybe", b'{"size": 1, "colour": "red"}', 400, "true or false"),
        ("/predict/apples", b"[" + b"{}," * 10_000 + b"{}]", 413, "at most 10,000"),
        ("/predict/apples", b" " * (5 << 20), 413, "4,194,304 bytes"),
        ("/invocations", b"{}", 400, "dataframe_split"),
        ("/invocations", b'{"inputs": [], "instances": []}', 400, "2 of the known keys"),
        ("/v2/models/apples/infer", b"{}", 400, "inputs"),
        ("/v2/models/apples/versions/1/infer", b"{}", 404, "version 2 is"),
    ],
    ids=range(17),
)
def test_a_wrong_request_gets_one_line_that_says_what_to_do(
    path: str, body: bytes, status: int, words: str, server: PredictionServer
) -> None:
    reply = server.ask(path, body)
    assert reply.status == status, reply.body
    line = reply.json.get("error") or reply.json["message"]
    assert words in line
    assert "\n" not in line


def tensors(rows: list[dict[str, Any]], *, binary: bool, kind: str = "FP64") -> list[Any]:
    size = triton.InferInput("size", [len(rows)], kind)
    dtype = {"FP64": np.float64, "FP32": np.float32}[kind]
    size.set_data_from_numpy(np.array([r["size"] for r in rows], dtype=dtype), binary_data=binary)
    colour = triton.InferInput("colour", [len(rows), 1], "BYTES")
    cells = np.array([[r["colour"].encode()] for r in rows], dtype=object)
    colour.set_data_from_numpy(cells, binary_data=binary)
    return [size, colour]


@pytest.mark.parametrize("binary", [False, True])
def test_an_unchanged_client_of_the_open_inference_protocol(
    binary: bool, server: PredictionServer, made: Factory
) -> None:
    client = triton.InferenceServerClient(server.address)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("apples")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    described = client.get_model_metadata("apples")
    assert [entry["name"] for entry in described["inputs"]] == ["size", "colour"]
    wanted = [
        triton.InferRequestedOutput(name, binary_data=binary)
        for name in ("prediction", "probabilities")
    ]
    result = client.infer(
        "apples",
        tensors(ROWS, binary=binary),
        model_version="2",
        outputs=wanted,
        request_id="mine",
    )
    rows = in_file(made, ROWS)
    shares = result.as_numpy("probabilities")
    assert shares.tolist() == [[row["p_bad"], row["p_good"]] for row in rows]
    words = [w.decode() if isinstance(w, bytes) else w for w in result.as_numpy("prediction")]
    assert words == [row["prediction"] for row in rows]
    assert result.get_response()["id"] == "mine"
    narrow = client.infer("apples", tensors(ROWS[:3], binary=binary, kind="FP32"))
    assert narrow.as_numpy("probabilities").shape == (3, 2)
    client.close()


def test_a_wrong_inference_request_is_an_error_and_no_empty_answer(
    server: PredictionServer,
) -> None:
    client = triton.InferenceServerClient(server.address)
    good = tensors(ROWS, binary=True)
    with pytest.raises(InferenceServerException, match="there is no output 'score'"):
        client.infer("apples", good, outputs=[triton.InferRequestedOutput("score")])
    with pytest.raises(InferenceServerException, match="version 2 is"):
        client.infer("apples", good, model_version="7")
    with pytest.raises(InferenceServerException, match="no pipeline 'pears'"):
        client.infer("pears", good)
    other = triton.InferInput("weight", [20], "FP64")
    other.set_data_from_numpy(np.zeros(20))
    with pytest.raises(InferenceServerException, match="'weight' is not an input"):
        client.infer("apples", [*good, other])
    with pytest.raises(InferenceServerException, match="2 rows, the first one 20"):
        client.infer("apples", [good[0], tensors(ROWS[:2], binary=True)[1]])
    with pytest.raises(InferenceServerException, match="there is no column 'colour'"):
        client.infer("apples", good[:1])
    with pytest.raises(InferenceServerException, match="break the contract"):
        client.infer("apples", tensors([{"size": -5.0, "colour": "red"}], binary=True))
    client.close()


def test_bodies_of_mlflow(server: PredictionServer, made: Factory) -> None:
    rows = in_file(made, ROWS)
    words = [row["prediction"] for row in rows]
    names = ["size", "colour"]
    cells = [[row[name] for name in names] for row in ROWS]
    bodies = [
        {"dataframe_split": {"columns": names, "data": cells}},
        {"dataframe_records": ROWS},
        {"inputs": {name: [row[name] for row in ROWS] for name in names}},
    ]
    for path in ("/invocations", "/models/apples/invocations"):
        for body in bodies:
            answer = server.ask(path, body).json
            assert answer["predictions"] == words
            assert len(answer["prediction_ids"]) == len(ROWS)
    lines = "\n".join(["size,colour", *(f"{r['size']!r},{r['colour']}" for r in ROWS)])
    reply = server.ask("/invocations", lines.encode(), headers={"content-type": "text/csv"})
    assert reply.json["predictions"] == words
    assert server.ask("/ping").status == 200
    assert server.ask("/version").body.decode() == pytest.importorskip("mlflow").__version__


def test_the_client_code_of_mlflow_is_answered(server: PredictionServer, made: Factory) -> None:
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", server.port)
    client.wait_server_ready(timeout=10)
    found = client.invoke(pd.DataFrame(ROWS)).get_predictions()
    assert found.iloc[:, 0].tolist() == [row["prediction"] for row in in_file(made, ROWS)]


def test_every_answer_is_in_the_log(server: PredictionServer, made: Factory) -> None:
    several = server.ask("/predict/apples", ROWS).json["predictions"]
    code, text = made.factory("trace", several[7]["id"], "--json")
    assert code == 0, text
    found = json.loads(text)
    assert found["input"] == ROWS[7]
    assert found["output"]["prediction"] == several[7]["prediction"]
    assert found["output"]["probabilities"] == [*several[7]["probabilities"].values()]
    assert (found["pipeline"], found["version"], found["rows"]) == ("apples", 2, 20)
    code, text = made.factory("trace", several[7]["id"][:-2] + "ff")
    assert code == 2
    assert "there is no prediction" in text


def test_a_refused_request_is_in_the_log(server: PredictionServer, made: Factory) -> None:
    before = server.ask("/metrics").body.decode()
    server.ask("/predict/apples", {"size": -1, "colour": "red"})
    after = server.ask("/metrics").body.decode()
    name = 'factory_errors_total{kind="contract",pipeline="apples",role="champion",version="2"}'
    assert count(after, name) == 1 + count(before, name)
    with PredictionLog(made.home) as log:
        logged = dict(log.every("apples", bytes(16)))
    refused = [logged[one] for one in sorted(logged) if logged[one].status == 422]
    assert refused[-1].kind == "error"
    assert b"range:size" in refused[-1].output or b"positive" in refused[-1].output
    assert refused[-1].input == b""


def count(metrics: str, name: str) -> float:
    lines = [line for line in metrics.splitlines() if line.startswith(name)]
    return float(lines[0].split()[-1]) if lines else 0.0


def test_health_documentation_and_metrics(server: PredictionServer) -> None:
    assert server.ask("/predict/apples", ROW).status == 200
    assert server.ask("/healthz").json == {"live": True}
    assert server.ask("/readyz").json["ready"] is True
    described = server.ask("/openapi.json").json
    row = described["components"]["schemas"]["apples.row"]
    assert row["properties"]["size"]["type"] == ["number", "null"]
    page = server.ask("/docs")
    assert "apples, version 2" in page.body.decode()
    address = f"http://{server.address}"
    assert f"curl {address}/predict/apples " in page.body.decode()
    assert "http" not in page.body.decode().replace(address, "")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    metrics = server.ask("/metrics").body.decode()
    assert 'factory_version{pipeline="apples"} 2.0' in metrics
    name = 'factory_requests_total{pipeline="apples",protocol="plain",role="champion",version="2"}'
    assert count(metrics, name) >= 1
    assert abs(count(metrics, 'factory_input_shift{input="size",pipeline="apples"}')) > 0
    assert server.ask("/nothing").status == 404
    assert server.ask("/predict/apples").status in {404, 405}


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}], ids=str
)
def test_a_page_of_another_site_is_refused(
    headers: dict[str, str], server: PredictionServer
) -> None:
    assert server.ask("/predict/apples", ROW, headers=headers).status == 403


def test_a_new_champion_takes_over_and_a_stop_stops_at_once(made: Factory) -> None:
    with serving(made.home.path) as running:
        assert running.ask("/predict/apples", ROW).json["version"] == 2
        assert made.factory("rollback", "apples", "--to", "1", "--reason", "odd")[0] == 0
        wait_until(lambda: running.ask("/predict/apples", ROW).json["version"] == 1)
        assert made.factory("stop", "apples", "--reason", "wrong answers")[0] == 0
        wait_until(lambda: running.ask("/predict/apples", ROW).status == 503)
        reply = running.ask("/predict/apples", ROW)
        assert "was stopped" in reply.json["error"]
        assert "of the ledger" in reply.json["error"]
        assert made.factory("resume", "apples", "--reason", "mended")[0] == 0
        wait_until(lambda: running.ask("/predict/apples", ROW).status == 200)
        assert made.factory("rollback", "apples", "--to", "2", "--reason", "better")[0] == 0
        wait_until(lambda: running.ask("/predict/apples", ROW).json["version"] == 2)


def test_a_stop_does_not_wait_for_requests_that_wait_for_the_engine(made: Factory) -> None:
    code = "from tests.serving_faults import slow_down\nslow_down(2, 1.0)"
    for_the_engine = {**ROW, "size": "3.5"}
    with serving(made.home.path, code=code) as running, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(running.ask, "/predict/apples", for_the_engine) for _ in range(8)]
        wait_until(lambda: any(one.done() for one in asked))
        pipeline = load_pipeline(made.defs / "apples")
        change_serving(pipeline, "stopped", "wrong answers", None, made.home)
        statuses = [one.result().status for one in asked]
        change_serving(pipeline, "resumed", "mended", None, made.home)
    assert statuses.count(503) >= 5


def test_a_changed_graph_is_not_served_and_the_old_one_goes_on(made: Factory) -> None:
    [graph] = [
        path
        for path in made.home.artifacts.glob("apples/*/artifacts/onnx/model.onnx")
        if path.parent.parent.parent.name == run_of(made, 1)
    ]
    content = graph.read_bytes()
    with serving(made.home.path) as running:
        graph.chmod(0o600)
        roll_back(load_pipeline(made.defs / "apples"), 1, "a test", None, made.home)
        graph.write_bytes(content + b"x")
        try:
            # The file may have been loaded before it was changed: let it be loaded again.
            with serving(made.home.path) as other:
                assert other.ask("/predict/apples", ROW).status == 503
                assert other.ask("/readyz").status == 503
                assert "SHA-256 differs" in other.ask("/readyz").json["faults"]["apples"]
            assert running.ask("/predict/apples", ROW).status == 200
        finally:
            graph.write_bytes(content)
            roll_back(load_pipeline(made.defs / "apples"), 2, "a test", None, made.home)


def run_of(made: Factory, version: int) -> str:
    from factory_resources.tracking.registry import Registry

    return Registry(made.home).version("apples", version).run_id


def test_tokens(made: Factory) -> None:
    code, text = made.factory("token", "new", "--for", "line1", "--pipelines", "apples")
    assert code == 0
    token = text.strip()
    assert token not in (made.home.path / "secrets" / "tokens.json").read_text()
    try:
        with serving(made.home.path) as running:
            assert running.ask("/predict/apples", ROW).status == 401
            assert running.ask("/docs").status == 401
            assert running.ask("/healthz").status == 200
            bearer = {"authorization": f"Bearer {token}"}
            reply = running.ask("/predict/apples", ROW, headers=bearer)
            assert reply.status == 200
            found = json.loads(made.factory("trace", reply.json["id"], "--json")[1])
            assert found["caller"] == "line1"
            other = Tokens(made.home).new("line2", ["pears"], valid=timedelta(days=1))
            for path, status in {"/predict/pears": 404, "/invocations": 403}.items():
                headers = {"authorization": f"Bearer {other}"}
                refused = running.ask(path, ROW, headers=headers)
                assert refused.status == status
                assert b"apples" not in refused.body
            assert made.factory("token", "revoke", "line2")[0] == 0
            wrong = {"authorization": f"Bearer {token}x"}
            assert running.ask("/predict/apples", ROW, headers=wrong).status == 401
            assert made.factory("token", "revoke", "line1")[0] == 0
            # Nobody has a valid token any more, but the file exists: nothing is open again.
            assert running.ask("/predict/apples", ROW, headers=bearer).status == 401
    finally:
        (made.home.path / "secrets" / "tokens.json").unlink()


def test_a_token_is_valid_for_some_time(made: Factory) -> None:
    arguments = ("--for", "line1", "--pipelines", "apples", "--valid", "0d")
    code, told = made.factory("token", "new", *arguments)
    assert (code, told) == (2, "error: a token cannot be valid for 0d; write a time such as 30d\n")
    assert not (made.home.path / "secrets" / "tokens.json").exists()


def test_a_token_has_a_rate(made: Factory) -> None:
    arguments = ("--for", "slow", "--pipelines", "apples, apples", "--rate", "2")
    token = made.factory("token", "new", *arguments)[1].strip()
    assert [one.pipelines for one in Tokens(made.home).list()] == [("apples",)]
    bearer = {"authorization": f"Bearer {token}"}
    try:
        with serving(made.home.path) as running:
            replies = [running.ask("/predict/apples", ROW, headers=bearer) for _ in range(12)]
            refused = [reply for reply in replies if reply.status == 429]
            assert refused
            assert int(refused[0].headers["retry-after"]) >= 1
    finally:
        (made.home.path / "secrets" / "tokens.json").unlink()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "it needs a token"),
        (["--behind-proxy"], "from other machines through the proxy; it needs a token"),
        (["pears"], "'pears' has no champion"),
        (["--tls-cert", "a.pem"], "belong together"),
        (["--host", "203.0.113.7"], "can be reached"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    arguments: list[str], words: str, made: Factory
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "factory_assets.cli", "serve", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "FACTORY_HOME": str(made.home.path)},
        check=False,
    )
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(made: Factory, server: PredictionServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "factory_assets.cli", "serve", "--port", str(server.port)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "FACTORY_HOME": str(made.home.path)},
        check=False,
    )
    assert done.returncode == 2
    assert f"port {server.port}" in done.stderr


def test_an_interrupted_server_ends_well(made: Factory) -> None:
    folder = made.home.path / "predictions" / "journal"
    before = {*folder.glob("*.open")}
    with serving(made.home.path) as running:
        identifier = running.ask("/predict/apples", ROW).json["id"]
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=20) == 0
    # The server of the other tests goes on; it may have begun another segment.
    assert len({*folder.glob("*.open")}) == len(before)
    assert json.loads(made.factory("trace", identifier, "--json")[1])["version"] == 2


def test_an_answer_is_proven_and_so_is_that_there_was_none(
    server: PredictionServer, made: Factory, tmp_path: Path
) -> None:
    identifier = server.ask("/predict/apples", ROW).json["id"]
    before = UUID(int=UUID(identifier).int - (1 << 20))

    def prove(name: str) -> tuple[int, str]:
        return made.factory("answers", "prove", name, "--out", str(tmp_path / "proof.json"))

    wait_until(lambda: prove(identifier)[0] == 0, seconds=40)
    home = shutil.copytree(made.home.path, tmp_path / "copy")
    told = {identifier: "was answered as the proof says", str(before): "is the id of no answer in"}
    for name, words in told.items():
        code, text = prove(name)
        assert code == 0, text
        done = subprocess.run(
            [sys.executable, VERIFIER, str(home), "--prediction", str(tmp_path / "proof.json")],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert words in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pipeline", "until", "reason", "told"),
    [
        ("apples", "2026-02-30", "x", "'2026-02-30' is not a day"),
        ("apples", "2026-02-01", " ", "the reason has 0 characters"),
        ("aples", "2026-02-01", "x", "'aples' has given no answers; did you mean 'apples'?"),
    ],
)
def test_keys_are_destroyed_of_a_pipeline_that_there_is_and_for_a_reason(
    made: Factory, pipeline: str, until: str, reason: str, told: str
) -> None:
    words = ("answers", "destroy-keys", pipeline, "--until", until, "--reason", reason)
    code, text = made.factory(*words)
    assert code == 2
    assert text.startswith(f"error: {told}")


def test_tls_with_a_certificate_of_ones_own(made: Factory, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    write_certificate(key, certificate)
    with serving(made.home.path, "--tls-cert", str(certificate), "--tls-key", str(key)) as running:
        context = ssl.create_default_context(cafile=str(certificate))
        address = f"https://127.0.0.1:{running.port}/predict/apples"
        request = urllib.request.Request(address, json.dumps(ROW).encode())
        with urllib.request.urlopen(request, context=context, timeout=20) as reply:
            assert json.load(reply)["version"] == 2


def write_certificate(key_file: Path, certificate_file: Path) -> None:
    """Write a certificate for 127.0.0.1 that is signed by its own key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
