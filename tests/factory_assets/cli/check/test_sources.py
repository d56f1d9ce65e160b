"""Mistakes in declared sources are reported with their line before anything runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from factory_assets.cli.check.check import check_folder, declaration_warnings
from factory_assets.cli.check.user_objects import with_line
from factory_assets.declarations.loader import load_pipeline
from factory_resources.errors import DeclarationError

HEAD = "type: factory_assets.ModelPipeline\nattributes:\n  purpose: x\n  ingest:\n"

TAIL = "  train: {target: y, model: {kind: linear}}\n"


def problems_of(folder: Path, ingest: str) -> list[str]:
    (folder / "d.csv").write_text("id,machine,y\n1,M2,5\n")
    (folder / "m.csv").write_text("machine,age\nM2,3\n")
    lines = "".join(f"    {line}\n" for line in ingest.splitlines())
    (folder / "defs.yaml").write_text(HEAD + lines + TAIL)
    return [f"{problem.line}: {problem.what}" for problem in check_folder(folder)]


JOINED = "source: {files: d.csv}\njoins: {m: {source: {files: m.csv}, on: machine%s}}"

LABELLED = JOINED.replace("m.csv", "{x: m.csv}, label: plant")

THEN = ",\n  n: {source: {files: m.csv}, on: %s}}"
"""Ends the joins of `JOINED` without its last bracket by another one."""


@pytest.mark.parametrize(
    ("ingest", "message"),
    [
        ("source: {database: P}", "5: attributes.ingest.source: a database needs either `table`"),
        ("source: {databse: P, table: t}", "unknown key 'databse'; did you mean 'database'?"),
        ("source: {database: ../P, table: t}", "must be the name of a secret that contains a URL"),
        ('source: {database: P, query: "DELETE FROM t"}', "source.query: P: the query does more"),
        ('source: {database: P, query: "SELECT :x"}', "parameter :x has no value; give it under"),
        ('source: {files: ["s3://b/a.csv", d.csv]}', "either all in s3:// storage or all local"),
        ('source: {files: [d.csv, "*.csv"]}', "source.files: two patterns match d.csv"),
        ("source: {files: d.csv, storage: {}}", "storage is for files that begin with s3://"),
        ("source: {asset: a//b}", "must be the key of an asset"),
        ("source: {pipeline: nowhere}", "source.pipeline: no pipeline 'nowhere'; valid: "),
        (
            "sources: {a: {files: d.csv}, b: {files: m.csv}}\nlabel: site",
            "no column 'age' in d.csv, though another file has it; available: id, machine, y",
        ),
        ("label: site", "needs either `source` or `sources`"),
        ("sources: {a: {files: d.csv}}", "sources need `label`"),
        (JOINED % "x", "no column 'machinex' in d.csv; did you mean 'machine'?"),
        (JOINED % ", key: maschine", "joins.m.key: no column 'maschine' in m.csv; did you"),
        (JOINED % ", columns: [agee]", "joins.m.columns: no column 'agee' in m.csv; did you"),
        (JOINED % ", rename: {agee: a}", "joins.m.rename: no column 'agee' in m.csv; did you"),
        (JOINED % ", rename: {age: id}", "column 'age' of m.csv exists in the source too; write"),
        (JOINED[:-1] % "" + THEN % "machine", "column 'age' of m.csv exists in the source too"),
        (JOINED % ", prefix: _a", "joins.m.prefix"),
        (JOINED % ", columns: [], rename: {age: a}", "rename: 'age' is not in `columns`"),
        (JOINED % ", key: [a, b]", "key has 2 columns, but `on` has 1"),
        ("source: {files: {x: d.csv}, label: y}", "d.csv: columns 'y' and 'y' differ only in case"),
        (
            "source: {files: {x: d.csv}, label: s}\ncontract: [{name: y}, {name: S, from: id}]",
            "columns 's' and 'S' differ only in case, or not at all; rename one",
        ),
        (JOINED % "" + "\ncontract: [{name: agee}, {name: y}]", "no column 'agee' in d.csv"),
    ],
)
def test_each_mistake_is_one_problem(ingest: str, message: str, tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, ingest)
    assert message in problem


_TABLE = 'source: {database: "sqlite:p.db", table: t}'

_QUERY = 'source: {database: "sqlite:p.db", query: "SELECT %s FROM t"}'


@pytest.mark.parametrize(
    ("ingest", "message"),
    [
        (_TABLE, ""),
        (
            _TABLE.replace("t}", "tt}"),
            "5: attributes.ingest.source.table: sqlite:p.db/tt: there is",
        ),
        (_QUERY % "y, z", "5: attributes.ingest.source.query: sqlite:p.db/query: the database rep"),
        (
            _TABLE + "\ncontract: [{name: ages}, {name: y}]",
            "no column 'ages' in sqlite:p.db/t; did",
        ),
        (_QUERY % "age AS x, y" + "\ncontract: [{name: age}, {name: y}]", "available: x, y"),
        (JOINED.replace("{files: m.csv}", _TABLE[8:]) % "", "on: no column 'machine' in sqlite:p"),
        (_TABLE.replace("p.db", "later.db"), ""),
    ],
)
def test_columns_of_sqlite_are_checked_without_reading_a_row(
    ingest: str, message: str, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "p.db")) as connection:
        connection.execute("CREATE TABLE t (age, y)")
    problems = problems_of(tmp_path, ingest)
    assert len(problems) == bool(message), problems
    assert message in "".join(problems)


def test_a_secret_or_database_that_is_not_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    folder = tmp_path / "plant"
    folder.mkdir()
    assert problems_of(folder, "source: {database: PLANT, table: t}") == []
    assert "source.database: secret PLANT is not set" in str(*declaration_warnings(["plant"]))
    monkeypatch.setenv("PLANT", "sqlite:///private/plant.db")
    warning = str(*declaration_warnings(["plant"]))
    assert "secret PLANT leads to no file that can be read; write four slashes" in warning
    assert "private" not in warning
    monkeypatch.setenv("PLANT", "postgresql://a:b@127.0.0.1:1/c")
    assert declaration_warnings(["plant"]) == []
    problems_of(folder, 'source: {database: "sqlite:p.db", table: t}')
    assert "no file matches 'p.db'" in str(*declaration_warnings(["plant"]))


@pytest.mark.parametrize(
    ("ingest", "told"),
    [
        (
            JOINED % ", columns: age, prefix: m_" + "\ncontract: [{name: machine}, {name: y}]",
            "name 'm_age', so that",
        ),
        (JOINED % ", columns: age" + "\ncontract: [{name: a, from: age}, {name: y}]", ""),
        (JOINED % "" + "\ncontract: [{name: machine}, {name: y}]", ""),
        (JOINED % ", columns: age", ""),
        (
            JOINED[:-1] % ", columns: age"
            + THEN % "age, key: machine, columns: []"
            + "\ncontract: [{name: machine}, {name: y}]",
            "",
        ),
    ],
)
def test_a_joined_column_that_the_contract_does_not_name_is_a_warning(
    ingest: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    (tmp_path / "plant").mkdir()
    assert problems_of(tmp_path / "plant", ingest) == []
    warnings = [one.what for one in declaration_warnings(["plant"])]
    assert len(warnings) == bool(told), warnings
    assert told in "".join(warnings)


@pytest.mark.parametrize(
    "ingest",
    [
        JOINED % "" + "\ncontract: [{name: age}, {name: y}]",
        JOINED % ", prefix: m_" + "\ncontract: [{name: m_age}, {name: y}]",
        JOINED % ", rename: {age: years}" + "\ncontract: [{name: years}, {name: y}]",
        LABELLED % ", columns: [age, plant]",
        LABELLED % "" + "\ncontract: [{name: plant}, {name: y}]",
        JOINED[:-1] % "" + THEN % "age, columns: machine, prefix: n_",
        "source: {database: P, table: t}",
        'source: {database: P, query: "SELECT :x AS y", parameters: {x: 1}}',
        "sources: {a: {files: d.csv}, b: {database: P, table: t}}\nlabel: site",
        "source: {files: not_there_yet.csv}",
        'source: {files: "s3://bucket/*.csv", storage: {access_key: MINE}}',
        "source: {pipeline: machine_failure}\ncontract: [{name: y, from: torque}, {name: speed}]",
        "source: {asset: raw/orders}",
    ],
)
def test_valid_sources_need_no_data(ingest: str, tmp_path: Path) -> None:
    assert problems_of(tmp_path, ingest) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{python: 'mine:nope'}", "source.python: module 'mine' has no 'nope'; it has: rows"),
        ("{files: d.csv, format: parquet}", "watch.outcomes.source: d.csv: "),
        ("{files: a.jsonl, delimiter: ;}", "source.delimiter: delimiter is for separated text"),
        ("{pipeline: nowhere}", "watch.outcomes.source.pipeline: no pipeline 'nowhere'; valid: "),
        ("{database: P, query: DELETE FROM t}", "outcomes.source.query: P: the query does more"),
        ("{files: later.csv}", ""),
        (
            "{files: d.csv}, outcome: y",
            "watch.outcomes.id: no column 'id' in d.csv; available: y, x",
        ),
        ("{files: d.csv}, id: x", "watch.outcomes.outcome: no column 'outcome' in d.csv"),
        ("{files: d.csv}, key: z, outcome: y", "watch.outcomes.key: no column 'z' in d.csv"),
        (
            "{files: d.csv}, key: x, outcome: y, observed: on",
            "outcomes.observed: no column 'on' in",
        ),
        ("{files: d.csv}, key: x, outcome: y", ""),
        ("{python: 'mine:rows'}", ""),
    ],
)
def test_sources_of_outcomes_are_checked_too(source: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def rows():\n    pass\n")
    (tmp_path / "d.csv").write_text("y,x\n1,2\n")
    ingest = "    source: {files: d.csv}\n"
    watch = f"  watch: {{outcomes: {{source: {source}}}}}\n"
    (tmp_path / "defs.yaml").write_text(HEAD + ingest + TAIL + watch)
    problems = [one.what for one in check_folder(tmp_path)]
    assert len(problems) == bool(message), problems
    assert message in "".join(problems)


def test_a_run_is_not_said_to_fail_because_of_outcomes(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    watch = "  watch: {outcomes: {source: {python: 'mine:nope'}}}\n"
    (tmp_path / "defs.yaml").write_text(f"{HEAD}    source: {{files: d.csv}}\n{TAIL}{watch}")
    error = DeclarationError("of the run", remedy="")
    assert with_line(error, load_pipeline(tmp_path)) is error


def test_answers_need_a_pipeline_with_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    for name in ("plant", "grown"):
        (tmp_path / name).mkdir()
    problems_of(tmp_path / "plant", "source: {files: d.csv}")
    assert problems_of(tmp_path / "grown", "source: {answers: plant}") == []
    declared = tmp_path / "plant" / "defs.yaml"
    declared.write_text(declared.read_text().removesuffix(TAIL))
    [problem] = problems_of(tmp_path / "grown", "source: {answers: plant}")
    assert "source.answers: 'plant' has no model that answers; declare `train` in it" in problem
