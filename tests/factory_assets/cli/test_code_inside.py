"""What a command has printed inside a boundary, and how it ended."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.exceptions import Exit

from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.trace.answer.finding import TracedAnswer
from factory_assets.cli import code_inside, run_inside
from factory_assets.cli.code_inside import output_inside
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
