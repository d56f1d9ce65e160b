"""What a command has printed inside a boundary, and how it ended."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.exceptions import Exit

from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.trace.answer.finding import TracedAnswer
from factory_assets.cli import code_inside, influence, predict, run_inside
from factory_assets.cli.check.check import check
from factory_assets.cli.code_inside import output_inside, path_inside
from factory_assets.cli.tracing import TraceOptions, _influence_inside
from factory_assets.spec import Pipeline
from factory_resources.boundary.boundary import Boundary
from factory_resources.home.home import Home

_REPORT = InfluenceReport(
    model="apples@1",
    about="an answer",
    said=None,
    unit="score",
    lds=0.5,
    ceiling=1.0,
    at_least=0.0,
    reach="rows",
    training_rows=2,
    claim="",
    rows=(),
)


@pytest.fixture(autouse=True)
def _boundary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a boundary that is switched off: how it holds does not matter here."""
    monkeypatch.setattr(code_inside, "boundary_here", lambda *_: Boundary(level="off"))


def command_that(printed: str, code: int) -> list[str]:
    return [sys.executable, "-c", f"print({printed!r}, end=''); raise SystemExit({code})"]


@pytest.mark.parametrize(("printed", "finds"), [("", True), ("the half", False)])
def test_a_command_that_fails_ends_this_one(tmp_path: Path, printed: str, finds: bool) -> None:
    with pytest.raises(Exit) as ended:
        output_inside(command_that(printed, 2), [], Home(tmp_path), finds=finds)
    assert ended.value.exit_code == 2


def test_the_rows_behind_an_answer_are_known_although_something_else_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = json.dumps({"influence": _REPORT.model_dump(mode="json")})
    # As where a file of the version is gone, which the trace outside tells.
    monkeypatch.setattr(run_inside, "factory_command", lambda _: command_that(printed, 1))
    monkeypatch.setattr(code_inside, "names_model", lambda _: True)
    answer, options = SimpleNamespace(id="1"), SimpleNamespace(edge_log=None)
    found = _influence_inside(
        cast(TracedAnswer, answer),
        cast(Pipeline, None),
        Home(tmp_path),
        cast(TraceOptions, options),
    )
    assert found == _REPORT


def test_a_file_is_named_so_that_it_is_found_from_another_folder_and_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "new.csv").write_text("a\n1\n")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "rows")
    (tmp_path / "rows" / "link.csv").symlink_to("new.csv")
    monkeypatch.chdir(tmp_path / "here")
    rows = tmp_path.resolve() / "rows"
    for named, found in (
        ("../rows/new.csv", rows / "new.csv"),
        ("linked/new.csv", rows / "new.csv"),
        ("../rows/link.csv", rows / "link.csv"),
        ("../rows/missing.csv", rows / "missing.csv"),
        ("..", rows.parent),
    ):
        assert path_inside(Path(named)) == found


@pytest.mark.parametrize("command", ["predict", "influence", "trace"])
def test_commands_name_a_file_as_it_is_found_inside(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = cast(Pipeline, SimpleNamespace(name="apples", spec=SimpleNamespace(train=True)))
    asked: list[tuple[list[str], list[Path]]] = []

    def inside(words: list[str], _: object, home: object, reads: list[Path], **__: bool) -> None:
        asked.append((words, [*reads]))
        raise Exit(0)

    for module in (predict, influence, code_inside):
        monkeypatch.setattr(module, "output_inside", inside)
        monkeypatch.setattr(module, "names_model", lambda _: True, raising=False)
    monkeypatch.setattr(influence, "select", lambda _: [pipeline])
    home, file = Home(tmp_path / "home"), Path("..") / tmp_path.name / "new"
    answer = cast(TracedAnswer, SimpleNamespace(id="1"))
    options = cast(TraceOptions, SimpleNamespace(edge_log=file))
    calls: dict[str, Callable[[], object]] = {
        "predict": lambda: predict._predicted_inside(pipeline, file, None, home),
        "influence": lambda: influence.run_influence("a@1", "1", file, suspicious=False, top=1),
        "trace": lambda: _influence_inside(answer, pipeline, home, options),
    }
    with pytest.raises(Exit):
        calls[command]()
    [(words, reads)] = asked
    named = tmp_path.resolve() / "new"
    assert reads == [named]
    assert any(word.endswith(str(named)) for word in words)


def test_code_that_ends_the_process_hides_no_mistake_of_another_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    for name in ("pears", "plums"):
        (tmp_path / name).mkdir()
        source = {"python": "mine:rows"} if name == "pears" else {}
        declaration = {"purpose": "Try", "ingest": {"source": source}}
        content = {"type": "factory_assets.ModelPipeline", "attributes": declaration}
        (tmp_path / name / "defs.yaml").write_text(json.dumps(content))
    (tmp_path / "pears" / "mine.py").write_text("import os\nos._exit(3)\n")
    [pears, plums] = check(["pears", "plums"])
    assert "importing its Python code ended the process (exit code 3)" in pears.what
    assert plums.file == tmp_path / "plums" / "defs.yaml"
