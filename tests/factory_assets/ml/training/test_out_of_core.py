"""Rows encoded by columns and batches equal rows encoded in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.ml.features.arrays import MemoryMap
from factory_assets.ml.training import out_of_core
from factory_assets.ml.training.out_of_core import ColumnReader, sample_rows
from factory_assets.ml.training.preparation import prepare_rows, stream_rows
from factory_assets.stages.train import train
from factory_resources.errors import DataError, StorageError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import KINDS, TASKS, parts, pipeline

MLP = KINDS["mlp"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every table as large, and read it in small batches."""
    monkeypatch.setattr(out_of_core, "CELLS", 0)
    monkeypatch.setattr(out_of_core, "BATCH", 100)


@pytest.mark.parametrize("task", TASKS)
def test_streamed_rows_equal_rows_encoded_in_memory(task: str, small: None, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    split, declared = parts(home, task=task), pipeline(tmp_path, MLP)
    batches = stream_rows(
        declared, split.train, split.validation, home, declared.spec.training.model
    )
    tables = read_arrow(split.train, home), read_arrow(split.validation, home)
    memory = prepare_rows(declared, *tables, declared.spec.training.model)
    assert batches.features == memory.features
    assert batches.target == memory.target
    np.testing.assert_array_equal(batches.truth, memory.truth)
    for streamed, in_memory in (
        (batches.rows, memory.rows),
        (batches.validation, memory.validation),
    ):
        for array, expected in _arrays(streamed, in_memory):
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == expected.dtype
    assert list(home.tmp.glob("*-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "tabm"])
def test_training_on_streamed_rows_is_deterministic(kind: str, small: None, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    split, declared = parts(home), pipeline(tmp_path, KINDS[kind])
    first, again = (train(declared, split, home) for _ in range(2))
    assert first.digest == again.digest
    assert first.rows == split.train.rows
    assert first.validation["roc_auc"] > 0.8


@pytest.mark.slow
def test_trees_train_on_a_large_table_in_memory(small: None, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    split, declared = parts(home), pipeline(tmp_path, KINDS["random_forest"])
    assert train(declared, split, home).validation["roc_auc"] > 0.8


def test_thinned_keeps_every_nth_row_of_a_large_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    split = parts(home)
    whole = read_arrow(split.train, home)
    assert sample_rows(split.train, home).equals(whole)
    monkeypatch.setattr(out_of_core, "CELLS", whole.num_rows * whole.num_columns - 1)
    monkeypatch.setattr(out_of_core, "BATCH", 64)
    assert sample_rows(split.train, home).equals(whole.take(list(range(0, 600, 11))))


def test_released_memory_map_is_read_again_from_its_file(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype=np.float32)
    values.tofile(tmp_path / "values")
    mapped = MemoryMap()
    array = mapped.array(tmp_path / "values", "float32", 50_000, 2)
    (tmp_path / "values").unlink()
    before = array.copy()
    mapped.release()
    np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(array, values.reshape(50_000, 2))


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 95])
def test_streamed_batches_contain_every_row_once_in_a_new_order_each_epoch(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from factory_assets.ml.models.networks.lightning import batches

    monkeypatch.setattr(batches, "SHUFFLE_ROWS", 30)
    tensors = torch.arange(rows), torch.arange(rows), torch.arange(rows)
    slices, again = (batches.ShuffledMappedSlices(tensors, 10, 7, MemoryMap()) for _ in range(2))
    epochs = [[batch[2].tolist() for batch in slices] for _ in range(2)]
    for epoch in epochs:
        assert len(epoch) == len(slices) == -(-rows // 10)
        assert sorted(row for batch in epoch for row in batch) == list(range(rows))
    assert rows < 9 or epochs[0] != epochs[1]
    assert [batch[2].tolist() for batch in again] == epochs[0]


def test_streamed_batches_resume_within_an_epoch() -> None:
    import torch

    from factory_assets.ml.models.networks.lightning.batches import ShuffledMappedSlices

    tensors = torch.arange(95), torch.arange(95), torch.arange(95)
    whole, killed, resumed = (ShuffledMappedSlices(tensors, 10, 7, MemoryMap()) for _ in range(3))
    expected = [batch[2].tolist() for _ in range(2) for batch in whole]
    before = iter(killed)
    first = [next(before)[2].tolist() for _ in range(4)]
    resumed.go_to(killed.place)
    rest = [batch[2].tolist() for _ in range(2) for batch in resumed]
    assert first + rest == expected


def test_memory_map_of_an_empty_file_has_the_requested_shape(tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    assert MemoryMap().array(tmp_path / "none", "int64", 7, 0).shape == (7, 0)


def test_stream_ready_rejects_a_missing_target_column(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    split, declared = parts(home), pipeline(tmp_path, MLP, target="failure")
    with pytest.raises(DataError, match="no target column 'failure'"):
        stream_rows(declared, split.train, split.validation, home, declared.spec.training.model)


def test_columns_raise_storage_error_if_a_file_is_missing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    split = parts(home)
    columns = ColumnReader(split.train, home)
    assert "heat" in columns.column_names
    for path in split.train.paths(home):
        path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        columns["heat"]


def _arrays(streamed: Any, in_memory: Any) -> list[tuple[Any, Any]]:
    return [
        (streamed.inputs.numbers, in_memory.inputs.numbers),
        (streamed.inputs.codes, in_memory.inputs.codes),
        (streamed.target, in_memory.target),
    ]
