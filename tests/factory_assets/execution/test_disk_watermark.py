"""No new run starts when little space is left; what has begun goes on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_resources.errors import StorageError
from factory_resources.home.disk_space import disk_space, growth, note_space, samples
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from tests.pipelines import APPLES, declare, enter, write_apples

_ALL = "900000TB"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with a pipeline that the environment names."""
    enter(tmp_path, monkeypatch)
    write_apples(tmp_path / "defs" / "apples")
    declare(tmp_path / "defs" / "apples", APPLES)
    home = Home(tmp_path / "home")
    prepare(home)
    return home


def _run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["run", "apples", *arguments])
    return done.exit_code, done.stderr


def _entries(home: Home) -> int:
    with Ledger(home).reading() as log:
        return log.size


@pytest.mark.slow
def test_a_new_run_is_refused_in_one_line_and_an_unchanged_one_is_not(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run()[0] == 0
    size = _entries(home)
    monkeypatch.setenv("FACTORY_DISK_KEEP", _ALL)
    assert _run()[0] == 0, "nothing changed, and nothing is stored"
    code, said = _run("--no-reuse")
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert "no new run starts: " in line
    assert "free space (factory gc shows" in line
    assert _entries(home) == size
    monkeypatch.setenv("FACTORY_DISK_KEEP", "0")
    assert _run("--no-reuse", "--stages", "ingest")[0] == 0


@pytest.mark.slow
def test_a_run_that_has_begun_goes_on(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = declare(tmp_path / "defs" / "apples", APPLES)
    run_stage(StageRequest(pipeline, "ingest", home, "begun"))
    monkeypatch.setenv("FACTORY_DISK_KEEP", _ALL)
    assert not run_stage(StageRequest(pipeline, "clean", home, "begun")).reused
    with pytest.raises(StorageError, match="no new run starts"):
        run_stage(StageRequest(pipeline, "split", home, "another"))


@pytest.mark.slow
def test_the_setting_of_the_factory_counts_unless_the_environment_names_another(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "defs" / "factory.yaml").write_text(f"disk: {{keep: {_ALL}}}\n")
    code, said = _run()
    assert (code, "no new run starts" in said) == (2, True), said
    monkeypatch.setenv("FACTORY_DISK_KEEP", "1MB")
    assert _run()[0] == 0


def test_an_amount_that_is_none_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="'much' is not an amount of space"):
        disk_space(home).floor("much")


def test_free_space_is_noted_once_an_hour_and_forgotten_after_two_weeks(home: Home) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    for minutes in (0, 59, 60, 61):
        note_space(home, now + timedelta(minutes=minutes))
    assert [time for time, _ in samples(home)] == [
        "2026-03-01T00:00:00+00:00",
        "2026-03-01T01:00:00+00:00",
    ]
    note_space(home, now + timedelta(days=15))
    assert len(samples(home)) == 1
    (home.path / "disk.json").write_text("{")
    assert samples(home) == []


@pytest.mark.parametrize("time", ["2026-11-30T01:40:07>00:00", "2026-11-30", 2026])
def test_what_was_noted_counts_only_if_it_is_whole(time: object, home: Home) -> None:
    now = datetime(2026, 11, 30, 2, tzinfo=UTC)
    (home.path / "disk.json").write_text(json.dumps([[time, 7]]))
    growth(samples(home), 7, now)
    note_space(home, now)
    assert samples(home)[-1][0] == "2026-11-30T02:00:00+00:00"


def test_a_clock_that_was_ahead_stops_no_forecast(home: Home) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    note_space(home, now + timedelta(days=400))
    for day in range(3):
        note_space(home, now + timedelta(days=day))
    known = samples(home)
    assert [time[:10] for time, _ in known] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    ahead = ((now + timedelta(days=400)).isoformat(), 10**15)
    later, free = now + timedelta(days=3), known[0][1] - 300
    assert growth([*known, ahead], free, later) == growth([ahead, *known], free, later) == 100.0
    assert growth([ahead], free, later) is None


@pytest.mark.parametrize(
    ("hours", "before", "expected"),
    [(48, 500, 200.0), (24, 100, 0.0), (24, 40, -60.0), (23, 500, None), (400, 500, None)],
)
def test_growth_is_that_of_a_day_at_least(hours: int, before: int, expected: float | None) -> None:
    now = datetime(2026, 3, 20, tzinfo=UTC)
    known = [((now - timedelta(hours=hours)).isoformat(), before)]
    assert growth(json.loads(json.dumps(known)), 100, now) == expected
