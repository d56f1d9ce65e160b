"""Logs stay small while a process writes to them, and the newest parts are kept."""

import subprocess
import sys
import time
from errno import ENOSPC
from pathlib import Path
from unittest.mock import Mock

import pytest

from factory_resources.home.logs import LogRotation, begin_log

_WRITE = """
import sys
for number in range(int(sys.argv[1])):
    sys.stdout.write(f"{number:09}\\n")
    sys.stdout.flush()
    sys.stdin.readline()
"""


def test_a_log_that_grows_is_set_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    path, rotation = tmp_path / "door.log", LogRotation(tmp_path, largest=95)
    with (
        begin_log(path) as log,
        subprocess.Popen(
            [sys.executable, "-c", _WRITE, "60"], stdout=log, stdin=subprocess.PIPE, bufsize=0
        ) as process,
    ):
        assert process.stdin is not None
        for number in range(60):
            while _last(tmp_path) < number:
                time.sleep(0.001)
            rotation.rotate()
            process.stdin.write(b"\n")
        process.stdin.close()
    assert process.returncode == 0
    found = {file.name: file.read_text().split() for file in tmp_path.iterdir()}
    assert set(found) == {"door.log", "door.log.1", "door.log.2", "door.log.3"}
    kept = [line for name in sorted(found, reverse=True) for line in found[name]]
    assert kept == [f"{number:09}" for number in range(60 - len(kept), 60)]
    assert "\0" not in "".join(kept), "the file has a hole"


def _last(folder: Path) -> int:
    """Return the highest number that was written; -1 before the first."""
    numbers = (
        int(line)
        for file in folder.iterdir()
        for line in file.read_bytes().split()
        if len(line) == 9
    )
    return max(numbers, default=-1)


def test_a_new_start_keeps_the_logs_of_earlier_ones(tmp_path: Path) -> None:
    for start in range(6):
        with begin_log(tmp_path / "code.log") as log:
            log.write(b"%d" % start)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "code.log": "5",
        "code.log.1": "4",
        "code.log.2": "3",
        "code.log.3": "2",
    }


def test_a_log_goes_on_where_there_is_no_room_to_set_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "code.log"
    path.write_bytes(b"before ")
    full = OSError(ENOSPC, "No space left on device")
    monkeypatch.setattr("shutil.copyfile", Mock(side_effect=full))
    with begin_log(path) as log:
        log.write(b"after")
    assert path.read_bytes() == b"before after"


def test_a_log_begins_although_somebody_has_removed_the_folder(tmp_path: Path) -> None:
    with begin_log(tmp_path / "logs" / "code.log") as log:
        log.write(b"0")
    assert [file.name for file in (tmp_path / "logs").iterdir()] == ["code.log"]


def test_the_newest_tracebacks_are_kept(tmp_path: Path) -> None:
    for number in range(130):
        (tmp_path / f"error-2026{number:04}.log").write_text("x")
    rotation = LogRotation(tmp_path)
    rotation.look()
    assert len([*tmp_path.iterdir()]) == 100
    assert not (tmp_path / "error-20260029.log").exists()
    (tmp_path / "error-20269999.log").write_text("x")
    rotation.look()
    assert len([*tmp_path.iterdir()]) == 101, "it looks once a minute"
