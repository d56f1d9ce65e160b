"""Rows bring declared keys into the log, the same from a file and from a request."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.serving.batch import predict
from factory_assets.serving.edge.contract import edge_contract
from factory_assets.serving.feedback import keys
from factory_assets.serving.feedback.table import OutcomeColumns, record_from_table
from factory_assets.serving.http import invocations
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.oip import InferenceRequest
from factory_assets.serving.http.openapi import openapi
from factory_assets.serving.http.records import record_of
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.logged_keys import declared_keys
from factory_assets.serving.online.request_rows import RequestRows
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import PipelineSpec
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.protection import Protection
from factory_resources.prediction_log.record import decode, encode
from tests.factory_assets.serving.cases import Deployed
from tests.factory_assets.serving.feedback.conftest import copied
from tests.factory_assets.serving.http.cases import call_of
from tests.factory_resources.prediction_log.samples import record
from tests.pipelines import declare

SPEC: dict[str, Any] = {
    "purpose": "test",
    "ingest": {
        "source": {"files": "rows.csv"},
        "contract": [
            {"name": "case", "from": "Case No", "type": "int64", "range": [1000, 1100]},
            {"name": "ward", "type": "string", "missing": ["-"]},
            {"name": "patient", "type": "string", "sensitive": "personal"},
            {"name": "size", "type": "float64", "range": [0, 10]},
            {"name": "label", "type": "string"},
        ],
    },
    "train": {
        "target": "label",
        "exclude": ["case", "ward", "patient"],
        "seed": 3,
        "model": {"kind": "linear"},
    },
    "deploy": {"log": {"keys": ["case", "ward", "patient"]}},
}


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A model that reads `size` alone."""
    folder = tmp_path_factory.mktemp("keyed")
    lines = [
        f"{1000 + i % 100},w{i % 3},p{i},{i % 7},{'good' if i % 7 > 3 else 'bad'}"
        for i in range(200)
    ]
    (folder / "rows.csv").write_text("\n".join(["Case No,ward,patient,size,label", *lines]) + "\n")
    return Deployed(folder, SPEC)


@pytest.fixture
def home(keyed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of its own, whose pipeline is declared."""
    declare(tmp_path / "defs" / "p", SPEC)
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    return copied(keyed, tmp_path / "home")


def served_in(home: Home) -> ServedModel:
    version, model = load_champion("p", home)
    return ServedModel("p", version, model, home, keys=declared_keys(declared(SPEC)))


def declared(spec: Mapping[str, Any]) -> PipelineSpec:
    return PipelineSpec.model_validate(spec)


def scored(keyed: Deployed, home: Home, content: str) -> pa.Table:
    file = home.path.parent / "new.csv"
    file.write_text(content)
    return predict(keyed.pipeline, file, home)


def logged(home: Home, table: pa.Table) -> list[Mapping[str, Any]]:
    """Return the logged rows of a scored file."""
    with PredictionLog(home) as log:
        found = log.find(table["id"][0].as_py())
    assert found
    return logged_rows(found.record)


def requested(served: ServedModel, home: Home, way: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return the predictions and the logged rows of a request."""
    given: RequestRows
    if way in {"compiled", "engine"}:
        call = call_of(served, rows)
        given, _ = read_rows(call.body, served.decoder if way == "compiled" else None, Limits())
    elif way == "mlflow":
        call = call_of(served, {"dataframe_records": rows}, "mlflow")
        given = invocations.read(call, Limits())
    else:
        tensors = [
            {"name": name, "shape": [len(rows)], "data": [row[name] for row in rows]}
            | {"datatype": {float: "FP64", int: "INT64", str: "BYTES"}[type(rows[0][name])]}
            for name in rows[0]
        ]
        call = call_of(served, {"inputs": tensors}, "oip")
        given = InferenceRequest(call, Limits()).rows
    compiled = way in {"compiled", "oip"}
    result = given.score(served) if compiled else served.score(given.objects())
    record = decode(record_of(call, given, result, served.protection))
    return json.loads(record.output)["predictions"], logged_rows(record)


ROWS = [
    {"size": 2.0, "Case No": 1003, "ward": "007", "patient": "p3"},
    {"size": 6.0, "Case No": 99, "ward": "w1", "patient": "p4"},
]


@pytest.mark.parametrize("way", ["compiled", "engine", "mlflow", "oip"])
def test_a_file_and_a_request_log_the_same_keys(way: str, keyed: Deployed, home: Home) -> None:
    text = "size,Case No,ward,patient\n2.0,1003, 007 ,p3\n6.0,99,w1,p4\n11,1004,w2,p5\n"
    table = scored(keyed, home, text)
    assert table.column_names[:4] == ["_row", "case", "ward", "model"]
    assert table["case"].to_pylist() == [1003, 99, 1004]
    assert table["ward"].to_pylist() == ["007", "w1", "w2"]
    assert table["reason"].to_pylist() == [None, None, "range:size"]
    of_file = logged(home, table)
    assert of_file[2] == dict.fromkeys(ROWS[0])
    predicted, of_request = requested(served_in(home), home, way, ROWS)
    assert predicted == table["prediction"].to_pylist()[:2]
    assert [*map(dict, of_request)] == [*map(dict, of_file[:2])]
    assert of_request[0]["Case No"] == 1003
    assert of_request[0]["patient"].keys() == {"commitment"}


def test_an_input_that_was_declared_sensitive_since_the_training_is_hidden(
    keyed: Deployed, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = deepcopy(SPEC)
    changed["ingest"]["contract"][3]["sensitive"] = "personal"
    declare(tmp_path / "defs" / "p", changed)
    [of_file] = logged(home, scored(keyed, home, "size\n2.0\n"))
    assert of_file["size"].keys() == {"commitment"}
    champions = Champions(home, ["p"])
    champions.refresh()
    served = champions.get("p")
    _, [of_request] = requested(served, home, "compiled", [{"size": 2.0}])
    assert of_request["size"].keys() == {"commitment"}
    [size] = edge_contract("p", served.model)["columns"]
    assert size["sensitive"]
    champions.close()


@pytest.mark.parametrize("way", ["compiled", "engine", "mlflow"])
def test_a_key_that_is_absent_or_missing_is_not_logged(
    way: str, keyed: Deployed, home: Home
) -> None:
    served = served_in(home)
    rows: list[dict[str, Any]] = [
        {"size": 2.0},
        {"size": 2.0, "ward": " - ", "Case No": None, "patient": ""},
    ]
    predicted, found = requested(served, home, way, rows)
    assert [*map(dict, found)] == [{"size": 2.0}] * 2
    table = scored(keyed, home, "size,ward\n2,-\n2,w1\n")
    assert table.column_names[:3] == ["_row", "ward", "model"]
    assert [*map(dict, logged(home, table))] == [
        {"size": 2.0, "ward": None},
        {"size": 2.0, "ward": "w1"},
    ]
    assert predicted == table["prediction"].to_pylist()


@pytest.mark.parametrize("way", ["compiled", "engine"])
@pytest.mark.parametrize(
    ("case", "kept"),
    [
        (1003.0, 1003),
        ("1003", 1003),
        ("A-7", "A-7"),
        (True, "true"),
        ({"commitment": "x"}, '{"commitment":"x"}'),
        (10**30, str(10**30)),
        ([], "[]"),
    ],
)
def test_a_request_may_bring_any_key(way: str, case: Any, kept: Any, home: Home) -> None:
    _, [row] = requested(served_in(home), home, way, [{"size": 2.0, "Case No": case}])
    assert row == {"size": 2.0, "Case No": kept}


def test_keys_are_described_and_not_required(home: Home) -> None:
    schema = openapi({"p": served_in(home)})["components"]["schemas"]["p.row"]
    assert {*schema["properties"]} == {"size", "Case No", "ward", "patient"}
    assert schema["required"] == ["size"]


def outcomes(home: Home) -> dict[str, str]:
    with open_outcomes(home) as store:
        return {ids.text(one.id): json.loads(one.value) for one in store.current("p")}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("Case No", ["1003", "99"]),
        ("Case No", [1003, 99.0]),
        ("ward", ["007", "w1"]),
        ("patient", ["p3", "p4"]),
    ],
)
def test_outcomes_find_their_answers_by_a_key(
    key: str, values: list[Any], keyed: Deployed, home: Home
) -> None:
    table = scored(keyed, home, "size,Case No,ward,patient\n2,1003,007,p3\n6,99,w1,p4\n2,5,w5,p5\n")
    first, second, _ = table["id"].to_pylist()
    sent = pa.table(
        {key: values if key != "Case No" else pa.array(values), "outcome": ["bad", "good"]}
    )
    counts = record_from_table("p", sent, home, columns=OutcomeColumns(key=key))
    assert (counts.recorded, counts.later) == (2, 0)
    assert outcomes(home) == {first: "bad", second: "good"}


def test_encrypted_keys_find_their_answers(keyed: Deployed, home: Home, tmp_path: Path) -> None:
    declare(
        tmp_path / "defs" / "p",
        {**SPEC, "deploy": {"log": {**SPEC["deploy"]["log"], "sensitive": "encrypt"}}},
    )
    table = scored(keyed, home, "size,patient\n2,p3\n6,p4\n")
    [row, _] = logged(home, table)
    assert row["patient"].keys() == {"encrypted"}
    sent = pa.table({"patient": ["p4"], "outcome": ["good"]})
    record_from_table("p", sent, home, columns=OutcomeColumns(key="patient"))
    assert outcomes(home) == {table["id"][1].as_py(): "good"}


def test_a_key_of_several_answers_says_so(keyed: Deployed, home: Home) -> None:
    scored(keyed, home, "size,ward\n2,w1\n")
    latest = scored(keyed, home, "size,ward\n6,w1\n2,w2\n3,w2\n")["id"][0].as_py()
    sent = pa.table({"ward": ["w1", "w2"], "outcome": ["good", "bad"]})
    with pytest.raises(DataError, match="row 2: 2 rows of one request have this value of 'ward'"):
        record_from_table("p", sent, home, columns=OutcomeColumns(key="ward"))
    counts = record_from_table("p", sent.slice(0, 1), home, columns=OutcomeColumns(key="ward"))
    assert (counts.recorded, counts.later) == (1, 1)
    assert outcomes(home) == {latest: "good"}


def test_a_column_that_is_not_logged_is_explained(
    keyed: Deployed, home: Home, tmp_path: Path
) -> None:
    scored(keyed, home, "size\n2\n")
    sent = pa.table({"ward": ["w1"], "outcome": ["good"]})
    with pytest.raises(DataError) as error:
        record_from_table("p", sent, home, columns=OutcomeColumns(key="ward"))
    assert "name one of size, which are logged; send it with the rows" in str(error.value)
    declare(tmp_path / "defs" / "p", {**SPEC, "deploy": {}})
    with pytest.raises(DataError, match=r"declare deploy: \{log: \{keys: \[ward\]\}\}"):
        record_from_table("p", sent, home, columns=OutcomeColumns(key="ward"))


@pytest.mark.parametrize(
    ("wards", "read"), [([[1], None], ["[1]", None]), (["Süd".encode(), b"w2"], ["Süd", "w2"])]
)
def test_a_key_in_a_parquet_file_is_read_whatever_its_type(
    wards: list[Any], read: list[Any], keyed: Deployed, home: Home, tmp_path: Path
) -> None:
    cells = {"size": [2.0, 6.0], "Case No": [1003.0, None], "ward": wards}
    pyarrow.parquet.write_table(pa.table(cells), tmp_path / "new.parquet")
    table = predict(keyed.pipeline, tmp_path / "new.parquet", home)
    assert table["case"].to_pylist() == [1003, None]
    assert table["ward"].to_pylist() == read
    assert [row["Case No"] for row in logged(home, table)] == [1003, None]


def test_a_key_called_as_a_score_is_refused(home: Home, keyed: Deployed) -> None:
    columns = [{"name": "p_good", "from": "Case No"}, *SPEC["ingest"]["contract"][1:]]
    spec = {
        **SPEC,
        "ingest": {**SPEC["ingest"], "contract": columns},
        "train": {**SPEC["train"], "exclude": ["p_good"]},
        "deploy": {"log": {"keys": "p_good"}},
    }
    pipeline = declare(home.path.parent / "defs" / "p", spec)
    (home.path.parent / "new.csv").write_text("size,Case No\n2,1003\n")
    with pytest.raises(DataError, match="the scores have a column 'p_good', as a key has"):
        predict(pipeline, home.path.parent / "new.csv", home)
    with PredictionLog(home) as log:
        assert not log.count_answers("p")


def test_a_key_of_a_month_whose_secret_is_destroyed_is_found_no_more(
    keyed: Deployed, home: Home
) -> None:
    table = scored(keyed, home, "size,patient\n2,p3\n")
    [row] = logged(home, table)
    assert Protection(home, "p", "commitment").matches(
        "p3", row["patient"], ids.time_of(ids.parse(table["id"][0].as_py()))
    )
    [key] = (home.path / "secrets" / "predictions" / "p").glob("*.key")
    key.rename(key.with_suffix(".destroyed"))
    sent = pa.table({"patient": ["p3"], "outcome": ["good"]})
    with pytest.raises(DataError, match="no answer before it was observed has this value"):
        record_from_table("p", sent, home, columns=OutcomeColumns(key="patient"))


@pytest.mark.parametrize("cell", [{"commitment": "5e" * 32}, {"encrypted": "AAAA"}])
def test_a_hidden_key_that_nobody_here_can_read_blocks_no_outcome(
    cell: dict[str, str], keyed: Deployed, home: Home
) -> None:
    is_of_pack = "commitment" in cell
    one = msgspec.structs.replace(
        record(pipeline="p"),
        protocol="edge" if is_of_pack else "plain",
        input=json.dumps([{"size": 2, "patient": cell}]).encode(),
        output=b'{"predictions": ["bad"]}',
    )
    with PredictionLog(home) as log, closing(log.journal()) as journal:
        journal.append(ids.PredictionIds().take(), encode(one))
        journal.flush()
    if not is_of_pack:
        Protection(home, "p", "encrypted").protect("p1", one.time)
    later = scored(keyed, home, "size,patient\n6,p4\n")["id"][0].as_py()
    sent = pa.table({"patient": ["p4"], "outcome": ["good"]})
    record_from_table("p", sent, home, columns=OutcomeColumns(key="patient"))
    assert outcomes(home) == {later: "good"}


def test_a_case_leads_to_all_its_answers(
    keyed: Deployed, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    first = scored(keyed, home, "size,Case No,patient\n2,1003,p3\n6,99,p4\n")["id"].to_pylist()
    later = scored(keyed, home, "size,Case No,patient\n3,1003,p3\n1,1003,p5\n")["id"].to_pylist()

    def find(named: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(main, ["answers", "find", "p", named])
        return done.exit_code, (done.stdout or done.stderr).splitlines()

    code, lines = find("Case No=1003")
    assert code == 0
    assert [line.split()[-1] for line in lines] == [first[0], *later, later[1]]
    given = datetime.strptime(lines[0].split(" UTC ")[0], "%Y-%m-%d %H:%M:%S")
    assert abs(datetime.now(UTC) - given.replace(tzinfo=UTC)) < timedelta(hours=1)
    assert lines[-1] == f"next: factory trace {later[1]}"
    # The contract calls it sensitive: the log has commitments to its values.
    assert [line.split()[-1] for line in find("patient=p3")[1]][:2] == [first[0], later[0]]
    for named, told in [
        ("patient=p9", "no answer about patient = p9 is on record"),
        ("patient", "'patient' does not name a value"),
        ("colour=red", "no logged row has the column 'colour'"),
        ("colour=red", "declare deploy: {log: {keys: [colour]}}"),
        ("case=1003", "patient, size, which are logged; in the source, 'case' is called 'Case No'"),
    ]:
        code, lines = find(named)
        assert (code, len(lines)) == (2, 1)
        assert told in lines[0]


def test_answers_about_a_case_come_in_the_order_of_their_times(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case may be a text in some requests and a number in others."""
    logged = {(False, "7"): [(3, b"c")], (True, "7"): [(1, b"a"), (5, b"e")]}
    monkeypatch.setattr(keys, "_found", lambda *_: logged)
    assert keys.answers_about("p", "case", "7", (), home) == [b"a", b"c", b"e"]
