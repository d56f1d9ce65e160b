"""How many processes work, and what each of them gets."""

import pytest

from factory_assets.execution.workers.settings import (
    cluster_of,
    share_of_machine,
    worker_setting,
    workers_of,
)
from factory_resources.errors import SettingError


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [("", None, 0), ("", "", 0), ("", "3", 3), ("2", "3", 2), ("256", None, 256)],
)
def test_the_option_counts_before_the_variable(
    option: str, variable: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACTORY_WORKERS", raising=False)
    if variable is not None:
        monkeypatch.setenv("FACTORY_WORKERS", variable)
    assert workers_of(option) == expected


@pytest.mark.parametrize(
    "text", ["0", "-1", "257", "two", "1.5", "²", "ray://head", "ray://:10001", "ray://head:99999"]
)
def test_another_value_is_told_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError) as option:
        workers_of(text)
    monkeypatch.setenv("FACTORY_WORKERS", text)
    with pytest.raises(SettingError) as variable:
        workers_of()
    told = (
        f"is {text!r}; set it to a number of processes from 1 to 256, to ray://HOST:PORT of a Ray "
        "cluster, or leave it out"
    )
    assert str(option.value) == f"--workers {told}"
    assert str(variable.value) == f"FACTORY_WORKERS {told}"


def test_the_address_of_a_cluster_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_WORKERS", "ray://[fd00::1]:10001")
    assert cluster_of() == "[fd00::1]:10001"
    assert worker_setting() == "ray://[fd00::1]:10001"
    assert workers_of() == 256
    assert (cluster_of("3"), worker_setting("3"), workers_of("3")) == ("", "3", 3)


@pytest.mark.parametrize(
    ("memory", "workers", "share"),
    [(None, 2, "0.9GB"), ("4GB", 4, "1GB"), ("80%", 2, "40%"), ("512 MB", 3, "170.667MB")],
)
def test_memory_and_threads_are_shared_out(
    memory: str | None, workers: int, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACTORY_MEMORY", raising=False)
    if memory:
        monkeypatch.setenv("FACTORY_MEMORY", memory)
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    variables = share_of_machine(workers)
    assert variables["FACTORY_MEMORY"] == share
    assert variables["OMP_NUM_THREADS"] == variables["FACTORY_ENGINE_THREADS"] == str(6 // workers)


def test_more_workers_than_threads_have_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert share_of_machine(8)["OMP_NUM_THREADS"] == "1"


def test_what_is_no_amount_of_memory_is_left_for_the_engine_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACTORY_MEMORY", "much")
    assert share_of_machine(2)["FACTORY_MEMORY"] == "much"
