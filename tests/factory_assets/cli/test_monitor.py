"""`factory monitor`: what it prints, its exit codes, and accepting what is new."""

from pathlib import Path

import pytest

from factory_assets.cli import monitor
from factory_assets.monitoring.looks import Looks
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import ChangeAccepted
from tests.commands import in_process
from tests.ledger import problems
from tests.pipelines import declare
from tests.watched import PUMPS, Watched, copy_watched, look, rows, shared_watched

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return shared_watched(tmp_path_factory.mktemp("watched") / "made")


@pytest.fixture
def pumps(made: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return copy_watched(made, tmp_path / "factory", monkeypatch)


def test_a_look_is_printed_and_shown_again(pumps: Watched) -> None:
    pumps.answer(rows(60, 5))
    code, text = in_process("monitor", "pumps")
    assert code == 0, text
    assert "60 rows in 1 request," in text
    assert "estimated roc_auc" in text
    assert in_process("monitor", "pumps", "--last") == (0, text)


def test_an_open_alarm_is_exit_code_1_until_it_is_accepted(pumps: Watched) -> None:
    for day in range(1, 4):
        pumps.answer(rows(200, day, heat=20.0))
        report = pumps.look(day)
    assert report.has("drift")
    code, text = in_process("monitor", "pumps", "--last")
    assert code == 1
    assert "ALARM drift" in text
    reason = "a hotter hall since March"
    code, text = in_process("monitor", "pumps", "--accept", "--reason", reason)
    assert (code, "600 newest ones" in text) == (0, True), text
    entry = Ledger(pumps.home).latest(ChangeAccepted, ChangeAccepted.subject_of(pipeline="pumps"))
    assert entry is not None
    assert (entry[1].reason, entry[1].look) == (reason, 3)
    assert in_process("monitor", "pumps", "--last")[0] == 0
    for day in range(4, 7):
        pumps.answer(rows(200, day, heat=20.0))
        assert pumps.look(day).alarms == ()
    assert Looks(pumps.home, "pumps").numbers() == [1, 2, 3, 4, 5, 6, 7]
    assert problems(pumps.home) == []


def test_a_pipeline_without_a_champion_has_nothing_to_be_looked_at(
    pumps: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(pumps.root / "defs" / "new_pumps", {**PUMPS, "ingest": {"source": {"files": "x.csv"}}})
    none = "'new_pumps' has no champion yet; train and deploy one: factory run new_pumps"
    for arguments in (("monitor",), ("monitor", "--last")):
        code, text = in_process(*arguments)
        assert (code, none in " ".join(text.split())) == (0, True), text
        assert "pumps@1  look 1" in text
        code, text = in_process(*arguments, "new_pumps")
        assert (code, none in " ".join(text.split())) == (2, arguments == ("monitor",)), text
    # A look in a boundary is that of another process, which says it.
    monkeypatch.setattr(monitor, "names_sources", lambda pipeline: True)
    monkeypatch.setattr(monitor, "run_inside", lambda *_, **__: 0)
    assert in_process("monitor") == (0, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("monitor", "pump"), "error: no pipeline 'pump'; did you mean 'pumps'?"),
        (("monitor", "pumps", "--last"), "nobody has looked at the answers of pumps yet"),
        (("monitor", "pumps", "--accept"), "--accept needs one pipeline and --reason"),
        (("monitor", "pumps", "--reason", "x"), "--reason belongs to --accept"),
        (("monitor", "pumps", "--accept", "--reason", " "), "the reason has 0 characters; say why"),
        (
            ("monitor", "pumps", "--accept", "--reason", "x"),
            "nobody has looked at the answers of pumps yet",
        ),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, pumps: Watched
) -> None:
    code, text = in_process(*arguments)
    assert code == 2
    assert line in " ".join(text.split())
    assert "Traceback" not in text


def test_too_few_rows_are_not_accepted(pumps: Watched) -> None:
    pumps.answer(rows(5, 5))
    pumps.look(1)
    code, text = in_process("monitor", "pumps", "--accept", "--reason", "x")
    assert (code, "5 rows since look 1 are too few" in text) == (2, True), text
    assert Looks(pumps.home, "pumps").numbers() == [1]


def test_nothing_is_accepted_of_a_version_that_was_rolled_back(pumps: Watched) -> None:
    look(pumps.home, 1, version=2)
    code, text = in_process("monitor", "pumps", "--accept", "--reason", "x")
    line = "the last look was at version 2 of pumps, and version 1 serves now; look first"
    assert (code, line in " ".join(text.split())) == (2, True), text
