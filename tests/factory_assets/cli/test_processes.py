"""The processes of `factory up`."""

import sys
from pathlib import Path

import pytest

from factory_assets.cli.processes import KeptService, Processes
from factory_resources.errors import FactoryError


def test_the_last_line_of_a_process_that_ended_is_told_without_colours(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    program = r"print('first\n\x1b[32m02:00\x1b[0m - \x1b[1;31mERROR\x1b[0m - no room\n')"
    ended = processes.start("daemon", [sys.executable, "-c", program])
    ended.wait()
    with pytest.raises(FactoryError, match=r"daemon ended unexpectedly \(code 0\)") as raised:
        processes.require_alive({"daemon": ended})
    assert ": 02:00 - ERROR - no room; read that log" in str(raised.value)
    assert raised.value.exit_code == 1
    processes.log("daemon").unlink()
    with pytest.raises(FactoryError, match=r"ended unexpectedly \(code 0\): its log is empty"):
        processes.require_alive({"daemon": ended})


def test_a_service_that_was_up_is_started_again_and_one_that_ends_at_once_is_not(
    tmp_path: Path,
) -> None:
    processes = Processes(tmp_path)
    program = "print('up', flush=True); input()"
    service = KeptService("door", [sys.executable, "-c", program], processes, brief=0.0)
    assert service.process.wait() == 1
    first = service.process
    told = service.look()
    assert told == f"door ended (code 1), and was started again; its log is {tmp_path}/door.log.1"
    assert "EOFError" in (tmp_path / "door.log.1").read_text()
    assert service.process.pid != first.pid
    service.process.wait()
    brief = KeptService("brief", [sys.executable, "-c", "print('no room')"], processes)
    brief.process.wait()
    with pytest.raises(
        FactoryError, match=r"brief ended unexpectedly \(code 0\): no room"
    ) as raised:
        brief.look()
    assert raised.value.exit_code == 1
