"""`factory verify` of a home whose databases are on a server."""

import pytest

from factory_assets.cli.verify import verify
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.engines import ON_POSTGRES
from tests.factory_resources.outcomes.samples import record_some
from tests.factory_resources.prediction_log.homes import fill
from tests.factory_resources.prediction_log.homes import log as log


@ON_POSTGRES
def test_answers_on_a_server_are_compared_by_who_has_its_address(
    log: PredictionLog,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    fill(log, PredictionIds(), [3, 2])
    assert verify(None, {}, as_json=False) == 0
    assert "5 answers in the database" in capsys.readouterr().out
    with PredictionLog(home) as again:
        assert len([*again.every("apples", bytes(16))]) == 5, "verifying changed the server"
    log.database.run("DELETE FROM prediction WHERE block = 1 AND leaf = 1")
    assert verify(None, {}, as_json=False) == 1
    assert "1 of the 3 records of block" in capsys.readouterr().out


@ON_POSTGRES
def test_outcomes_on_a_server_are_compared_too(
    home: Home, engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    Ledger(home).begin()
    record_some(home, [3])
    assert verify(None, {}, as_json=False) == 0
    assert "3 outcomes" in capsys.readouterr().out
    with open_outcomes(home) as store:
        store.database.run("UPDATE outcome SET value = '9' WHERE number = 2")
    assert verify(None, {}, as_json=False) == 1
    assert "outcome 2" in capsys.readouterr().out
