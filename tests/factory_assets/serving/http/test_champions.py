"""What a server says of champions that cannot be loaded."""

from dataclasses import dataclass, field

import pytest

from factory_assets.serving.http import champions
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.errors import ModelError
from factory_resources.home.home import Home


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
