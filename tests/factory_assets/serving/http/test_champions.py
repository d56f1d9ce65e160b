"""What a server says of champions that cannot be loaded."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from factory_assets.execution.rollout import Rollout
from factory_assets.serving.http import champions
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.home.serving_faults import serving_faults
from tests.pipelines import APPLES, declare


@dataclass
class Told:
    """What the ledger says of the pipeline `p`: which version is champion."""

    version: int = 1
    size: int = 0
    asked: list[int] = field(default_factory=list)


@pytest.fixture
def told(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> Told:
    """A ledger in which only version 1 can be loaded."""
    said = Told()

    def loaded(_: Champions, name: str, number: int) -> ServedModel:
        said.asked.append(number)
        if number != served.version:
            raise ModelError(f"{name}@{number}: its graph was changed", remedy="restore it")
        return served

    monkeypatch.setattr(Champions, "_loaded", loaded)
    monkeypatch.setattr(Champions, "_ledger_size", lambda _: said.size)
    monkeypatch.setattr(Champions, "_standing", lambda *_: champions._Standing(said.version, None))
    return said


def test_a_server_is_ready_after_the_rollback_of_what_could_not_be_loaded(
    told: Told, home: Home
) -> None:
    found = Champions(home, ["p"])
    for version, faults in ((1, []), (2, ["p"]), (1, [])):
        told.version, told.size = version, told.size + 1
        assert found.refresh()
        assert [*found.faults] == faults
        assert found.served["p"].version == 1
    assert told.asked == [1, 2]


def test_a_server_of_a_home_without_champions_says_so_once(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "factory.serve")
    found = Champions(home, [])
    found.refresh()
    found.refresh()
    assert [one.message.partition(":")[0] for one in caplog.records] == ["serves nothing yet"]


def test_a_server_says_that_it_logs_no_keys(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    assert champions._keys("p") == ()
    declare(tmp_path / "p", {**APPLES, "deploy": {"log": {"keys": "colour"}}})
    assert [key.source_name for key in champions._keys("p")] == ["colour"]
    assert not caplog.records
    (tmp_path / "p" / "defs.yaml").write_text(
        "type: factory_assets.ModelPipeline\nattributes: {}\n"
    )
    assert champions._keys("p") == ()
    assert "no keys are logged of p until the server is started again" in caplog.text


def test_a_model_that_cannot_be_loaded_for_an_unforeseen_reason_delays_nothing_else(
    served: ServedModel,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(champions, "_RETRY", 0.0)
    standings = {"odd": champions._Standing(1, None), "p": champions._Standing(1, None)}
    size = 1

    def loaded(_: Champions, name: str, number: int) -> ServedModel:
        if name == "odd":
            raise ValueError("Renamed field names must not contain\nquotes")
        return served

    monkeypatch.setattr(Champions, "_loaded", loaded)
    monkeypatch.setattr(Champions, "_ledger_size", lambda _: size)
    monkeypatch.setattr(Champions, "_standing", lambda _, name: standings[name])
    found = Champions(home, ["odd", "p"])
    assert found.refresh()
    assert (found.state("odd"), found.state("p")) == ("failed", "serves")
    reason = "unexpected ValueError: Renamed field names must not contain quotes; "
    reason += "its traceback is in the log of the server"
    assert found.faults == serving_faults(home) == {"odd": reason}
    for name in ("odd", "p"):
        standings[name] = champions._Standing(1, "stopped by a person")
        size += 1
        assert found.refresh()
        assert found.state(name) == "stopped"
    [record] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.exc_info
    found.close()
    assert not serving_faults(home)


def test_a_new_version_that_cannot_be_loaded_for_an_unforeseen_reason_is_unusable(
    served: ServedModel,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rollout = cast(Rollout, SimpleNamespace(number=7, started=SimpleNamespace(version=2)))

    def loaded(_: Champions, name: str, number: int) -> ServedModel:
        if number == 2:
            raise KeyError("f0")
        return served

    monkeypatch.setattr(champions, "_RETRY", 0.0)
    monkeypatch.setattr(Champions, "_loaded", loaded)
    monkeypatch.setattr(Champions, "_ledger_size", lambda _: 1)
    monkeypatch.setattr(Champions, "_standing", lambda *_: champions._Standing(1, None, rollout))
    found = Champions(home, ["p"])
    for _ in range(3):
        assert found.refresh()
    assert found.state("p") == "serves"
    assert "KeyError" in found.unusable["p"][1]
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
