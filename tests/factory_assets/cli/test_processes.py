"""The processes of `factory up`."""

import sys
from pathlib import Path

import pytest

from factory_assets.cli.processes import Processes
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
