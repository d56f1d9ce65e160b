"""What a stage declares as `resources` decides how many workers work, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.cache_key import relevant_spec
from factory_assets.execution.workers.room import Needs, needs_of, require_room, room_for
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import DeclarationError
from factory_resources.metering import machine
from tests.pipelines import APPLES, declare

_STAGES: tuple[Stage, ...] = ("ingest", "clean", "train", "evaluate")


def _declared(folder: Path, **resources: dict[str, Any]) -> Pipeline:
    sections = {name: {**APPLES.get(name, {}), "resources": r} for name, r in resources.items()}
    return declare(folder / "apples", {**APPLES, **sections})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 GB and two GPUs."""
    monkeypatch.setattr(machine, "memory_bytes", lambda: 16 * 10**9)
    monkeypatch.setattr(machine, "gpus", lambda: ["GPU-a", "GPU-b"])


def test_what_is_needed_is_no_part_of_any_key(tmp_path: Path) -> None:
    plain = _declared(tmp_path / "plain")
    needing = _declared(tmp_path / "needing", **{s: {"memory": "8 GB", "gpus": 1} for s in _STAGES})
    for stage in (*_STAGES, "split", "deploy"):
        assert relevant_spec(needing, stage) == relevant_spec(plain, stage)


def test_the_needs_of_several_stages_are_the_largest(tmp_path: Path) -> None:
    pipeline = _declared(tmp_path, ingest={"memory": "500MB"}, clean={"memory": "2 GB", "gpus": 1})
    assert needs_of(pipeline, ["ingest"]) == Needs(memory=500 * 10**6)
    assert needs_of(pipeline, ["ingest", "clean"]) == Needs(memory=2 * 10**9, gpus=1)
    assert needs_of(pipeline, ["train", "split"]) == Needs()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("workers", "needs", "expected"),
    [
        (4, Needs(), 4),
        (4, Needs(memory=5 * 10**9), 3),
        (2, Needs(memory=5 * 10**9), 2),
        (4, Needs(gpus=1), 2),
        (4, Needs(memory=20 * 10**9), 1),
        (0, Needs(memory=5 * 10**9), 0),
    ],
)
def test_as_many_work_as_have_room(workers: int, needs: Needs, expected: int) -> None:
    assert room_for(workers, needs) == expected


@pytest.mark.usefixtures("small")
def test_more_than_the_machine_has_is_one_line(tmp_path: Path) -> None:
    require_room(_declared(tmp_path / "fits", train={"memory": "16 GB", "gpus": 2}), _STAGES)
    with pytest.raises(DeclarationError) as memory:
        require_room(_declared(tmp_path / "memory", train={"memory": "17 GB"}), _STAGES)
    assert str(memory.value) == (
        "apples/train: it needs 17.0 GB of memory, and this machine has 16.0 GB; run it on a "
        "larger machine, or lower train.resources.memory"
    )
    with pytest.raises(DeclarationError, match="it needs 3 GPUs, and this machine has 2; run it"):
        require_room(_declared(tmp_path / "gpus", evaluate={"gpus": 3}), _STAGES)


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    whole = machine.memory_bytes(tmp_path)
    assert whole > 10**9
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.memory_bytes(tmp_path) == whole
    (tmp_path / "memory.max").write_text("1000000\n")
    assert machine.memory_bytes(tmp_path) == 1_000_000


@pytest.mark.parametrize("text", ["8", "8 kB", "much", "0 GB", "-1 GB"])
def test_another_amount_is_a_mistake(text: str, tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"train\.resources\.memory"):
        _declared(tmp_path, train={"memory": text})


def test_nothing_needed_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="needs `memory` or `gpus`"):
        _declared(tmp_path, train={"gpus": 0})
