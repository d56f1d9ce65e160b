"""The state of drift detection in a file: exact, whole, and refused if damaged."""

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.drift.columns import WatchedColumn
from factory_assets.ml.drift.look import look
from factory_assets.ml.drift.state import DriftState, begin
from factory_assets.ml.drift.storage import load, save
from factory_resources.errors import StorageError

COLUMNS = [
    WatchedColumn("a", "number"),
    WatchedColumn("b", "category"),
    WatchedColumn("c", "number", "output"),
    WatchedColumn("never", "number"),
]


def _rows(count: int, seed: int, moved: float = 0.0) -> pa.Table:
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=(2, count)) + moved
    numbers[0, ::7] = np.nan
    names = generator.choice(["ü", "", "long " * 20], count)
    return pa.table(
        {
            "a": numbers[0],
            "b": pa.array(names),
            "c": numbers[1],
            "never": pa.nulls(count, pa.float64()),
        }
    )


def _after_looks(*, seasonal: bool) -> DriftState:
    strata = np.arange(200) % 3 if seasonal else None
    state = begin(_rows(200, 0), COLUMNS, seed=4, strata=strata)
    for number in range(3):
        codes = np.arange(90) % 4 if seasonal else None
        state, _ = look(state, _rows(90, number + 1), days=0.5, strata=codes)
    return state


@pytest.mark.parametrize("seasonal", [False, True])
def test_a_saved_and_loaded_state_gives_the_identical_next_looks(
    tmp_path: Path, seasonal: bool
) -> None:
    state = _after_looks(seasonal=seasonal)
    save(state, tmp_path / "drift.npz")
    loaded = load(tmp_path / "drift.npz")
    strata = np.arange(300) % 4 if seasonal else None
    for number in range(2):
        rows = _rows(300, 9 + number, moved=0.8)
        state, report = look(state, rows, days=1.0, strata=strata)
        loaded, again = look(loaded, rows, days=1.0, strata=strata)
        assert again == report
    assert report.alarm(30.0, 0.1)
    assert _arrays(loaded) == _arrays(state)


def test_a_state_without_looks_or_a_joint_test_is_saved_too(tmp_path: Path) -> None:
    state = begin(_rows(50, 0), COLUMNS[:1], seed=1)
    assert state.joint is None
    save(state, tmp_path / "drift.npz")
    loaded = load(tmp_path / "drift.npz")
    rows = _rows(50, 1)
    assert look(loaded, rows, days=1.0)[1] == look(state, rows, days=1.0)[1]


def _is_refused(path: Path) -> bool:
    try:
        load(path)
    except StorageError:
        return True
    return False


def _arrays(state: DriftState) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        save(state, Path(folder) / "drift.npz")
        with ZipFile(Path(folder) / "drift.npz") as file:
            return {name: file.read(name) for name in file.namelist()}


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "drift.npz"
    save(_after_looks(seasonal=True), path)
    whole, contents = path.read_bytes(), _arrays(load(path))
    generator = np.random.default_rng(0)
    for place in [0, 30, 200, *generator.integers(0, len(whole) - 2_000, 40).tolist()]:
        damaged = bytearray(whole)
        damaged[place : place + 8] = bytes(byte ^ 0xFF for byte in damaged[place : place + 8])
        path.write_bytes(damaged)
        # Only the times in the headers may be anything.
        assert _is_refused(path) or _arrays(load(path)) == contents
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert _is_refused(path)


def test_a_file_of_another_format_or_with_parts_of_another_state_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "drift.npz"
    save(_after_looks(seasonal=False), path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    head = str(arrays["head"])
    changes = [
        {"head": np.array(head.replace('"format": 1', '"format": 2'))},
        {"head": np.array("{}")},
        {"detector.log_r": arrays["detector.log_r"][:-1]},
        {"recent.values": arrays["recent.values"][:, :-1]},
        {"reference.strata": arrays["reference.strata"].astype(object)},
    ]
    for change in changes:
        np.savez(path, allow_pickle=True, **{**arrays, **change})
        with pytest.raises(StorageError, match="cannot be read"):
            load(path)


def test_a_file_that_is_not_there_or_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        load(tmp_path / "none.npz")
    with pytest.raises(StorageError, match="cannot be written"):
        save(begin(_rows(50, 0), COLUMNS, seed=0), tmp_path / "no folder" / "drift.npz")
