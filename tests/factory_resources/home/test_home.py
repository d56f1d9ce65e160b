"""A home's location, atomic writes and scratch folders."""

import os
from pathlib import Path

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT, Home, storage_errors
from tests.loopback import OTHER, needs_root


def test_default_is_beside_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FACTORY_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Home.from_env().path == PROJECT / ".factory"


def test_the_declared_home_precedes_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "mine"))
    assert Home.from_env().path == tmp_path / "mine"


def test_a_failed_write_leaves_the_old_content(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home.path / "file"
    home.write_atomic(path, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device.*free space"):
        home.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in home.path.iterdir()] == ["file"]


def test_scratch_is_removed_after_an_error(home: Home) -> None:
    with pytest.raises(FileNotFoundError), home.scratch() as folder:  # noqa: PT012
        (folder / "x").write_text("x")
        (folder / "missing").read_text()
    assert not folder.exists()
    assert list(home.tmp.iterdir()) == []


@pytest.mark.parametrize("content", [(), ("lost+found",), ("tmp", "records", "mlflow.db")])
def test_a_folder_that_is_open_to_others_is_closed(
    tmp_path: Path, content: tuple[str, ...]
) -> None:
    home = Home(tmp_path / "home")
    for name in content:
        (home.path / name).mkdir(parents=True)
    home.path.mkdir(exist_ok=True)
    home.path.chmod(0o755)
    home.require_writable()
    assert home.path.stat().st_mode & 0o777 == 0o700


def test_an_open_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my notes").mkdir()
    (tmp_path / "my notes" / "letter.txt").write_text("Dear Sir")
    (tmp_path / "my notes").chmod(0o775)
    with pytest.raises(StorageError) as caught:
        Home(tmp_path / "my notes").require_writable()
    assert "(its rights are 0775); close it: chmod 700 '" in str(caught.value)
    assert [p.name for p in (tmp_path / "my notes").iterdir()] == ["letter.txt"]


def test_whatever_makes_the_home_makes_it_private(tmp_path: Path) -> None:
    homes = [Home(tmp_path / str(number)) for number in range(4)]
    with homes[0].lock("one"), homes[1].working(), homes[2].scratch():
        homes[3].write_atomic(homes[3].path / "a" / "b", b"c")
    assert [home.path.stat().st_mode & 0o777 for home in homes] == [0o700] * 4


def test_a_home_below_a_file_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        Home(tmp_path / "file" / "home").require_writable()
    assert "point FACTORY_HOME elsewhere" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_in_a_folder_that_is_not_there_is_told_apart_from_a_full_disk(
    tmp_path: Path,
) -> None:
    for path, remedy in (
        (tmp_path / "nowhere" / "report.html", f"make the folder {tmp_path / 'nowhere'}"),
        (tmp_path, "free space or make the folder writable"),
    ):
        with pytest.raises(StorageError) as caught, storage_errors(path):
            path.write_text("")
        assert caught.value.remedy.startswith(remedy)


@needs_root
def test_a_lock_that_root_takes_first_can_be_taken_by_the_user_of_the_home(home: Home) -> None:
    home.require_writable()
    locks = home.tmp / "locks"
    locks.mkdir()
    os.chown(locks, OTHER, OTHER)
    with home.lock("predictions"):
        assert (locks / "predictions").stat().st_uid == OTHER
    os.chown(home.tmp, OTHER, OTHER)
    with home.working():
        assert (home.tmp / ".working").stat().st_uid == OTHER
    # A link of that user gives away no file of another folder.
    elsewhere = locks.rename(home.tmp / "elsewhere")
    locks.symlink_to(elsewhere)
    with home.lock("outcomes"):
        assert (elsewhere / "outcomes").stat().st_uid == 0
