"""A container's quota of the cores counts, in both versions of control groups."""

from pathlib import Path

import pytest

from factory_assets.execution.workers.settings import share_of_machine
from factory_resources.cores import usable_cores
from factory_resources.sql.engine import sealed


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu.max": ""}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
    ids=str,
)
def test_a_quota_is_read(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_the_engine_and_workers_share_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    monkeypatch.setattr("factory_resources.cores.CGROUP", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    for name in ("OMP_NUM_THREADS", "FACTORY_ENGINE_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with sealed(read=[], write=tmp_path) as engine:
        assert engine.execute("SELECT current_setting('threads')").fetchone() == (4,)
    share = share_of_machine(2)
    assert (share["OMP_NUM_THREADS"], share["FACTORY_ENGINE_THREADS"]) == ("2", "2")
