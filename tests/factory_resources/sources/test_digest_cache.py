"""The digest cache: which digests are reused, and which changes of a file are noticed."""

import gc
import mmap
import os
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import DigestCache, DigestedFile, Hashing
from factory_resources.sources.files.discovery import File


@pytest.fixture
def file(tmp_path: Path) -> File:
    path = tmp_path / "d.csv"
    path.write_text("a\n1\n")
    return File(path, "d.csv")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that every file was written ten seconds ago."""
    real = time.time_ns
    monkeypatch.setattr(
        "factory_resources.sources.digest_cache.time.time_ns", lambda: real() + 10**10
    )


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the files that are actually hashed."""
    from factory_resources.sources.files.discovery import sha256_of

    names: list[str] = []

    def recording(path: Path, name: str) -> str:
        names.append(name)
        return sha256_of(path, name)

    monkeypatch.setattr("factory_resources.sources.digest_cache.sha256_of", recording)
    return names


def _digested(file: File, home: Home) -> DigestedFile:
    [digested] = DigestCache(home).of_files((file,))
    assert digested.sha256 == sha256(file.path.read_bytes()).hexdigest()
    return digested


@pytest.mark.usefixtures("settled")
def test_a_file_is_hashed_once(file: File, home: Home, hashed: list[str]) -> None:
    assert _digested(file, home) == _digested(file, home)
    assert hashed == ["d.csv"]
    assert _digested(file, Home(home.path.parent / "other")).bytes == 4
    assert len(hashed) == 2


@pytest.mark.usefixtures("settled")
def test_other_bytes_of_the_same_size_and_time_are_noticed(file: File, home: Home) -> None:
    first = _digested(file, home)
    before = file.path.stat()
    file.path.write_text("a\n2\n")
    os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert _digested(file, home).sha256 != first.sha256
    with pytest.raises(SourceError, match=r"d\.csv: changed while it was read; run again"):
        first.require_unchanged()


@pytest.mark.usefixtures("settled")
def test_what_can_be_hashed_in_a_moment_is_always_hashed(
    file: File, home: Home, hashed: list[str]
) -> None:
    for left, count in ((4, 1), (4, 2), (3, 2), (0, 2)):
        hashing = Hashing(left)
        [digested] = DigestCache(home, hashing).of_files((file,))
        assert len(hashed) == count
        assert digested.trusted == (left < 4)
        assert hashing.left == left % 4


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("left", [100, 0])
def test_a_change_without_times_while_a_file_is_read(file: File, home: Home, left: int) -> None:
    [digested] = DigestCache(home, Hashing(left)).of_files((file,))
    with file.path.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[2] = mapped[2]
        [digested] = DigestCache(home, Hashing(left)).of_files((file,))
        mapped[2] = ord("7")
        if left:
            with pytest.raises(SourceError, match=r"d\.csv: changed while it was read; run again"):
                digested.require_unchanged()
        else:
            digested.require_unchanged()


def test_objects_are_forgotten_only_if_all_is_hashed_anew(home: Home) -> None:
    DigestCache(home).remember("object", "tag", "digest")
    assert DigestCache(home, Hashing.of("files")).recall("object", "tag") == "digest"
    assert DigestCache(home, Hashing.of("all")).recall("object", "tag") is None


@pytest.mark.usefixtures("settled")
def test_another_file_under_the_same_name_is_noticed(file: File, home: Home) -> None:
    first = _digested(file, home)
    other = file.path.with_name("new")
    other.write_text("a\n3\n")
    os.utime(other, ns=(0, file.path.stat().st_mtime_ns))
    os.replace(other, file.path)
    assert _digested(file, home).sha256 != first.sha256


def test_a_file_that_has_just_changed_is_hashed_again(
    file: File, home: Home, hashed: list[str]
) -> None:
    assert _digested(file, home) == _digested(file, home)
    assert hashed == ["d.csv"] * 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [b"", b"no database" * 1000])
def test_a_lost_or_damaged_cache_costs_only_time(
    damage: bytes, file: File, home: Home, hashed: list[str]
) -> None:
    _digested(file, home)
    (home.path / "digests.db").write_bytes(damage)
    for _ in range(3):
        _digested(file, home)
    assert 2 <= len(hashed) <= 3


def test_a_damaged_cache_is_closed(home: Home) -> None:
    home.path.mkdir(parents=True, exist_ok=True)
    (home.path / "digests.db").write_bytes(b"no database" * 1000)
    gc.disable()
    try:
        assert DigestCache(home).recall("a", "b") is None
        opened = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    finally:
        gc.enable()
    assert not [one for one in opened if str(home.path) in one]


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_is_not_an_error(file: File, home: Home) -> None:
    (home.path / "digests.db").mkdir(parents=True)
    assert _digested(file, home) == _digested(file, home)


def test_a_file_that_changes_while_it_is_hashed_is_refused(
    file: File, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(path: Path, name: str) -> str:
        path.write_text("longer than before\n")
        return "0"

    monkeypatch.setattr("factory_resources.sources.digest_cache.sha256_of", changing)
    with pytest.raises(SourceError, match="changed while it was read"):
        _digested(file, home)


def _remember(home: Path, start: int) -> int:
    digests = DigestCache(Home(home))
    for number in range(start, start + 200):
        digests.remember(f"f{number % 250}", "s", str(number % 250))
    return start


def test_several_processes_may_write_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        list(pool.map(_remember, [tmp_path] * 4, (0, 100, 200, 300)))
    digests = DigestCache(Home(tmp_path))
    assert [digests.recall(f"f{n}", "s") for n in range(250)] == [str(n) for n in range(250)]
    assert digests.recall("f1", "other") is None
