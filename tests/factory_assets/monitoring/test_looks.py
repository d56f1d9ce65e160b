"""A look is stored whole or not at all, and what is damaged is named."""

from pathlib import Path

import pytest

from factory_assets.monitoring.looks import KEPT, Looks
from factory_assets.monitoring.report import MonitorReport
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from tests.factory_assets.monitoring.test_alerts import look
from tests.power_cuts import PowerCut


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.require_writable()
    return found


def test_a_kill_while_a_look_is_written_leaves_the_look_before(home: Home) -> None:
    first = look(home, 1)
    looks = Looks(home, "pumps")

    def dying(folder: Path) -> None:
        (folder / "inputs.npz").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looks.store(first.model_copy(update={"number": 2}), dying)
    assert looks.numbers() == [1]
    assert looks.latest() == first


def test_a_look_is_on_the_disk_once_it_is_stored(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = PowerCut(home, monkeypatch, "watch")
    look(home, 1)
    assert len([*home.watch.rglob("report.json")]) == 1
    assert power.lost() == []


def test_only_the_last_look_keeps_its_states_and_old_reports_are_forgotten(home: Home) -> None:
    looks = Looks(home, "pumps")
    report = look(home, 1)

    def write(folder: Path) -> None:
        (folder / "inputs.npz").write_bytes(b"state")

    for number in (2, 3, KEPT + 2):
        looks.store(report.model_copy(update={"number": number}), write)
    assert looks.numbers() == [3, KEPT + 2]
    assert not (looks.path(3) / "inputs.npz").exists()
    assert (looks.path(KEPT + 2) / "inputs.npz").read_bytes() == b"state"


@pytest.mark.parametrize("content", ["", "{}", '{"pipeline": 1}'])
def test_a_damaged_report_is_named_with_what_to_do(content: str, home: Home) -> None:
    look(home, 1)
    looks = Looks(home, "pumps")
    (looks.path(1) / "report.json").write_text(content)
    with pytest.raises(StorageError, match=r"report\.json: the report of a look cannot be read"):
        looks.latest()


def test_a_report_is_read_as_it_was_stored(home: Home) -> None:
    report = look(home, 1)
    assert MonitorReport.model_validate_json(Looks(home, "pumps").content(1)) == report
