"""A home's location, atomic writes and scratch folders."""

import os
from pathlib import Path

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT, Home


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


def test_a_home_below_a_file_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        Home(tmp_path / "file" / "home").require_writable()
    assert "point FACTORY_HOME elsewhere" in str(caught.value)
    assert "\n" not in str(caught.value)
