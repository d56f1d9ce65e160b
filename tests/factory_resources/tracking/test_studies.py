"""A killed search resumes as if it had not been interrupted, on SQLite and on PostgreSQL."""

from math import inf, log
from pathlib import Path
from typing import Any

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.database import database_address
from factory_resources.home.home import Home
from factory_resources.tracking.studies import (
    Categories,
    FinishedTrial,
    NumberRange,
    Settings,
    Space,
    Study,
    open_study,
)
from tests.engines import ON_FILES, server_in_long

pytestmark = pytest.mark.usefixtures("engine")

SPACE: Space = {
    "rate": NumberRange(0.001, 0.3, log=True, whole=False),
    "leaves": NumberRange(2, 64, log=True, whole=True),
    "shape": Categories(("[8]", "[16, 8]", "null")),
}

DECLARED = {"rate": 0.1, "leaves": 31, "shape": "[8]"}

COUNT = 16


def loss(settings: Settings) -> float:
    return abs(log(settings["rate"]) + 3) + settings["leaves"] / 50 + (settings["shape"] != "null")


def proceed(
    study: Study, until: int, declared: dict[str, Any] = DECLARED, batch_size: int = 1
) -> None:
    """Run trials up to a number, then begin one that never ends."""
    while True:
        medians = study.median_losses()
        batch = study.begin(SPACE, None if len(study.finished) >= batch_size else declared)
        for trial in batch:
            if len(study.finished) == until:
                return
            value = loss(trial.settings)
            losses = [(step, value + 1 / (step + 1)) for step in range(3)]
            is_pruned = losses[-1][1] > medians.get(2, inf)
            notes = {"place": len(study.finished)}
            trial.end(
                "pruned" if is_pruned else "complete", None if is_pruned else value, notes, losses
            )


def search(home: Home, name: str, *stops: int, **settings: Any) -> list[FinishedTrial]:
    """Interrupt a search after each number of trials in `stops`, and return all its trials."""
    given = {"resume": True, "maximise": False, "seed": 3, "patience": 1, **settings}
    for stop in stops:
        with open_study(home, name, **given) as study:
            proceed(study, stop, batch_size=given.get("batch", 1))
    return study.finished


def test_an_interrupted_search_resumes_as_if_uninterrupted(engine: str, home: Home) -> None:
    whole = search(home, "whole", COUNT)
    assert search(home, "broken", 0, 1, 7, 7, 13, COUNT) == whole
    assert search(home, "in fours", COUNT, batch=4) != whole
    assert [tried.notes["place"] for tried in whole] == [*range(COUNT)]
    assert home.tune_database.exists() == (engine == "sqlite")


@server_in_long("engine")
def test_an_interrupted_batch_goes_on_as_if_uninterrupted(home: Home) -> None:
    whole = search(home, "whole", COUNT - 2, batch=4)
    stops = (0, 1, 3, 4, 6, 7, 7, 13)
    assert search(home, "broken", *stops, COUNT - 2, batch=4) == whole
    assert len({str(tried.settings) for tried in whole}) == COUNT - 2


def test_no_trial_of_a_batch_depends_on_another(home: Home) -> None:
    """Whatever becomes of the others, the same settings are proposed, and the same is hopeless."""
    given: dict[str, Any] = {"resume": True, "maximise": False, "seed": 3, "patience": 0}
    search(home, "a", 8, batch=4)
    with open_study(home, "a", **given, batch=4) as study:
        medians = study.median_losses()
        first, *others = study.begin(SPACE)
        first.end("complete", 0.0, {}, [(0, 0.0)])
        proposed = [one.settings for one in others]
        assert study.is_within_batch is False
    with open_study(home, "a", **given, batch=4) as study:
        assert study.is_within_batch
        assert study.median_losses() == medians
        rest = study.begin(SPACE)
        assert [one.settings for one in rest] == proposed
        assert [one.number for one in rest] == [9, 10, 11]


def test_a_batch_ends_with_the_search(home: Home) -> None:
    given: dict[str, Any] = {"resume": True, "maximise": False, "seed": 3, "patience": 0}
    with open_study(home, "a", **given, batch=4) as study:
        assert [one.number for one in study.begin(SPACE, max_trials=3)] == [0, 1, 2]


def test_another_seed_gives_other_trials(home: Home) -> None:
    assert search(home, "one", 3)[1:] != search(home, "other", 3, seed=4)[1:]


def test_the_given_settings_come_first(home: Home) -> None:
    first = search(home, "a", 1)[0]
    assert first.settings == DECLARED
    assert first.value == loss(DECLARED)


def test_given_settings_may_lie_outside_the_space(home: Home) -> None:
    outside = {"rate": 0.5, "leaves": 31, "shape": "[4]"}
    with open_study(home, "a", resume=True, maximise=False, seed=3, patience=1) as study:
        proceed(study, COUNT, outside)
    first, *others = study.finished
    assert first.value == loss(outside)
    assert first.settings == {"leaves": 31}
    assert all(set(other.settings) == set(SPACE) for other in others)


def test_proposed_settings_lie_in_the_space(home: Home) -> None:
    for tried in search(home, "a", COUNT):
        assert all(SPACE[name].contains(value) for name, value in tried.settings.items())
        assert type(tried.settings["leaves"]) is int


@server_in_long("engine")
def test_later_trials_are_better_than_the_first_drawn_by_chance(home: Home) -> None:
    values = [t.value for t in search(home, "a", 40) if t.value is not None]
    assert sum(values[10:]) / len(values[10:]) < 0.7 * sum(values[:10]) / 10
    assert min(values) < 0.5 * loss(DECLARED)


def test_trials_below_the_median_are_pruned(home: Home) -> None:
    tried = search(home, "a", COUNT)
    pruned = [t for t in tried if t.state == "pruned"]
    assert pruned
    assert all(t.value is None for t in pruned)
    # The first trials cannot be compared with others.
    assert all(t.state == "complete" for t in tried[:4])
    assert all(t.state == "complete" for t in search(home, "patient", COUNT, patience=3))


@pytest.mark.parametrize("maximise", [True, False])
def test_a_small_loss_is_good_whether_the_metric_is_maximised_or_not(
    maximise: bool, home: Home
) -> None:
    with open_study(home, "a", resume=True, maximise=maximise, seed=3, patience=0) as study:
        for value in (1.0, 2.0, 5.0, 6.0):
            assert study.median_losses() == {}
            [trial] = study.begin(SPACE)
            trial.end("complete", 1.0, {}, [(0, value)])
        assert study.median_losses() == {0: 3.5}


def test_a_search_that_does_not_resume_deletes_its_trials(engine: str, home: Home) -> None:
    search(home, "anew", 3)
    other = search(home, "other", 2)
    assert len(search(home, "anew", 3)) == 3
    with open_study(home, "anew", resume=False, maximise=True, seed=3, patience=0) as study:
        assert study.finished == []
    assert search(home, "other", 2) == other


@ON_FILES
def test_a_file_that_is_not_a_database_is_reported_in_one_line(home: Home, tmp_path: Path) -> None:
    home.require_writable()
    home.tune_database.write_bytes(b"this is no database, whatever its name says" * 100)
    with (
        pytest.raises(StorageError, match=r"database of searches is damaged.*remove it") as caught,
        open_study(home, "a", resume=True, maximise=True, seed=3, patience=0),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_tables_of_another_version_are_reported_in_one_line(engine: str, home: Home) -> None:
    import sqlalchemy as sa

    search(home, "a", 1)
    tables = sa.create_engine(database_address(home.tune_database, "tune"))
    with tables.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'v9.0.0.a'"))
    tables.dispose()
    with pytest.raises(StorageError, match="by another version of Optuna") as caught:
        search(home, "a", 1)
    where = home.tune_database if engine == "sqlite" else "schema tune of FACTORY_DATABASE_URL"
    assert str(caught.value).startswith(f"{where}: ")
