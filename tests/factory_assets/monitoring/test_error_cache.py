"""Errors of estimates are measured once, and again if what was kept is damaged or of others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from factory_assets.ml.performance.estimation_error import EstimationErrors
from factory_assets.monitoring.error_cache import ErrorCache
from factory_assets.monitoring.looks import Looks
from factory_resources.errors import StorageError
from factory_resources.home.home import Home

FOUND = EstimationErrors({"roc_auc": [0.1, 1 / 3, float("inf")]}, {"roc_auc": 0.02})


def counted(calls: list[int]) -> Callable[[], EstimationErrors]:
    def measure() -> EstimationErrors:
        calls.append(1)
        return FOUND

    return measure


def test_what_was_measured_is_read_with_the_same_bits(home: Home) -> None:
    calls: list[int] = []
    for _ in range(3):
        assert ErrorCache(Looks(home, "pumps")).recall(b"1", counted(calls)) == FOUND
    assert len(calls) == 1


def test_others_replace_it(home: Home) -> None:
    calls: list[int] = []
    looks = Looks(home, "pumps")
    for digest in (b"1", b"2", b"1"):
        ErrorCache(looks).recall(digest, counted(calls))
    assert len(calls) == 3
    [kept] = looks.folder.iterdir()
    assert kept.name == f"errors-{b'1'.hex()}.json"
    assert looks.numbers() == []


def test_what_is_damaged_is_measured_again(home: Home) -> None:
    calls: list[int] = []
    cache = ErrorCache(Looks(home, "pumps"))
    cache.recall(b"1", counted(calls))
    [kept] = cache.looks.folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:20])
    assert cache.recall(b"1", counted(calls)) == FOUND
    assert len(calls) == 2


def test_a_disk_that_cannot_be_written_is_told(home: Home, tmp_path: Path) -> None:
    home.watch.parent.mkdir(parents=True, exist_ok=True)
    home.watch.write_text("a file in place of the folder")
    with pytest.raises(StorageError):
        ErrorCache(Looks(home, "pumps")).recall(b"1", lambda: FOUND)
