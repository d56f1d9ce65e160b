"""A killed search resumes as if it had not been interrupted, on SQLite and on PostgreSQL."""

from math import log
from pathlib import Path
from typing import Any

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.database import database_address
from factory_resources.home.home import Home
from factory_resources.tracking.studies import Numbers, Settings, Space, Study, Tried, Words, opened
from tests.engines import ON_FILES

pytestmark = pytest.mark.usefixtures("engine")

SPACE: Space = {
    "rate": Numbers(0.001, 0.3, log=True, whole=False),
    "leaves": Numbers(2, 64, log=True, whole=True),
    "shape": Words(("[8]", "[16, 8]", "null")),
}

DECLARED = {"rate": 0.1, "leaves": 31, "shape": "[8]"}

COUNT = 16


def loss(settings: Settings) -> float:
    return abs(log(settings["rate"]) + 3) + settings["leaves"] / 50 + (settings["shape"] != "null")


def proceed(study: Study, until: int, declared: dict[str, Any] = DECLARED) -> None:
    """Run trials up to a number, then begin one that never ends."""
    while True:
        trial = study.begin(SPACE, None if study.tried else declared)
        if len(study.tried) == until:
            return
        value = loss(trial.settings)
        hopeless = [trial.is_hopeless(step, value + 1 / (step + 1)) for step in range(3)]
        if hopeless[-1]:
            trial.end("pruned", None, {"place": len(study.tried)})
        else:
            trial.end("complete", value, {"place": len(study.tried)})


def search(home: Home, name: str, *stops: int, **settings: Any) -> list[Tried]:
    """Interrupt a search after each number of trials in `stops`, and return all its trials."""
    given = {"resume": True, "maximise": False, "seed": 3, "patience": 1, **settings}
    for stop in stops:
        with opened(home, name, **given) as study:
            proceed(study, stop)
    return study.tried


def test_an_interrupted_search_resumes_as_if_uninterrupted(engine: str, home: Home) -> None:
    whole = search(home, "whole", COUNT)
    assert search(home, "broken", 0, 1, 7, 7, 13, COUNT) == whole
    assert [tried.notes["place"] for tried in whole] == [*range(COUNT)]
    assert home.tune_database.exists() == (engine == "sqlite")


def test_another_seed_gives_other_trials(home: Home) -> None:
    assert search(home, "one", 3)[1:] != search(home, "other", 3, seed=4)[1:]


def test_the_given_settings_come_first(home: Home) -> None:
    first = search(home, "a", 1)[0]
    assert first.settings == DECLARED
    assert first.value == loss(DECLARED)


def test_given_settings_may_lie_outside_the_space(home: Home) -> None:
    outside = {"rate": 0.5, "leaves": 31, "shape": "[4]"}
    with opened(home, "a", resume=True, maximise=False, seed=3, patience=1) as study:
        proceed(study, COUNT, outside)
    first, *others = study.tried
    assert first.value == loss(outside)
    assert first.settings == {"leaves": 31}
    assert all(set(other.settings) == set(SPACE) for other in others)


def test_proposed_settings_lie_in_the_space(home: Home) -> None:
    for tried in search(home, "a", COUNT):
        assert all(SPACE[name].holds(value) for name, value in tried.settings.items())
        assert type(tried.settings["leaves"]) is int


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
    with opened(home, "a", resume=True, maximise=maximise, seed=3, patience=0) as study:
        for _ in range(4):
            trial = study.begin(SPACE)
            assert not trial.is_hopeless(0, 1.0)
            trial.end("complete", 1.0, {})
        assert not study.begin(SPACE).is_hopeless(0, 0.5)
        assert study.begin(SPACE).is_hopeless(0, 2.0)


def test_a_search_that_does_not_resume_deletes_its_trials(engine: str, home: Home) -> None:
    search(home, "anew", 3)
    other = search(home, "other", 2)
    assert len(search(home, "anew", 3)) == 3
    with opened(home, "anew", resume=False, maximise=True, seed=3, patience=0) as study:
        assert study.tried == []
    assert search(home, "other", 2) == other


@ON_FILES
def test_a_file_that_is_not_a_database_is_reported_in_one_line(home: Home, tmp_path: Path) -> None:
    home.require_writable()
    home.tune_database.write_bytes(b"this is no database, whatever its name says" * 100)
    with (
        pytest.raises(StorageError, match=r"database of searches is damaged.*remove it") as caught,
        opened(home, "a", resume=True, maximise=True, seed=3, patience=0),
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
