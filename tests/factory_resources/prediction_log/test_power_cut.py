"""After a power cut, no answer that was sent is missing, and no key that was destroyed is back."""

from datetime import UTC, date, datetime, timedelta

import pytest

from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.protection import Protection, destroy_keys
from tests.factory_resources.prediction_log.samples import write
from tests.power_cuts import PowerCut


@pytest.fixture
def power(home: Home, monkeypatch: pytest.MonkeyPatch) -> PowerCut:
    """Watches the folders of a home whose ledger has begun."""
    Ledger(home).begin()
    return PowerCut(home, monkeypatch, "predictions", "secrets")


def test_an_answer_is_on_the_disk_once_it_is_flushed(home: Home, power: PowerCut) -> None:
    journal, ids = PredictionLog(home).journal(), PredictionIds()
    for number in range(3):
        write(journal, [number], ids)
        assert power.lost() == []
    journal.close()
    assert len([*home.predictions.rglob("*.sealed")]) == 1
    assert (power.lost(), power.back_again()) == ([], [])


def test_an_answer_is_in_the_archive_on_the_disk_before_its_entry(
    home: Home, power: PowerCut
) -> None:
    with PredictionLog(home) as log:
        journal = log.journal()
        write(journal, range(3), PredictionIds())
        journal.close()
        assert log.collect() == 1
        assert power.back_again() == []
        assert log.archive(datetime.now(UTC).date() + timedelta(days=1)) == 1
    assert power.lost_at_entries["predictions_archived"] == []


def test_a_key_that_was_destroyed_stays_so(home: Home, power: PowerCut) -> None:
    Protection(home, "apples", "encrypted").protect("Ada", 0)
    assert destroy_keys(home, "apples", date(2026, 1, 1), "asked by the person") == ["1970-01"]
    assert (power.lost(), power.back_again()) == ([], [])
