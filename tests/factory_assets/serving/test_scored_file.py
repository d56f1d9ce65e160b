"""How a scored file is read: as the source is declared, with the tables that are joined to it."""

import io
import json
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.serving.scoring_rows import rows_to_score
from factory_assets.spec import Contract, FileSource, Pipeline, PipelineSpec
from factory_resources.errors import ContractError, ExpressionError, SourceError
from factory_resources.home.home import Home
from tests.factory_assets.serving.cases import Deployed
from tests.long_run import in_long

pytestmark = pytest.mark.slow

MODEL = {"kind": "gradient_boosting", "iterations": 5}
MACHINES = "machine,age,maker\nM0,5,a\nM1,50,b\nM2,10,a\nM3,90,b\n"


def readings(separator: str = ",", rows: int = 240) -> str:
    """A reading fails if its machine is old, which only the joined table says."""
    lines = [separator.join(("id", "machine", "load", "failed"))]
    for i in range(rows):
        machine = i * 7 % 4
        cells = (i, f"M{machine}", f"{i % 10}.5", int(machine in {1, 3}))
        lines.append(separator.join(map(str, cells)))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    folder = tmp_path_factory.mktemp("joined")
    (folder / "rows.csv").write_text(readings())
    (folder / "machines.csv").write_text(MACHINES)
    return Deployed(
        folder,
        {
            "purpose": "test",
            "ingest": {
                "source": {"files": "rows.csv"},
                "joins": {
                    "machines": {
                        "source": {"files": "machines.csv"},
                        "on": "machine",
                        "required": True,
                    }
                },
                "contract": [
                    {"name": "load", "type": "float64"},
                    {"name": "years", "from": "age", "type": "float64", "range": [0, 100]},
                    {"name": "failed", "type": "int64"},
                ],
            },
            "clean": {"derive": {"wear": "years * load + years"}},
            "train": {"target": "failed", "model": MODEL},
        },
    )


def test_the_format_of_the_source_is_scored_with_the_joined_tables(joined: Deployed) -> None:
    (joined.folder / "machines.csv").write_text(MACHINES)
    rows = joined.predict("own.csv", "id,machine,load\n1,M1,2.5\n2,M0,2.5\n3,M3,2.5\n")
    assert [row["prediction"] for row in rows] == ["1", "0", "1"]
    whole = joined.predict("whole.csv", "age,load\n50,2.5\n5,2.5\n90,2.5\n")
    assert [row["p_1"] for row in rows] == [row["p_1"] for row in whole]


def test_the_joined_tables_are_read_as_they_are_now_and_the_answer_says_so(
    joined: Deployed,
) -> None:
    file = "machine,load\nM1,2.5\n"
    (joined.folder / "machines.csv").write_text(MACHINES)
    [before] = joined.predict("own.csv", file)
    (joined.folder / "machines.csv").write_text(MACHINES.replace("M1,50", "M1,5"))
    [after] = joined.predict("own.csv", file)
    assert (before["prediction"], after["prediction"]) == ("1", "0")
    assert before["joined"].startswith("machines: machines.csv sha256:")
    assert after["joined"] != before["joined"]


def test_a_file_that_has_all_columns_needs_no_joined_table(joined: Deployed) -> None:
    (joined.folder / "machines.csv").unlink(missing_ok=True)
    [row] = joined.predict("whole.csv", "age,load\n50,2.5\n")
    assert row["prediction"] == "1"
    assert "joined" not in row
    with pytest.raises(SourceError, match=r"machines\.csv"):
        joined.predict("own.csv", "machine,load\nM1,2.5\n")


def test_a_row_without_a_match_in_a_required_table_gets_the_reason(joined: Deployed) -> None:
    (joined.folder / "machines.csv").write_text(MACHINES)
    known, unknown = joined.predict("own.csv", "machine,load\nM1,2.5\nM9,2.5\n")
    assert known["reason"] is None
    assert (unknown["prediction"], unknown["reason"]) == (None, "join:machines")
    known, unknown = joined.predict("whole.csv", "machine,age,load\nM1,50,2.5\nM9,50,2.5\n")
    assert (known["reason"], unknown["reason"]) == (None, "join:machines")


def test_a_file_with_neither_the_column_nor_the_key_names_the_column(joined: Deployed) -> None:
    (joined.folder / "machines.csv").write_text(MACHINES)
    with pytest.raises(ContractError, match="no column 'age'"):
        joined.predict("few.csv", "load\n2.5\n")


def test_what_is_declared_of_the_source_holds_for_a_file_of_any_name(tmp_path: Path) -> None:
    text = "Größe;ok\n" + "".join(f"{i % 9},5;{i % 9 // 5}\n" for i in range(200))
    text = text.replace(",", ".")
    (tmp_path / "rows.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("rows.lst", f"title\n{text}".encode("latin-1"))
        archive.writestr("other.lst", "x\n")
    source: dict[str, Any] = {
        "files": "rows.zip",
        "member": "rows.*",
        "format": "csv",
        "encoding": "latin-1",
        "delimiter": ";",
        "skip": 1,
    }
    served = Deployed(
        tmp_path,
        {
            "purpose": "test",
            "ingest": {"source": source},
            "train": {"target": "ok", "model": MODEL},
        },
    )
    plain = "any title\nGröße\n0.5\n8.5\n"
    expected = ["0", "1"]
    for name in ("new", "new.dat", "new.csv", "new.jsonl"):
        rows = served.predict(name, plain.encode("latin-1"))
        assert [row["prediction"] for row in rows] == expected, name
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("rows.new", plain.encode("latin-1"))
        archive.writestr("notes", "not a table")
    assert [row["prediction"] for row in served.predict("new.zip", packed.getvalue())] == expected
    single = io.BytesIO()
    with zipfile.ZipFile(single, "w") as archive:
        archive.writestr("another.name", plain.encode("latin-1"))
    assert [row["prediction"] for row in served.predict("one.zip", single.getvalue())] == expected
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"Größe": [0.5, 8.5]}), tmp_path / "new.parquet")
    content = (tmp_path / "new.parquet").read_bytes()
    assert [row["prediction"] for row in served.predict("new.parquet", content)] == expected


def test_without_a_declared_format_an_unknown_name_is_read_like_the_source(tmp_path: Path) -> None:
    text = "size,ok\n" + "".join(f"{i % 9}.5,{i % 9 // 5}\n" for i in range(200))
    (tmp_path / "rows.csv").write_text(text)
    train = {"target": "ok", "model": MODEL}
    source = {"files": "rows.csv"}
    served = Deployed(tmp_path, {"purpose": "t", "ingest": {"source": source}, "train": train})
    rows = served.predict("today", "size\n0.5\n8.5\n")
    assert [row["prediction"] for row in rows] == ["0", "1"]
    rows = served.predict("today.jsonl", '{"size": 8.5}\n')
    assert [row["prediction"] for row in rows] == ["1"]


def test_a_request_is_joined_like_a_file(joined: Deployed) -> None:
    (joined.folder / "machines.csv").write_text(MACHINES)
    version, model = load_champion("p", joined.home)
    served = ServedModel("p", version, model, joined.home, lambda _: joined.pipeline)
    rows = [{"machine": "M1", "load": 2.5}, {"machine": "M9", "load": 2.5}]
    scored = served.score(rows)
    known, _ = joined.predict("own.csv", "machine,load\nM1,2.5\nM9,2.5\n")
    assert scored.outputs.tolist() == [[known["p_0"], known["p_1"]]]
    assert [(one.row, one.rules) for one in scored.refusals] == [(1, ("join:machines",))]
    whole = served.score([{"age": 50, "load": 2.5}])
    assert whole.outputs.tolist() == scored.outputs.tolist()
    (joined.folder / "machines.csv").write_text(MACHINES + "1,50,b\n")
    number = served.score([{"machine": 1.0, "load": 2.5}])
    assert number.outputs.tolist() == scored.outputs.tolist()
    with pytest.raises(ContractError, match=r"^the request: there is no column 'load'; available"):
        served.score([{"machine": "M1"}])
    served.close()
    clean = model.clean.model_copy(update={"derive": {"wear": "CAST(load AS TINYINT)"}})
    narrow = replace(model, clean=clean)
    far = [{"machine": "M1", "load": 77123.5}, {"machine": "M1", "load": 2.5}]
    served = ServedModel("p", version, narrow, joined.home, lambda _: joined.pipeline)
    with closing(served) as other:
        scored = other.score(far)
        assert len(scored.outputs) == 1
        assert [(one.row, one.rules) for one in scored.refusals] == [(0, ("derive:wear",))]
        assert [one.rules for one in other.score(far[:1]).refusals] == [("derive:wear",)]
    around = {"wear": "CAST(load AS TINYINT) + 0 * row_number() OVER ()"}
    clean = model.clean.model_copy(update={"derive": around})
    load, *others = model.ingest.contract.columns
    columns = (load.model_copy(update={"sensitive": "personal"}), *others)
    ingest = model.ingest.model_copy(update={"contract": Contract(columns=columns)})
    hiding = replace(model, clean=clean, ingest=ingest)
    served = ServedModel("p", version, hiding, joined.home, lambda _: joined.pipeline)
    with closing(served), pytest.raises(ExpressionError, match="details are hidden"):
        served.score([{"machine": "M1", "load": 77123.5}])


@pytest.mark.parametrize(
    ("source", "numbers", "age"),
    [
        ({"files": "rows.csv"}, (), None),
        ({"files": "rows.csv"}, ("machine",), 5.0),
        ({"files": "rows.parquet"}, (), 5.0),
        ({"database": "sqlite:rows.db", "table": "rows"}, (), 5.0),
    ],
)
def test_keys_that_were_numbers_or_dates_in_training_are_in_texts_too(
    source: dict[str, Any],
    numbers: tuple[str, ...],
    age: float | None,
    tmp_path: Path,
    home: Home,
) -> None:
    """A request may have 1.0 where the database has 1; in a CSV file these are two texts."""
    (tmp_path / "machines.csv").write_text("machine,built,age\n1,2024-01-31,5\n2,2024-02-01,7\n")
    machines = {"source": {"files": "machines.csv"}, "on": ["machine", "built"]}
    contract = [
        {"name": "machine", "type": "int64"},
        {"name": "built", "type": "date"},
        {"name": "age", "type": "float64"},
    ]
    ingest = {"source": source, "joins": {"machines": machines}, "contract": contract}
    spec = PipelineSpec.model_validate({"purpose": "test", "ingest": ingest})
    trained = SimpleNamespace(
        ingest=spec.ingest,
        clean=spec.clean,
        columns=("age",),
        inputs={"age": "tensor(float)"},
        booleans=(),
    )
    file = tmp_path / "request.jsonl"
    built = "2024-01-31" if numbers else "2024-01-31 00:00"
    file.write_text(json.dumps({"machine": 1.0, "built": built}) + "\n")
    read_as = FileSource(files=(str(file),))
    found = rows_to_score(
        Pipeline("p", spec, tmp_path), trained, file, home, source=read_as, numbers=numbers
    )
    assert found.scorable["age"].to_pylist() == [age]


def test_a_row_of_a_file_on_which_an_expression_fails_gets_the_reason(
    tmp_path: Path, home: Home
) -> None:
    """The others are scored; if there is none, the error says which expression fails, and why."""
    contract = [{"name": "steps", "type": "int64"}, {"name": "kind", "type": "string"}]
    clean = {
        "where": {"some": "steps > 0"},
        "unify": ["kind"],
        "derive": {"small": "CAST(steps AS TINYINT)", "half": "small / 2"},
    }
    ingest = {"source": {"files": "rows.csv"}, "contract": contract}
    spec = PipelineSpec.model_validate({"purpose": "test", "ingest": ingest, "clean": clean})
    trained = SimpleNamespace(
        ingest=spec.ingest,
        clean=spec.clean,
        columns=("half", "kind"),
        inputs={"half": "tensor(float)", "kind": "tensor(string)"},
        booleans=(),
    )
    file, pipeline = tmp_path / "new.csv", Pipeline("p", spec, tmp_path)
    file.write_text("steps,kind\n10,a\n300,b\n-300,c\nmany,d\n400,e\n20, F\n")
    found = rows_to_score(pipeline, trained, file, home)
    assert found.scorable.select(["_row", "half", "kind"]).to_pylist() == [
        {"_row": 1, "half": 5.0, "kind": "a"},
        {"_row": 6, "half": 10.0, "kind": "f"},
    ]
    refused = [row for table in found.refused for row in table.to_pylist()]
    assert sorted((row["_row"], row["reason"]) for row in refused) == [
        (2, "derive:small"),
        (3, "some"),
        (4, "type:steps"),
        (5, "derive:small"),
    ]
    file.write_text("steps,kind\n300,b\n-300,c\n")
    with pytest.raises(ExpressionError, match=r"p/clean: derive\.small: .*300"):
        rows_to_score(pipeline, trained, file, home)


@pytest.fixture(scope="module")
def postal(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The areas come from a column without a contract, which is no input itself."""
    folder = tmp_path_factory.mktemp("postal")
    lines = [f"0{1000 + i},{i % 9}.5,a" for i in range(120)]
    lines += [f"8{1000 + i},{i % 9}.5,b" for i in range(120)]
    (folder / "rows.csv").write_text("\n".join(("zip,size,grade", *lines)) + "\n")
    return Deployed(
        folder,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.csv"}},
            "clean": {"derive": {"area": "left(zip, 2)", "east": "zip = '01067'"}},
            "train": {"target": "grade", "exclude": "zip", "model": MODEL},
        },
    )


def test_columns_without_a_contract_have_the_types_of_the_training_rows(postal: Deployed) -> None:
    whole = postal.predict("both.csv", "zip,size\n01067,1.5\n81067,1.5\n1067,1.5\n")
    assert [row["prediction"] for row in whole[:2]] == ["a", "b"]
    for number, line in enumerate(("01067,1.5", "81067,1.5", "1067,1.5")):
        [alone] = postal.predict("one.csv", f"zip,size\n{line}\n")
        assert alone["p_b"] == whole[number]["p_b"]
    version, champion = load_champion("p", postal.home)
    served = ServedModel("p", version, champion, postal.home)
    with closing(served):
        asked = [{"zip": "81067", "size": 1.5}, {"zip": "1067", "size": 1.5}]
        outputs = served.score(asked).outputs[:, 1]
    assert [float(p) for p in outputs] == [whole[1]["p_b"], whole[2]["p_b"]]
    assert {column.name: column.type for column in served.columns}["zip"] == "string"


def test_expressions_calculate_with_whole_numbers_that_are_names_to_the_model(
    tmp_path: Path,
) -> None:
    lines = [f"{i % 5},{i % 9}.5,{'b' if i % 5 > 2 else 'a'}" for i in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(("code,size,grade", *lines)) + "\n")
    deployed = Deployed(
        tmp_path,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.csv"}},
            "clean": {"where": {"known": "code >= 0"}, "derive": {"next": "code + 1"}},
            "train": {"target": "grade", "categorical": "code", "model": MODEL},
        },
    )
    text = "code,size\n1,1.5\n4,1.5\n-1,1.5\n"
    rows = deployed.predict("new.csv", text)
    assert [row["prediction"] for row in rows] == ["a", "b", None]
    assert rows[2]["reason"] == "known"
    version, champion = load_champion("p", deployed.home)
    with closing(ServedModel("p", version, champion, deployed.home)) as served:
        scored = served.score([{"code": code, "size": 1.5} for code in (1, 4, -1)])
    assert scored.outputs[:, 1].tolist() == [row["p_b"] for row in rows[:2]]
    assert [one.row for one in scored.refusals] == [2]


@pytest.mark.parametrize(
    "contract", [None, *in_long([[{"name": name} for name in ("code", "class", "good")]])]
)
def test_names_without_a_declared_type_are_those_of_training_whatever_a_file_looks_like(
    contract: list[dict[str, str]] | None, tmp_path: Path
) -> None:
    """Among texts 1e3 is no number; among whole numbers 3.0 is 3, as programs write it."""
    codes = ("1e3", "1000", "TRUE", "true", "x")
    rows = [f"{codes[i % 5]},{i // 5 % 4},{'ba'[(i % 5 + i // 5 % 4) % 2]}" for i in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(("code,class,good", *rows)) + "\n")
    deployed = Deployed(
        tmp_path,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.csv"}}
            | ({"contract": contract} if contract else {}),
            "train": {"target": "good", "categorical": "class", "model": MODEL},
        },
    )
    lines = [f"{code},{number}" for code in codes for number in (2, 3)]
    whole = deployed.predict("all.csv", "\n".join(("code,class", *lines)) + "\n")
    for line, expected in zip(lines, whole, strict=True):
        for text in (line, f"{line}.0"):
            [alone] = deployed.predict("one.csv", f"code,class\n{text}\n")
            assert alone["p_a"] == expected["p_a"]
    version, champion = load_champion("p", deployed.home)
    with closing(ServedModel("p", version, champion, deployed.home)) as served:
        asked = [{"code": "1e3", "class": 2.0}, {"code": "1e3", "class": 2}]
        place = champion.classes.index("a")
        outputs = [served.score([row]).outputs[0, place] for row in asked]
    assert outputs == [whole[0]["p_a"]] * 2


def test_names_that_are_no_texts_are_those_of_training_however_they_are_written(
    tmp_path: Path,
) -> None:
    """Among numbers 1.0 and 1 are one name, among truth values True and true."""
    halves, flags = ("0.0", "0.5", "1.0"), ("True", "False")
    rows = [f"{halves[i % 3]},{flags[i % 2]},{'ba'[i % 3 == 2 or i % 2]}" for i in range(180)]
    (tmp_path / "rows.csv").write_text("\n".join(("half,open,good", *rows)) + "\n")
    names, leaks = ["half", "open"], {"action": "off"}
    train = {"target": "good", "categorical": names, "model": {"kind": "linear"}, "leaks": leaks}
    declared = {"purpose": "test", "ingest": {"source": {"files": "rows.csv"}}, "train": train}
    deployed = Deployed(tmp_path, declared)
    lines = [f"{half},{flag}" for half in halves for flag in flags]
    as_trained = deployed.predict("all.csv", "\n".join(("half,open", *lines)) + "\n")
    chances = [row["p_a"] for row in as_trained]
    assert len({*chances}) == len(lines)
    others = [f"{float(half):g},{flag.lower()}" for half in halves for flag in flags]
    again = deployed.predict("others.csv", "\n".join(("half,open", *others)) + "\n")
    assert [row["p_a"] for row in again] == chances
    version, champion = load_champion("p", deployed.home)
    with closing(ServedModel("p", version, champion, deployed.home)) as served:
        asked = [{"half": float(h), "open": f == "True"} for h in halves for f in flags]
        place = champion.classes.index("a")
        assert served.score(asked).outputs[:, place].tolist() == chances


def test_rows_with_whole_numbers_that_no_float_holds_are_scored(tmp_path: Path) -> None:
    """Such as times in nanoseconds, which training reads without a contract."""
    times = [1_700_000_000_000_000_001 + i * 10**15 for i in range(180)]
    rows = [f"{time},{'ba'[i // 60 % 2]}" for i, time in enumerate(times)]
    text = "\n".join(("time,good", *rows)) + "\n"
    (tmp_path / "rows.csv").write_text(text)
    train = {"target": "good", "model": MODEL, "leaks": {"action": "off"}}
    declared = {"purpose": "test", "ingest": {"source": {"files": "rows.csv"}}, "train": train}
    deployed = Deployed(tmp_path, declared)
    chances = [row["p_a"] for row in deployed.predict("all.csv", text)]
    assert len(chances) == len(times)
    version, champion = load_champion("p", deployed.home)
    with closing(ServedModel("p", version, champion, deployed.home)) as served:
        scored = served.score([{"time": time} for time in times])
    assert scored.outputs[:, champion.classes.index("a")].tolist() == chances
