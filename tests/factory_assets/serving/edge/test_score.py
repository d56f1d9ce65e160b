"""A packed model decides about every row as the factory does, or not at all."""

import ast
import base64
import csv
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.serving.edge import score as program
from factory_assets.serving.edge.pack import EdgePack, write_pack
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.errors import ContractError, ExpressionError
from tests.factory_assets.serving.edge.cases import (
    Factory,
    row,
    score,
)
from tests.random_examples import examples

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pack(factory: Factory) -> EdgePack:
    return write_pack("pump", factory.root / "pack", factory.home)


@pytest.fixture(scope="module")
def model(pack: EdgePack) -> Iterator[program.Model]:
    with program.Model(str(pack.folder)) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(factory: Factory) -> Iterator[ServedModel]:
    version, champion = load_champion("pump", factory.home)
    made = ServedModel("pump", version, champion, factory.home)
    yield made
    made.close()


NUMBERS = (
    st.sampled_from([0, -0.0, 0.1, 100.5, 100.6, 2**53, 2**63, -(2**63), 1e308, 5e-324, -1, 40])
    | st.integers(-5, 60)
    | st.floats(-10, 120)
    | st.floats()
)
SPELLINGS = st.sampled_from(
    [
        *("", " ", "n/a", " n/a ", "-1", "-1.0", "1e1", "1E1", "+5", "+-5", "5.", ".5", "5.0"),
        *("05", "0x5", "1_0", "inf", "nan", "12345678901234567", "1e400", "9223372036854775808"),
        *("3.7", "abc", "1,5", "true", "TRUE", "False", "1.0", "red", " red", "RED", "AB-7"),
        *("AB-12345", "ab-7", "A\0B", "é"),
    ]
)
ANY = (
    st.none()
    | st.booleans()
    | NUMBERS
    | SPELLINGS
    | SPELLINGS.map(lambda text: f"\t{text} ")
    | NUMBERS.map(repr)
    | st.text(max_size=5)
    | st.just([1, "\x1f"])
    | st.just({"a": None, "b": 1e-7})
)
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "Size [mm]": st.floats(0.1, 100),
    "starts": st.integers(0, 45) | st.none(),
    "colour": st.sampled_from(["red", "green", None]),
    "code": st.sampled_from(["AB-7", "CD-1"]),
    "owner": st.just("ann"),
    "running": st.booleans() | st.none(),
}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a row that is usual but for some cells."""
    strange = draw(st.sets(st.sampled_from([*USUAL]), max_size=2))
    return {n: draw(ANY if n in strange else usual) for n, usual in USUAL.items()}


def in_factory(served: ServedModel, row: dict[str, Any]) -> Any:
    """Return the outputs of a row, or the rules that it breaks."""
    scored = served.score([row])
    if scored.refusals:
        return [rule for refusal in scored.refusals for rule in refusal.rules]
    return scored.outputs[0].tolist()


def rules_of(answer: dict[str, Any]) -> list[str]:
    return [reason["rule"] for reason in answer.get("reasons", ())]


@settings(max_examples=examples(150))
@given(given_row=rows())
@example(given_row=row(**{"Size [mm]": -1, "starts": 60}))
@example(given_row=row(starts=45, running=False))
@example(given_row=row(starts="1e2"))
@example(given_row=row(code="ab-7"))
@example(given_row=row(code=1.5))
def test_verdicts_and_scores_are_those_of_the_factory(
    given_row: dict[str, Any], model: program.Model, served: ServedModel
) -> None:
    [answer] = model.predict([given_row])
    rules = rules_of(answer)
    if any(rule.startswith("undecided:") for rule in rules):
        return
    try:
        expected = in_factory(served, given_row)
    except (ExpressionError, ContractError) as error:
        raise AssertionError(f"decided, and the factory is not: {error}") from error
    if rules:
        assert rules == expected
    else:
        found = [*answer["probabilities"].values()]
        assert all(math.isclose(*pair, abs_tol=1e-6) for pair in zip(found, expected, strict=True))
        chosen = served.model.classes[int(expected[1] >= served.model.threshold)]
        assert answer["prediction"] == chosen


@pytest.mark.parametrize(
    ("cells", "rules"),
    [
        ({}, []),
        ({"Size [mm]": "12.5"}, []),
        ({"Size [mm]": None}, ["null:size"]),
        ({"Size [mm]": "n/a"}, ["null:size"]),
        ({"Size [mm]": 101}, ["range:size"]),
        ({"Size [mm]": "wide"}, ["type:size"]),
        ({"Size [mm]": 0}, ["positive"]),
        ({"starts": -1}, []),
        ({"starts": 2.5}, ["type:starts"]),
        ({"starts": 45, "running": False}, ["rare"]),
        ({"starts": 45, "running": True}, []),
        ({"colour": "pink", "code": "x"}, ["values:colour", "length:code", "pattern:code"]),
        ({"colour": "green", "code": "ÄB-1"}, ["pattern:code"]),
    ],
)
def test_a_row_gets_its_reasons(
    cells: dict[str, Any], rules: list[str], model: program.Model, served: ServedModel
) -> None:
    [answer] = model.predict([row(**cells)])
    assert rules_of(answer) == rules
    assert (answer["prediction"] is None) == bool(rules)
    if rules:
        assert in_factory(served, row(**cells)) == rules


def test_reasons_name_value_unit_and_remedy(model: program.Model) -> None:
    [answer] = model.predict([row(**{"Size [mm]": 101})])
    [reason] = answer["reasons"]
    assert reason["value"] == 101
    assert reason["column"] == "Size [mm]"
    assert reason["remedy"] == "send a value from 0.0 up to 100.5 mm"


def test_a_batch_is_answered_in_order_and_a_missing_column_stops_it(model: program.Model) -> None:
    answers = model.predict([row(), row(starts="x"), row(colour="green")])
    assert [answer["prediction"] is None for answer in answers] == [False, True, False]
    assert sorted(answer["id"] for answer in answers) == [answer["id"] for answer in answers]
    lacking = row()
    del lacking["colour"]
    assert model.predict([row(), lacking])[1]["prediction"] is not None
    with pytest.raises(program.RequestError, match="there is no column 'colour'"):
        model.predict([lacking])
    assert model.predict([]) == []


def test_a_column_of_the_first_rows_of_a_file_may_be_missing_in_later_ones(
    factory: Factory, python: Path, tmp_path: Path
) -> None:
    folder = write_pack("pump", tmp_path / "pack", factory.home).folder
    lacking = {name: cell for name, cell in row().items() if name != "colour"}
    given = "".join(json.dumps(one) + "\n" for one in [*[row()] * 1_000, *[lacking] * 3])
    done = score(python, folder, "-", given=given)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line)["prediction"] for line in done.stdout.splitlines()]
    assert len(answers) == 1_003
    assert None not in answers


def test_an_answer_is_on_the_disk_before_it_is_given(
    pack: EdgePack, model: program.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = list[int]()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    model.predict([row()])
    assert synced[-1:] == [(pack.folder / program.LOG).stat().st_size]


def test_sensitive_values_are_not_in_the_log(pack: EdgePack, model: program.Model) -> None:
    model.predict([row(owner="a person's name"), row(owner="a person's name")])
    text = (pack.folder / program.LOG).read_text()
    assert "a person's name" not in text
    inputs = [json.loads(line)["input"]["owner"] for line in text.splitlines()[-2:]]
    assert inputs[0] == inputs[1] != {"commitment": ""}


def test_scores_with_onnxruntime_and_numpy_alone(
    factory: Factory, python: Path, served: ServedModel, tmp_path: Path
) -> None:
    folder = write_pack("pump", tmp_path / "pack", factory.home).folder
    lines = "\n".join(json.dumps(row(**{"Size [mm]": size})) for size in (1, 99, 500)) + "\n"
    done = score(python, folder, "-", given=lines)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["prediction"] for answer in answers] == ["0", "1", None]
    expected = in_factory(served, row(**{"Size [mm]": 1}))
    assert list(answers[0]["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
    (tmp_path / "rows.csv").write_text(
        "Size [mm],starts,colour,code,owner,running,other\n 99 ,,red,AB-7,ann,1,x\n"
    )
    done = score(python, folder, "--csv", str(tmp_path / "rows.csv"))
    assert [json.loads(line)["prediction"] for line in done.stdout.splitlines()] == ["1"]
    missing = score(python, folder, "-", given='{"starts": 1}\n')
    assert missing.returncode == 2
    assert missing.stderr == "there is no column 'Size [mm]'\n"
    for name in ("pandas", "duckdb", "onnx", "factory_assets", "cryptography"):
        found = score(python, folder, "--help")
        assert found.returncode == 0
        code = f"import importlib.util as u, sys; sys.exit(u.find_spec({name!r}) is not None)"
        assert os.spawnv(os.P_WAIT, python, [str(python), "-Ic", code]) == 0


_HEADER = "Size [mm],starts,colour,code,owner,running"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.jsonl", b'{"Size [mm]": 1, "colour": "r\xe9d"}\n', "r.jsonl is not text in UTF-8"),
        ("r.jsonl", b"[" * 100_000, "line 1 is not a JSON object"),
        pytest.param(
            "r.jsonl",
            json.dumps(row())[:-1].replace('"code"', '"left"').encode()
            + b', "code": %s}' % (b"[" * 900 + b"]" * 900),
            "a value is nested too deeply",
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python reads as many"),
        ),
        (
            "r.jsonl",
            json.dumps(row()).encode()[:-1] + b', "code": "AB-8"}',
            "line 1 is not a JSON object: a key is there twice",
        ),
        (
            "r.csv",
            f"{_HEADER}\n9,,r\xe9d,AB-7,ann,1\n".encode("latin-1"),
            "r.csv is not text in UTF-8",
        ),
        (
            "r.csv",
            f"{_HEADER}\n9,9,,red,AB-7,ann,1\n".encode(),
            "line 2 of r.csv has 7 cells, the header 6",
        ),
        ("r.csv", f"{_HEADER}\n9,,red\n".encode(), "line 2 of r.csv has 3 cells, the header 6"),
        (
            "r.csv",
            f"{_HEADER},starts\n9,,red,AB-7,ann,1,7\n".encode(),
            "r.csv has two columns 'starts'",
        ),
        ("r.csv", f'{_HEADER}\n9,,red,AB-7,"ann,1\n'.encode(), "line 2 of r.csv is not CSV"),
    ],
)
def test_a_damaged_file_is_told_in_one_line_and_not_answered(
    name: str, content: bytes, message: str, pack: EdgePack, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    shutil.copytree(pack.folder, folder)
    (tmp_path / name).write_bytes(content)
    options = ["--csv"] if name.endswith(".csv") else []
    done = score(Path(sys.executable), folder, *options, str(tmp_path / name))
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.replace(f"{tmp_path}/", "").splitlines()
    assert line.startswith(message)


def test_a_long_cell_of_a_table_is_read(pack: EdgePack, tmp_path: Path) -> None:
    shutil.copytree(pack.folder, tmp_path / "pack")
    file = tmp_path / "rows.csv"
    file.write_text(f"{_HEADER}\n9,,red,AB-7,{'x' * 200_000},1\n\n")
    done = score(Path(sys.executable), tmp_path / "pack", "--csv", str(file))
    assert [json.loads(line)["prediction"] for line in done.stdout.splitlines()] == ["0"]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_may_be_separated_as_a_source_may(
    separator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "field_size_limit", lambda *limit: None)
    cells = ["9", "", "red", "AB-7", "ann, b", "1"]
    lines = [separator.join(one) for one in (_HEADER.split(","), cells)]
    (tmp_path / "rows.csv").write_text("\ufeff" + "\n".join(lines) + "\n")
    [[one]] = program._batches(None, str(tmp_path / "rows.csv"))
    assert one == dict(zip(_HEADER.split(","), cells, strict=True))
    (tmp_path / "rows.csv").write_text("Size [mm]\n9\n")
    assert [*program._batches(None, str(tmp_path / "rows.csv"))] == [[{"Size [mm]": "9"}]]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_file_may_begin_with_a_byte_order_mark(
    name: str, model: program.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The program lifts this limit for its whole process.
    monkeypatch.setattr(csv, "field_size_limit", lambda *limit: None)
    is_table = name.endswith(".csv")
    text = f"{_HEADER}\n9,,red,AB-7,ann,1\n" if is_table else json.dumps(row()) + "\n"
    (tmp_path / name).write_bytes(text.encode("utf-8-sig").replace(b"\n", b"\r\n"))
    path = str(tmp_path / name)
    [rows] = program._batches(*((None, path) if is_table else (path, None)))
    assert [one["prediction"] for one in model.predict(rows)] == ["0"]


def test_numbers_of_numpy_are_numbers(model: program.Model) -> None:
    plain, *others = (
        model.predict([row(**{"Size [mm]": size, "starts": starts})])[0]
        for size, starts in ((3.5, 7), (np.float64(3.5), np.int64(7)), (np.float32(3.5), 7))
    )
    assert plain["prediction"] is not None
    assert [one["probabilities"] for one in others] == [plain["probabilities"]] * 2


def test_a_code_is_no_spelling_of_a_number_that_means_missing() -> None:
    texts, numbers = (program._Missing(["99"], [99.0], is_text) for is_text in (True, False))
    cells = ["99", "99.0", "099", "99E0", "+099"]
    assert [texts.cell(cell) for cell in cells] == [None, None, "099", "99E0", "+099"]
    assert [numbers.cell(cell) for cell in cells] == [None] * 5


def test_a_number_is_answered_in_its_unit(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", ["size"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["wide", "axis"], ["prediction"], keepdims=0),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    given = helper.make_tensor_value_info("size", TensorProto.FLOAT, ["N", 1])
    output = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["N"])
    made = helper.make_graph([*nodes], "g", [given], [output], [axis])
    opsets = [helper.make_opsetid("", 18)]
    graph = helper.make_model(made, ir_version=9, opset_imports=opsets).SerializeToString()
    column = {"name": "size", "source": "size", "type": "float64", "nullable": True, "unit": None}
    column |= {"range": None, "length": None, "pattern": None, "values": None, "sensitive": False}
    column |= {"missing": {"tokens": [""], "numbers": []}}
    contract = {
        "graph": sha256(graph).hexdigest(),
        "key": base64.b64encode(program.public_key(bytes(32))).decode(),
        **{"classes": [], "threshold": None, "rules": [], "derived": [], "library": {}},
        "columns": [column],
        "inputs": [{"name": "size", "reads": "size", "kind": "float"}],
    }
    (tmp_path / program.GRAPH).write_bytes(graph)
    (tmp_path / program.KEY).write_bytes(bytes(32))
    (tmp_path / program.CONTRACT).write_text(json.dumps(contract))
    with program.Model(str(tmp_path)) as model:
        answers = model.predict([{"size": 1.5}, {"size": None}, {"size": 1e39}])
    assert answers[0].keys() == {"id", "prediction"}
    assert answers[0]["prediction"] == 1.5
    assert rules_of(answers[1]) == ["overflow:prediction"]
    assert rules_of(answers[2]) == ["overflow:size"]


def test_a_changed_graph_or_another_c_library_is_refused(
    factory: Factory, python: Path, tmp_path: Path
) -> None:
    folder = write_pack("pump", tmp_path / "pack", factory.home).folder
    graph = (folder / program.GRAPH).read_bytes()
    (folder / program.GRAPH).write_bytes(graph + b"\0")
    done = score(python, folder, "-", given="{}\n")
    assert done.returncode == 2
    assert done.stderr == "model.onnx is not the one that was packed; copy the folder again\n"
    (folder / program.GRAPH).write_bytes(graph)
    contract = json.loads((folder / program.CONTRACT).read_text())
    assert [*contract["library"]] == ["ln"]
    contract["library"]["ln"][0] = math.nextafter(contract["library"]["ln"][0], 9)
    (folder / program.CONTRACT).write_text(json.dumps(contract))
    done = score(python, folder, "-", given="{}\n")
    assert "this machine's C library computes ln differently" in done.stderr


def test_the_program_is_valid_for_python_3_9() -> None:
    ast.parse(Path(program.__file__).read_text(), feature_version=(3, 9))


@settings(max_examples=examples(30))
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_signatures_are_those_of_ed25519(seed: bytes, message: bytes) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    assert program.public_key(seed) == public
    assert program.sign(seed, public, message) == key.sign(message)


@pytest.mark.parametrize("options", [[], ["--csv"]])
def test_a_file_that_is_not_there_is_named_without_the_number_of_the_error(
    options: list[str], pack: EdgePack, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(pack.folder, tmp_path / "pack"))
    done = score(Path(sys.executable), folder, *options, str(tmp_path / "rows"))
    told = f"{tmp_path / 'rows'}: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)
