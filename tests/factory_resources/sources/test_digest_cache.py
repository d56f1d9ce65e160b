"""Digests that are remembered, and all that must not be remembered."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import DigestCache, Digested
from factory_resources.sources.files.discovery import File


@pytest.fixture
def file(tmp_path: Path) -> File:
    path = tmp_path / "d.csv"
    path.write_text("a\n1\n")
    return File(path, "d.csv")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written ten seconds ago."""
    real = time.time_ns
    monkeypatch.setattr(
        "factory_resources.sources.digest_cache.time.time_ns", lambda: real() + 10**10
    )


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read."""
    from factory_resources.sources.files.discovery import sha256_of

    names: list[str] = []

    def counted(path: Path, name: str) -> str:
        names.append(name)
        return sha256_of(path, name)

    monkeypatch.setattr("factory_resources.sources.digest_cache.sha256_of", counted)
    return names


def _of(file: File, home: Home) -> Digested:
    [found] = DigestCache(home).of_files((file,))
    assert found.sha256 == sha256(file.path.read_bytes()).hexdigest()
    return found


@pytest.mark.usefixtures("settled")
def test_a_file_is_hashed_once(file: File, home: Home, hashed: list[str]) -> None:
    assert _of(file, home) == _of(file, home)
    assert hashed == ["d.csv"]
    assert _of(file, Home(home.path.parent / "other")).bytes == 4
    assert len(hashed) == 2


@pytest.mark.usefixtures("settled")
def test_other_bytes_of_the_same_size_and_time_are_noticed(file: File, home: Home) -> None:
    first = _of(file, home)
    before = file.path.stat()
    file.path.write_text("a\n2\n")
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert _of(file, home).sha256 != first.sha256
    with pytest.raises(SourceError, match=r"d\.csv: changed while it was read; run again"):
        first.require_unchanged()


@pytest.mark.usefixtures("settled")
def test_another_file_under_the_same_name_is_noticed(file: File, home: Home) -> None:
    first = _of(file, home)
    other = file.path.with_name("new")
    other.write_text("a\n3\n")
    os.utime(other, ns=(0, file.path.stat().st_mtime_ns))
    os.replace(other, file.path)
    assert _of(file, home).sha256 != first.sha256


def test_a_file_that_has_just_changed_is_hashed_again(
    file: File, home: Home, hashed: list[str]
) -> None:
    assert _of(file, home) == _of(file, home)
    assert hashed == ["d.csv"] * 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [b"", b"no database" * 1000])
def test_a_lost_or_damaged_memory_costs_only_time(
    damage: bytes, file: File, home: Home, hashed: list[str]
) -> None:
    _of(file, home)
    (home.path / "digests.db").write_bytes(damage)
    for _ in range(3):
        _of(file, home)
    assert 2 <= len(hashed) <= 3


@pytest.mark.usefixtures("settled")
def test_a_memory_that_cannot_be_written(file: File, home: Home) -> None:
    (home.path / "digests.db").mkdir(parents=True)
    assert _of(file, home) == _of(file, home)


def test_a_file_that_changes_while_it_is_hashed(
    file: File, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(path: Path, name: str) -> str:
        path.write_text("longer than before\n")
        return "0"

    monkeypatch.setattr("factory_resources.sources.digest_cache.sha256_of", meanwhile)
    with pytest.raises(SourceError, match="changed while it was read"):
        _of(file, home)


def _remember(home: Path, start: int) -> int:
    digests = DigestCache(Home(home))
    for number in range(start, start + 200):
        digests.remember(f"f{number % 250}", "s", str(number % 250))
    return start


def test_several_processes_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_remember, [tmp_path] * 4, (0, 100, 200, 300)))
    digests = DigestCache(Home(tmp_path))
    assert [digests.recall(f"f{n}", "s") for n in range(250)] == [str(n) for n in range(250)]
    assert digests.recall("f1", "other") is None
