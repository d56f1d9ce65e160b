"""`factory new` on a fleet: windows over each unit, units that stay whole, cycles that are left."""

import random
from collections.abc import Iterator
from math import exp
from pathlib import Path
from typing import Any

import pytest

from factory_assets.cli.check.check import check_folder
from factory_assets.cli.new.new import new
from factory_assets.data.leakage.policy import leaks_of
from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec import Pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.home.home import Home
from tests.data_stages import column

UNITS = 24


def _fleet(units: int = UNITS) -> Iterator[list[Any]]:
    """Yield rows of (unit, cycle, two sensors that show wear, noise, a constant, cycles left)."""
    chance = random.Random(7)
    for unit in range(1, units + 1):
        life = chance.randrange(70, 150)
        for cycle in range(1, life + 1):
            wear = exp((cycle - life) / 25)
            heat, pressure = 640 + 4 * wear, 550 - 3 * wear
            yield [
                unit,
                cycle,
                round(heat + chance.gauss(0, 0.4), 2),
                round(pressure + chance.gauss(0, 0.3), 2),
                round(chance.gauss(0, 1), 3),
                21.6,
                life - cycle,
            ]


def _drafted(tmp_path: Path, header: str, width: int, **named: str) -> Pipeline:
    lines = [header] if header else []
    lines += [",".join(map(str, row[:width])) for row in _fleet()]
    (tmp_path / "fleet.csv").write_text("\n".join(lines) + "\n")
    made = new("fleet", source=tmp_path / "fleet.csv", folder=tmp_path / "defs", **named)
    assert [str(problem) for problem in check_folder(made.path.parent)] == []
    return load_pipeline(made.path.parent)


@pytest.mark.parametrize("order", ["cycle", "hour"])
def test_a_fleet_with_a_target_gets_windows_by_unit(order: str, tmp_path: Path) -> None:
    spec = _drafted(tmp_path, f"unit,{order},heat,pressure,noise,epr,left", 7, target="left").spec
    windows = spec.clean.windows
    assert windows is not None
    assert (windows.by, windows.order) == ("unit", order)
    assert windows.columns == ("heat", "pressure", "noise")
    assert windows.size == (10, 50, "all")
    assert (spec.split.group, spec.training.exclude) == ("unit", ("unit", "epr"))
    assert spec.clean.derive == {}


def test_a_fleet_that_ran_to_failure_is_asked_for_what_is_left(tmp_path: Path) -> None:
    made = _drafted(tmp_path, "unit,cycle,heat,pressure,noise,epr", 6)
    assert (made.spec.training.target, made.spec.training.task) == ("remaining", "regression")
    assert [*made.spec.training.leaks.allow] == ["cycle"]
    home = Home(tmp_path / "home")
    result = clean(made, ingest(made, home), home)
    assert column(result.snapshot, home, "remaining") == [row[6] for row in _fleet()]


@pytest.mark.parametrize(("together", "target"), [(False, "remaining"), (True, "heat")])
def test_pumps_are_ordered_by_time(tmp_path: Path, together: bool, target: str) -> None:
    ends = [60 if together else 40 + pump * 7 % 23 for pump in range(14)]
    lines = [
        f"pump-{pump:02},2024-01-{hour // 24 + 1:02}T{hour % 24:02}:00:{pump:02}Z,"
        f"{hour * pump % 17}.5"
        for pump, end in enumerate(ends)
        for hour in range(end)
    ]
    (tmp_path / "pumps.csv").write_text("\n".join(["pump,time,heat", *lines]) + "\n")
    made = new("fleet", source=tmp_path / "pumps.csv", folder=tmp_path / "defs")
    spec = load_pipeline(made.path.parent).spec
    assert (spec.training.target, spec.split.group) == (target, "pump")
    assert "; to test on the latest rows instead, time: time\n" in made.path.read_text()
    if not together:
        assert [str(problem) for problem in check_folder(made.path.parent)] == []
        pipeline, home = load_pipeline(made.path.parent), Home(tmp_path / "home")
        result = clean(pipeline, ingest(pipeline, home), home)
        left = [end - 1 - hour for end in ends for hour in range(end)]
        assert column(result.snapshot, home, "remaining") == left
        leaks = split(pipeline, result, home).leaks
        assert leaks is not None
        assert not [leak for leak in leaks_of(pipeline, leaks) if "outcome" in leak.says]


def test_codes_of_faults_are_no_units_because_one_of_them_has_a_number(tmp_path: Path) -> None:
    codes = [f"E{100 + i % 13}" if i % 7 == 0 else "0" for i in range(1200)]
    rows = [
        [f"2024-01-01 {i // 60:02}:{i % 60:02}:00", code, i * i % 17 + 0.5, int(code != "0")]
        for i, code in enumerate(codes)
    ]
    spec = _drafted_rows(tmp_path, "time,code,heat,fault", rows).spec
    assert (spec.training.target, spec.split.time, spec.clean.windows) == ("fault", "time", None)


def test_cycles_order_a_fleet_even_if_times_stand_before_them(tmp_path: Path) -> None:
    rows = [
        [f"pump-{pump:02}", f"2024-01-{pump + 1:02} {hour:02}:00:00", hour + 1, pump * hour % 17]
        for pump in range(14)
        for hour in range(12 + pump * 5 % 11)
    ]
    windows = _drafted_rows(tmp_path, "pump,time,cycle,heat", rows).spec.clean.windows
    assert windows is not None
    assert (windows.order, windows.columns) == ("cycle", ("heat",))


def _drafted_rows(tmp_path: Path, header: str, rows: list[list[Any]]) -> Pipeline:
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)])
    (tmp_path / "rows.csv").write_text(f"{text}\n")
    return load_pipeline(
        new("rows", source=tmp_path / "rows.csv", folder=tmp_path / "defs").path.parent
    )


_ASKED = "if rows with one pump are alike: group: pump, and exclude it"


@pytest.mark.parametrize(("order", "asked"), [("run", False), ("time", False), ("load", True)])
def test_few_units_may_have_most_rows(order: str, asked: bool, tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = []
    for pump in range(40):
        for run in range(600 if pump < 2 else 9):
            day = f"2024-{run // 28 % 12 + 1:02}-{run % 28 + 1:02} {run // 336:02}:{pump:02}:00"
            cell = {"run": run, "time": day, "load": chance.randrange(999)}[order]
            rows.append([f"P-{pump:03}", cell, chance.gauss(9, 1), chance.gauss(9, 1)])
    spec = _drafted_rows(tmp_path, f"pump,{order},heat,wear", rows).spec
    assert (spec.split.group is None) == asked
    assert ("pump" in spec.training.exclude) != asked
    assert (_ASKED in (tmp_path / "defs" / "rows" / "defs.yaml").read_text()) == asked


def test_people_watched_for_the_same_number_of_days_are_not_asked_for_what_is_left(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)
    rows = [[who, day, chance.gauss(9, 1)] for who in range(300, 340) for day in range(12)]
    spec = _drafted_rows(tmp_path, "subject,day,reaction", rows).spec
    assert (spec.training.target, spec.split.group) == ("reaction", "subject")


def test_a_year_in_which_numbered_firms_report_is_no_unit(tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = [
        [firm, year, chance.gauss(9, 1)]
        for year in range(1990, 2010)
        for firm in range(1, chance.randrange(20, 31))
    ]
    spec = _drafted_rows(tmp_path, "firm,year,profit", rows).spec
    assert (spec.training.target, spec.clean.windows) == ("profit", None)
    assert spec.split.group != "year"


def test_people_who_answer_the_same_questions_are_no_series(tmp_path: Path) -> None:
    rows = [
        [f"q{item}", person, person % 11 + 0.5, person * item % 7]
        for item in range(12)
        for person in range(40)
    ]
    spec = _drafted_rows(tmp_path, "item,id,age,answer", rows).spec
    assert spec.clean.windows is None


@pytest.mark.parametrize("header", ["year,disease,state,count", "year,a,b,c,d,e,f,disease,state,y"])
def test_years_in_which_several_texts_name_the_unit(header: str, tmp_path: Path) -> None:
    chance, numbers = random.Random(7), [0] * (len(header.split(",")) - 4)
    rows = [
        [year, *(chance.random() for _ in numbers), disease, state, chance.random()]
        for disease in ("measles", "mumps")
        for state in "abcdefghijkl"
        for year in range(1990, 2005)
    ]
    assert _drafted_rows(tmp_path, header, rows).spec.split.time == "year"


def test_years_of_two_texts_are_no_panel(tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = [
        [year, sex, chance.random(), chance.random()]
        for sex in ("women", "men")
        for year in range(1920, 2005)
    ]
    assert _drafted_rows(tmp_path, "year,sex,x,y", rows).spec.split.time is None


def test_a_fleet_without_a_header_line_is_recognised(tmp_path: Path) -> None:
    spec = _drafted(tmp_path, "", 6).spec
    assert spec.split.group == "column_1"
    assert spec.clean.windows is not None
    assert spec.clean.windows.order == "column_2"


def test_rows_within_a_day_are_no_series(tmp_path: Path) -> None:
    chance = random.Random(1)
    rows = [f"{i // 24 + 1},{i % 24},{chance.random():.4f},{i % 2}" for i in range(24 * 30)]
    (tmp_path / "hours.csv").write_text("\n".join(["day,hour,x,y", *rows]) + "\n")
    made = new("hours", source=tmp_path / "hours.csv", target="y", folder=tmp_path / "defs")
    spec = load_pipeline(made.path.parent).spec
    assert (spec.clean.windows, spec.split.group) == (None, None)


@pytest.mark.long
@pytest.mark.slow
def test_the_draft_of_a_fleet_passes_its_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from factory_assets.cli.run import run
    from factory_assets.cli.shared import RunSelection

    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    _drafted(tmp_path, "unit,cycle,heat,pressure,noise,epr", 6)
    console: Any = Console(record=True, width=120)
    run(RunSelection(["fleet"]), console)
    assert "champion" in console.export_text()
