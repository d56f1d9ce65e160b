"""The ledger learns of each report once, also if the factory is killed in between."""

from hashlib import sha256

import pytest

from factory_assets.execution.boundary_reports import enter_reports, report_file, reports_folder
from factory_assets.execution.ledger_entries import begin_ledger
from factory_resources.boundary.report import BoundaryReport, Traffic
from factory_resources.home.home import Home
from factory_resources.ledger.boundary_entries import BoundaryHeld
from factory_resources.ledger.ledger import Ledger
from tests.ledger import problems
from tests.power_cuts import PowerCut

REPORT = BoundaryReport(
    level="seccomp",
    reason="namespaces: the kernel refuses them",
    open_ways=(),
    command=("true",),
    allow=("db.example:5432",),
    writable=(),
    readable=(),
    user=1000,
    started=1.0,
    ended=2.0,
    exit_code=3,
    traffic=(Traffic("db.example:5432", "203.0.113.7", 2, 30, 400),),
)


def _killed(*_: object) -> None:
    raise SystemExit


def _entries(home: Home) -> list[BoundaryHeld]:
    with Ledger(home).reading() as log:
        bodies = [log.body(number) for number in range(log.size)]
    return [BoundaryHeld.model_validate_json(one) for one in bodies if b'"boundary/' in one]


def test_a_report_is_entered_once_there_is_a_ledger(home: Home) -> None:
    home.require_writable()
    file = report_file(home, "one")
    REPORT.write(str(file))
    content = file.read_bytes()
    assert enter_reports(home) == {}
    assert file.exists()
    begin_ledger(home)
    assert enter_reports(home) == {"one": REPORT}
    assert enter_reports(home) == {}
    assert (reports_folder(home) / "one.json").read_bytes() == content
    (entry,) = _entries(home)
    assert (entry.subject, entry.level, entry.exit_code) == ("boundary/one", "seccomp", 3)
    assert entry.report == sha256(content).hexdigest()
    traffic = entry.allowed["db.example:5432"]
    assert (traffic.connections, traffic.sent, traffic.received) == (2, 30, 400)


def test_a_report_is_on_the_disk_before_its_entry(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_ledger(home)
    file = report_file(home, "one")
    power = PowerCut(home, monkeypatch, "boundary")
    REPORT.write(str(file))
    assert enter_reports(home) == {"one": REPORT}
    assert power.lost_at_entries == {"boundary": []}


def test_one_that_was_entered_before_a_kill_is_not_entered_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_ledger(home)
    home.require_writable()
    file = report_file(home, "one")
    REPORT.write(str(file))
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", _killed)
        with pytest.raises(SystemExit):
            enter_reports(home)
    assert file.exists()
    assert enter_reports(home) == {"one": REPORT}
    assert len(_entries(home)) == 1


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"level": "none"}'])
def test_what_is_no_report_is_left_alone(content: str, home: Home) -> None:
    begin_ledger(home)
    home.require_writable()
    file = report_file(home, "one")
    file.write_text(content)
    assert enter_reports(home) == {}
    assert file.read_text() == content
    assert _entries(home) == []


def test_a_file_with_the_name_of_no_report_is_left_alone(home: Home) -> None:
    begin_ledger(home)
    home.require_writable()
    for name in ("a b", "ö", "x" * 65):
        REPORT.write(str(report_file(home, name)))
    assert enter_reports(home) == {}
    assert _entries(home) == []
    assert problems(home) == []


def test_an_entry_has_the_beginning_of_a_long_reason_and_the_report_all_of_it(home: Home) -> None:
    begin_ledger(home)
    home.require_writable()
    report = REPORT._replace(reason="x" * 70_000)
    report.write(str(report_file(home, "one")))
    assert enter_reports(home) == {"one": report}
    assert [entry.reason for entry in _entries(home)] == ["x" * 500]
    assert problems(home) == []


def test_reports_are_entered_in_the_order_in_which_they_were_written(home: Home) -> None:
    home.require_writable()
    begin_ledger(home)
    for name in ("b", "c", "a"):
        REPORT.write(str(report_file(home, name)))
    assert [*enter_reports(home)] == ["b", "c", "a"]


def test_a_report_that_was_changed_or_removed_is_found(home: Home) -> None:
    home.require_writable()
    begin_ledger(home)
    REPORT.write(str(report_file(home, "one")))
    enter_reports(home)
    assert problems(home) == []
    file = reports_folder(home) / "one.json"
    file.write_text(file.read_text().replace("seccomp", "namespaces"))
    (changed,) = problems(home)
    assert "boundary/one.json" in changed
    assert "was changed" in changed
    file.unlink()
    (removed,) = problems(home)
    assert "boundary/one.json" in removed
