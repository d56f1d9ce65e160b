"""Files that a user names: links and what is no file are written to, and stay."""

import os
import stat
import threading
from pathlib import Path
from typing import cast

import pytest

from factory_assets.audit.trace.report import Trace
from factory_assets.cli import tracing
from factory_assets.cli.output_file import write_output
from factory_assets.web.lineage import page
from factory_resources.errors import StorageError
from tests.disks import small_disk


def test_a_file_is_made_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_output(path, b"{}", mode=0o640)
    assert path.read_bytes() == b"{}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_others_may_read_the_page_of_a_trace_unless_the_umask_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int, mode: int
) -> None:
    monkeypatch.setattr(page, "trace_page", lambda _: "values of an answer")
    file, before = tmp_path / "answer.html", os.umask(mask)
    try:
        tracing._write_page(cast(Trace, None), file)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_folder_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"make the folder {tmp_path / 'nwe'}"):
        write_output(tmp_path / "nwe" / "out.json", b"{}")
    assert not (tmp_path / "nwe").exists()


def test_what_cannot_be_written_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        file = disk.folder / "dossier.md"
        write_output(file, b"before")
        with pytest.raises(StorageError, match="or name another file") as caught:
            write_output(file, bytes(256 * 1024))
        assert file.read_bytes() == b"before"
        assert [*disk.folder.iterdir()] == [file]
    assert "FACTORY_HOME" not in str(caught.value)


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(file)
    for content in (b"first", b"second"):
        write_output(link, content)
        assert link.is_symlink()
        assert file.read_bytes() == content


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_output(pipe, b"content")
    reader.join(timeout=30)
    assert read == [b"content"]
    assert pipe.is_fifo()


def test_what_a_program_waits_for_is_written_to_its_descriptor() -> None:
    read, write = os.pipe()
    write_output(Path(f"/dev/fd/{write}"), b"content")
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read() == b"content"
