"""What a backup stores under a path: the bytes that the file of that path had."""

import os
import stat
from dataclasses import replace
from errno import EPERM
from pathlib import Path

import pytest

from factory_resources.backup import targets
from factory_resources.backup.contents import HomeFile, file_at
from factory_resources.backup.manifest import FILES, MANIFEST
from factory_resources.backup.targets import (
    folder_target,
    newest_backup,
    remove_oldest,
    tar_target,
)


def _file(path: Path) -> HomeFile:
    found = file_at(path, path.name)
    assert found is not None
    return found


def test_a_file_that_got_the_inode_of_one_that_is_gone_keeps_its_own_bytes(tmp_path: Path) -> None:
    salts, token = tmp_path / "salts", tmp_path / "token"
    salts.write_text("of before")
    with folder_target(tmp_path / "backups", "key") as target:
        before = _file(salts)
        target.add(before)
        salts.unlink()
        token.write_text("a token!!")
        # Some file systems give it the inode at once, others later.
        saved = target.add(replace(_file(token), inode=before.inode))
    files = target.path / FILES
    assert (files / "token").read_text() == "a token!!"
    assert (files / "salts").read_text() == "of before"
    assert saved is not None
    assert saved.path == "token"


def test_a_file_with_two_names_is_stored_once(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("rows")
    (tmp_path / "second").hardlink_to(tmp_path / "first")
    with folder_target(tmp_path / "backups", "key") as target:
        for name in ("first", "second"):
            target.add(_file(tmp_path / name))
    files = target.path / FILES
    assert (files / "first").samefile(files / "second")


def test_a_file_with_two_names_is_copied_to_a_disk_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").write_text("rows")
    (tmp_path / "second").hardlink_to(tmp_path / "first")

    def refused(*_: object) -> None:
        # As on exFAT, which most sticks have.
        raise PermissionError(EPERM, os.strerror(EPERM))

    monkeypatch.setattr(os, "link", refused)
    with folder_target(tmp_path / "backups", "key") as target:
        for name in ("first", "second"):
            assert target.add(_file(tmp_path / name))
    files = target.path / FILES
    assert [(files / name).read_text() for name in ("first", "second")] == ["rows", "rows"]


def test_a_file_that_vanishes_before_it_is_compared_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("rows")
    (tmp_path / "second").hardlink_to(tmp_path / "first")
    with folder_target(tmp_path / "backups", "key") as target:
        target.add(_file(tmp_path / "first"))
        second = _file(tmp_path / "second")
        second.source.unlink()
        assert target.add(second) is None


def test_a_backup_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").write_text("rows")
    synced: list[tuple[int, int]] = []

    def note(_: Path) -> None:
        backups = tmp_path / "backups"
        synced.append((len([*backups.rglob(MANIFEST)]), len([*backups.glob("[!.]*")])))

    for name in ("sync_disk", "sync_path"):
        monkeypatch.setattr(targets, name, note)
    with folder_target(tmp_path / "backups", "key") as target:
        target.add(_file(tmp_path / "rows"))
        target.finish(b"manifest", b"note")
    assert synced == [(1, 0), (1, 1)]


def test_a_tar_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, synced = tmp_path / "backup.tar", list[tuple[int | None, bool]]()

    def note(handle: int) -> None:
        found = os.fstat(handle)
        size = None if stat.S_ISDIR(found.st_mode) else found.st_size
        synced.append((size, backup.exists()))

    monkeypatch.setattr(os, "fsync", note)
    with tar_target(backup) as target:
        target.finish(b"manifest", b"note")
    assert synced == [(backup.stat().st_size, False), (None, True)]


def test_two_backups_of_the_same_second_get_a_name_each(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with folder_target(folder, "key") as first:
        with folder_target(folder, "key") as second:
            # The clock may go on between them.
            second.path = first.path
            second.finish(b"second", b"")
        first.finish(b"first", b"")
    assert second.path < first.path
    for target, content in ((first, b"first"), (second, b"second")):
        assert (target.path / MANIFEST).read_bytes() == content


def test_a_folder_whose_name_is_no_time_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "20269999T999999Z").mkdir()
    with folder_target(tmp_path, "key") as target:
        target.finish(b"whole", b"")
    assert newest_backup(tmp_path) == target.path


def test_two_backups_may_remove_the_oldest_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"2026010{day}T000000Z" for day in (1, 2, 3)]
    for name in names:
        (tmp_path / name).mkdir()
    rename = Path.rename

    def taken(path: Path, into: Path) -> Path:
        if path.name == names[1]:
            # The other one was faster.
            path.rmdir()
        return rename(path, into)

    monkeypatch.setattr(Path, "rename", taken)
    remove_oldest(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == names[2:]
