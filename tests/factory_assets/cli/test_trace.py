"""`factory trace`: text of at most 100 columns, JSON of a published shape, and exit codes."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from factory_assets.audit.trace.report import ModelUse, RowRoute, Trace
from factory_assets.cli.main import main
from factory_assets.cli.schema import output_schema_text
from factory_assets.cli.trace import _route
from factory_assets.cli.wrapping import WIDTH
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_resources.home.home import PROJECT, Home
from tests.pipelines import declare

NAME = "a_pipeline_with_a_rather_long_name_of_its_own"

RULE = "the_size_of_a_fruit_is_never_below_zero_whatever_the_scale_says"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pipeline that has run; its names, paths and file content are long and odd."""
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    folder = tmp_path / "defs" / NAME
    folder.mkdir(parents=True)
    file = f"{'long_' * 15}\x1b[31m.csv"
    (folder / file).write_text('size,colour\n1,red\n-1,red\n2,"dark\nred"\n1,red\n')
    derived = " + ".join(["size * 2"] * 20)
    pipeline = declare(
        folder,
        {
            "purpose": "Lines that must be broken",
            "ingest": {"source": {"files": "*.csv"}},
            "clean": {
                "where": {RULE: "size >= 0"},
                "deduplicate": ["size"],
                "derive": {"sum": derived},
            },
        },
    )
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(pipeline, stage, Home(tmp_path / "home"), "run"))
    return folder


def _trace(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["trace", *arguments])


def _file(folder: Path) -> str:
    return str(next(folder.glob("*.csv")))


def test_times_are_written_as_people_read_them(folder: Path) -> None:
    text = _trace(_file(folder)).output + _trace(f"{NAME}/clean").output
    assert re.search(r" run run, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, code ", text)
    assert not re.search(r"\dT\d", text)


def test_text_fits_a_terminal_and_contains_no_control_characters(folder: Path) -> None:
    for arguments in (
        [f"{NAME}/clean"],
        [f"{NAME}/clean", "--row", "2"],
        [_file(folder)],
        [_file(folder), "--row", "2"],
    ):
        result = _trace(*arguments)
        assert result.exit_code == 0, result.output
        assert max(map(len, result.output.splitlines())) <= WIDTH
        assert "\x1b" not in result.output
        assert "no problems: every stored file was read" in result.output


def test_a_row_is_traced_to_its_lines_and_forward(folder: Path) -> None:
    backward = _trace(f"{NAME}/clean", "--row", "2").output
    assert "record 3 of" in backward
    assert "lines 4 to 5" in backward
    forward = _trace(_file(folder), "--row", "2").output
    assert f"in quarantine, row 1, broke {RULE}" in forward
    assert "duplicate of record 1" in _trace(_file(folder), "--row", "4").output


def test_json_has_the_published_shape(folder: Path) -> None:
    schema = json.loads((PROJECT / "docs" / "trace.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for arguments in ([f"{NAME}/clean", "--row", "1"], [_file(folder), "--no-verify"]):
        trace = json.loads(_trace(*arguments, "--json").output)
        jsonschema.validate(trace, schema)
        assert (trace["format"], trace["version"]) == ("factory.trace", 1)
        assert trace["verified"] is ("--no-verify" not in arguments)


def test_the_published_schema_is_current() -> None:
    published = (PROJECT / "docs" / "trace.schema.json").read_text()
    assert published == output_schema_text(Trace), (
        "run: factory schema trace > docs/trace.schema.json"
    )
    assert CliRunner().invoke(main, ["schema", "trace"]).output == published


def test_a_changed_file_is_reported_with_exit_code_1(folder: Path, tmp_path: Path) -> None:
    [file] = (tmp_path / "home" / "tables" / NAME / "clean").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    result = _trace(f"{NAME}/clean")
    assert result.exit_code == 1
    assert "CHANGED" in result.output
    assert "its SHA-256 differs" in " ".join(result.output.split())
    assert _trace(f"{NAME}/clean", "--no-verify").exit_code == 0


def test_wrong_names_are_one_line_with_exit_code_2(folder: Path) -> None:
    for arguments in (["nothing/clean"], [f"{NAME}@1"], ["missing.csv"], [f"{NAME}/clean@123456"]):
        refused = _trace(*arguments)
        assert refused.exit_code == 2
        assert refused.output.startswith("error: ")
        assert refused.output.count("\n") == 1


def test_a_model_tells_that_it_learned_from_rows_that_decided() -> None:
    use = ModelUse(name="p@1", champion=False, passed=None, rows={"validation": 2, "test": 1})
    assert "knows_validation" not in use.model_dump()
    route = RowRoute(passages=(), models=(use,), into=())
    assert [*_route(route, 0)] == ["p@1: not evaluated, validated on 2, tested on 1"]
    known = use.model_copy(update={"knows_validation": True})
    [line] = _route(route.model_copy(update={"models": (known,)}), 0)
    assert line == "p@1: not evaluated, validated and trained on 2, tested on 1"
