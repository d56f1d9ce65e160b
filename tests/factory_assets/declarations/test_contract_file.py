"""Contracts in their own file: loaded by factory and Dagster, mistakes with the file's lines."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner

from factory_assets.cli.check.check import check_folder, declaration_warnings
from factory_assets.cli.main import main
from factory_assets.components.model_pipeline import ModelPipeline
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.odcs import reader
from factory_assets.spec import Contract
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare, problems, write_apples

ODCS = """\
apiVersion: v3.1.0
kind: DataContract
id: apples
version: 1.0.0
status: active
schema:
  - name: apples
    properties:
      - name: size
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 0, maximum: 100}
      - name: colour
        logicalType: string
        description: As the camera sees it
      - name: label
        logicalType: string
        quality:
          - {metric: invalidValues, arguments: {validValues: [good, bad]}, mustBe: 0}
          - {type: sql, query: SELECT 1, mustBe: 1, name: tasted}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 10}
"""


def _apples(folder: Path, text: str = ODCS, contract: Any = "contract.odcs.yaml") -> Path:
    own = folder / "apples"
    own.mkdir(exist_ok=True)
    write_apples(own)
    (own / "contract.odcs.yaml").write_text(text)
    ingest = {**APPLES["ingest"], "contract": contract}
    document = {
        "type": "factory_assets.ModelPipeline",
        "attributes": {**APPLES, "ingest": ingest},
    }
    (own / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return own


@pytest.mark.parametrize(
    "contract", ["contract.odcs.yaml", {"file": "contract.odcs.yaml", "table": "apples"}]
)
def test_contract_file_is_read_by_the_factory_and_by_dagster(contract: Any, tmp_path: Path) -> None:
    folder = _apples(tmp_path, contract=contract)
    pipeline = load_pipeline(folder)
    promised = pipeline.spec.ingest.contract
    assert promised.names == ("size", "colour", "label")
    assert promised.columns[0].range == (0, 100)
    assert promised.rows
    assert promised.rows.at_least == 11
    assert promised.unchecked == ("a rule of type sql: tasted",)
    context = dg.ComponentTree.for_test().load_context.for_path(folder)
    attributes = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]
    model = ModelPipeline.get_model_cls().model_validate(attributes)
    assert ModelPipeline.load(model, context).spec == pipeline.spec


@pytest.mark.parametrize(
    ("old", "new", "on_line", "message"),
    [
        ("required: true", "requird: true", "requird", "unknown key 'requird'; did you mean"),
        ("logicalType: number", "logicalType: nmber", "nmber", "did you mean 'number'?"),
        ("maximum: 100", "maximum: -1", "logicalTypeOptions", "is reversed"),
        ("name: colour", "name: _colour", "_colour", "leading underscore"),
        ("- name: colour", "- nme: colour", "nme", "unknown key 'nme'"),
        ("rowCount", "rowCont", "rowCont", "did you mean 'rowCount'?"),
        ("status: active\n", "status: active\nstatus: draft\n", "draft", "repeats line 5"),
        ("kind: DataContract", "kind: [", "version", "not YAML"),
    ],
)
def test_mistake_is_reported_with_the_line_of_the_contract_file(
    old: str, new: str, on_line: str, message: str, tmp_path: Path
) -> None:
    assert old in ODCS
    text = ODCS.replace(old, new, 1)
    folder = _apples(tmp_path, text)
    matching = [problem for problem in problems(folder) if message in problem.what]
    assert matching, problems(folder)
    assert matching[0].file == folder / "contract.odcs.yaml"
    assert on_line in text.splitlines()[matching[0].line - 1]


def test_column_missing_in_the_source_is_reported_in_the_contract_file(tmp_path: Path) -> None:
    folder = _apples(tmp_path, ODCS.replace("name: colour", "name: color"))
    [problem] = [p for p in check_folder(folder) if "no column" in p.what]
    assert problem.file.name == "contract.odcs.yaml"
    assert (
        "name: color" in (folder / "contract.odcs.yaml").read_text().splitlines()[problem.line - 1]
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("contrakt.odcs.yaml", "contrakt.odcs.yaml cannot be read (No such file"),
        # What YAML makes of "data\new.yaml" and "data\0.yaml", with backslashes as on Windows.
        ("data\new.yaml", r"data\new.yaml cannot be read (No such file"),
        ("data\0.yaml", r"data\x00.yaml cannot be read (embedded null byte)"),
    ],
)
def test_missing_file_is_reported_where_it_is_named(name: str, shown: str, tmp_path: Path) -> None:
    folder = _apples(tmp_path, contract=name)
    [problem] = problems(folder)
    assert problem.file == folder / "defs.yaml"
    assert shown in problem.what
    with pytest.raises(DeclarationError):
        load_pipeline(folder)


def test_unchecked_promise_is_a_warning_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _apples(tmp_path)
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    [promise] = declaration_warnings(["apples"])
    assert promise.line == ODCS[: ODCS.index("type: sql")].count("\n") + 1
    result = CliRunner().invoke(main, ["check", "apples"])
    assert result.exit_code == 0
    assert f"warning: {promise}" in result.stderr
    assert folder.name in str(promise)


def test_cache_key_ignores_descriptions_and_limits_but_not_rules(tmp_path: Path) -> None:
    before = relevant_spec(load_pipeline(_apples(tmp_path)), "ingest")
    words = ODCS.replace("As the camera", "As a person").replace("id: apples", "id: pears")
    assert relevant_spec(load_pipeline(_apples(tmp_path, words)), "ingest") == before
    limit = ODCS.replace("mustBeGreaterThan: 10", "mustBeGreaterThan: 20")
    assert relevant_spec(load_pipeline(_apples(tmp_path, limit)), "ingest") == before
    rule = ODCS.replace("maximum: 100", "maximum: 99")
    assert relevant_spec(load_pipeline(_apples(tmp_path, rule)), "ingest") != before


def test_contract_command_writes_what_the_factory_reads(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    pipeline = load_pipeline(_apples(tmp_path))
    result = CliRunner().invoke(main, ["contract", "apples"])
    assert result.exit_code == 0, result.stderr
    written = Contract.model_validate(reader.read(yaml.safe_load(result.stdout)).contract)
    assert written == pipeline.spec.ingest.contract
    out = tmp_path / "out.odcs.yaml"
    written_to = CliRunner().invoke(main, ["contract", "apples", "--out", str(out)])
    assert (written_to.exit_code, written_to.stdout) == (0, f"wrote {out}\n")
    assert out.read_text() == result.stdout


def test_contract_command_describes_the_ingested_table_without_a_contract(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory_assets.execution.requests import StageRequest
    from factory_assets.execution.runner import run_stage

    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    folder = tmp_path / "apples"
    source = {"source": {"files": "data.csv"}}
    pipeline = declare(folder, {**APPLES, "ingest": source})
    result = CliRunner().invoke(main, ["contract", "apples"])
    assert result.exit_code == 2
    assert "factory run apples --stages ingest" in result.stderr
    write_apples(folder)
    run_stage(StageRequest(pipeline, "ingest", home, "one"))
    result = CliRunner().invoke(main, ["contract", "apples"])
    written = Contract.model_validate(reader.read(yaml.safe_load(result.stdout)).contract)
    assert [(c.name, c.type) for c in written.columns] == [
        ("size", "float64"),
        ("colour", "string"),
        ("label", "string"),
    ]
