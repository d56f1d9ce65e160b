"""What pipelines do inside: training with several processes, and SQL."""

import os
import sys
from pathlib import Path

import pytest

from tests.factory_resources.boundary.inside import boundary, run_inside
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.ordinary_user import USER

pytestmark = pytest.mark.slow

_TRAIN = """
import sys, torch, torch.distributed as dist, torch.multiprocessing as mp
from torch.utils.data import DataLoader, TensorDataset

def work(rank, port):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    rows = TensorDataset(torch.arange(64.0).reshape(64, 1))
    loader = DataLoader(rows, batch_size=8, num_workers=1)
    total = sum(batch.sum() for (batch,) in loader)
    dist.all_reduce(total)
    if rank == 0:
        print(int(total))
    dist.destroy_process_group()

mp.start_processes(work, (int(sys.argv[1]),), nprocs=2, start_method="fork")
"""


@needs_namespaces
def test_two_processes_train_together_with_data_loaders(folder: Path) -> None:
    ended = run_inside(boundary(), [sys.executable, "-c", _TRAIN, "29511"], folder)
    assert ended.output == f"{2 * sum(range(64))}\n", ended.errors


def test_data_loaders_work_in_the_fallback(folder: Path) -> None:
    script = (
        "import torch; from torch.utils.data import DataLoader, TensorDataset\n"
        "rows = TensorDataset(torch.arange(64.0))\n"
        "print(int(sum(b.sum() for (b,) in DataLoader(rows, batch_size=8, num_workers=2))))"
    )
    ended = run_inside(boundary(level="seccomp"), [sys.executable, "-c", script], folder)
    assert ended.output == f"{sum(range(64))}\n", ended.errors


@needs_namespaces
def test_sqlite_and_duckdb_lock_and_write_in_a_declared_folder(folder: Path) -> None:
    work = folder / "work"
    work.mkdir()
    os.chown(work, *USER)
    script = (
        "import duckdb, os, sqlite3, sys; os.chdir(sys.argv[1])\n"
        "lite = sqlite3.connect('a.db'); lite.execute('PRAGMA journal_mode=WAL')\n"
        "lite.execute('CREATE TABLE t AS SELECT 42 AS x'); lite.commit()\n"
        "print(*lite.execute('SELECT x FROM t').fetchone())\n"
        "duckdb.sql(\"COPY (SELECT 43 AS x) TO 'a.parquet'\")\n"
        "print(*duckdb.sql(\"SELECT x FROM 'a.parquet'\").fetchall()[0])"
    )
    within = boundary(writable=(work,))
    ended = run_inside(within, [sys.executable, "-c", script, str(work)], folder)
    assert ended.output == "42\n43\n", ended.errors
