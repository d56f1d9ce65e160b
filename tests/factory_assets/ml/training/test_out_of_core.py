"""Rows that do not fit in memory: read by columns and batches, they are what they are in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.ml.features.arrays import MemoryMap
from factory_assets.ml.training import out_of_core
from factory_assets.ml.training.out_of_core import Columns, thinned
from factory_assets.ml.training.preparation import make_ready, stream_ready
from factory_assets.stages.train import train
from factory_resources.errors import DataError, StorageError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import KINDS, TASKS, parts, pipeline

MLP = KINDS["mlp"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are large, and their batches small."""
    monkeypatch.setattr(out_of_core, "CELLS", 0)
    monkeypatch.setattr(out_of_core, "BATCH", 100)


@pytest.mark.parametrize("task", TASKS)
def test_encoded_as_in_memory(task: str, small: None, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made, declared = parts(home, task=task), pipeline(tmp_path, MLP)
    batches = stream_ready(
        declared, made.train, made.validation, home, declared.spec.training.model
    )
    tables = read_arrow(made.train, home), read_arrow(made.validation, home)
    memory = make_ready(declared, *tables, declared.spec.training.model)
    assert batches.features == memory.features
    assert batches.target == memory.target
    np.testing.assert_array_equal(batches.truth, memory.truth)
    for ours, other in ((batches.rows, memory.rows), (batches.held, memory.held)):
        for found, expected in _arrays(ours, other):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
    assert list(home.tmp.glob("*-*")) == []


@pytest.mark.slow
def test_it_learns_the_same_every_time(small: None, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made, declared = parts(home), pipeline(tmp_path, MLP)
    first, again = (train(declared, made, home) for _ in range(2))
    assert first.digest == again.digest
    assert first.rows == made.train.rows
    assert first.validation["roc_auc"] > 0.8


@pytest.mark.slow
def test_trees_have_their_rows_in_memory(small: None, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made, declared = parts(home), pipeline(tmp_path, KINDS["random_forest"])
    assert train(declared, made, home).validation["roc_auc"] > 0.8


def test_a_part_of_a_large_table_stands_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    made = parts(home)
    whole = read_arrow(made.train, home)
    assert thinned(made.train, home).equals(whole)
    monkeypatch.setattr(out_of_core, "CELLS", whole.num_rows * whole.num_columns - 1)
    monkeypatch.setattr(out_of_core, "BATCH", 64)
    assert thinned(made.train, home).equals(whole.take(list(range(0, 600, 11))))


def test_what_is_let_go_of_is_read_again(tmp_path: Path) -> None:
    values = np.arange(100_000, dtype=np.float32)
    values.tofile(tmp_path / "values")
    mapped = MemoryMap()
    found = mapped.array(tmp_path / "values", "float32", 50_000, 2)
    (tmp_path / "values").unlink()
    before = found.copy()
    mapped.release()
    np.testing.assert_array_equal(found, before)
    np.testing.assert_array_equal(found, values.reshape(50_000, 2))


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 95])
def test_every_row_once_an_epoch_in_another_order(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from factory_assets.ml.models.networks.lightning import batches

    monkeypatch.setattr(batches, "TOGETHER", 30)
    tensors = torch.arange(rows), torch.arange(rows), torch.arange(rows)
    slices, again = (batches.Streamed(tensors, 10, 7, MemoryMap()) for _ in range(2))
    epochs = [[batch[2].tolist() for batch in slices] for _ in range(2)]
    for epoch in epochs:
        assert len(epoch) == len(slices) == -(-rows // 10)
        assert sorted(row for batch in epoch for row in batch) == list(range(rows))
    assert rows < 9 or epochs[0] != epochs[1]
    assert [batch[2].tolist() for batch in again] == epochs[0]


def test_a_killed_epoch_goes_on_where_it_was() -> None:
    import torch

    from factory_assets.ml.models.networks.lightning.batches import Streamed

    tensors = torch.arange(95), torch.arange(95), torch.arange(95)
    whole, killed, goes_on = (Streamed(tensors, 10, 7, MemoryMap()) for _ in range(3))
    expected = [batch[2].tolist() for _ in range(2) for batch in whole]
    before = iter(killed)
    first = [next(before)[2].tolist() for _ in range(4)]
    goes_on.go_to(killed.place)
    rest = [batch[2].tolist() for _ in range(2) for batch in goes_on]
    assert first + rest == expected


def test_no_row_and_no_column(tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    assert MemoryMap().array(tmp_path / "none", "int64", 7, 0).shape == (7, 0)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made, declared = parts(home), pipeline(tmp_path, MLP, target="failure")
    with pytest.raises(DataError, match="no target column 'failure'"):
        stream_ready(declared, made.train, made.validation, home, declared.spec.training.model)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    made = parts(home)
    columns = Columns(made.train, home)
    assert "heat" in columns.column_names
    for path in made.train.paths(home):
        path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        columns["heat"]


def _arrays(ours: Any, other: Any) -> list[tuple[Any, Any]]:
    return [
        (ours.inputs.numbers, other.inputs.numbers),
        (ours.inputs.codes, other.inputs.codes),
        (ours.target, other.target),
    ]
