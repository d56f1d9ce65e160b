"""Files and folders are synchronised with the disk, and errors of the disk are raised."""

import os
from pathlib import Path

import pytest

from factory_resources.durability import sync_path


def test_a_file_and_a_folder_are_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    sync_path(file)
    sync_path(tmp_path)
    assert synced == [file.stat().st_ino, tmp_path.stat().st_ino]


def test_an_error_of_the_disk_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output error"):
        sync_path(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == open_before
