"""How many workers a machine has room for: what its stages declare as `resources`.

Only work on this machine is counted here; elsewhere, whoever gives out the work sees to it.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.base import Resources
from factory_resources.errors import DeclarationError
from factory_resources.home.disk_space import bytes_of, size_text
from factory_resources.metering import machine


class Needs(BaseModel):
    """What one process needs of a machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: int = 0
    """Bytes; 0 if that is not known."""
    gpus: int = 0


def needs_of(pipeline: Pipeline, stages: Sequence[Stage]) -> Needs:
    """Return what a process needs that computes any of the stages."""
    found = [one for stage in stages if (one := _declared(pipeline, stage))]
    memory = [bytes_of(one.memory.replace(" ", "")) for one in found if one.memory]
    return Needs(memory=max(memory, default=0), gpus=max((one.gpus for one in found), default=0))


def require_room(pipeline: Pipeline, stages: Sequence[Stage]) -> None:
    """Raise DeclarationError if one of the stages needs more than this machine has."""
    for stage in stages:
        needs, where = needs_of(pipeline, [stage]), f"{pipeline.name}/{stage}"
        if needs.memory > (memory := needs.memory and machine.memory_bytes()):
            raise DeclarationError(
                f"it needs {size_text(needs.memory)} of memory, and this machine has "
                f"{size_text(memory)}",
                where=where,
                remedy=f"run it on a larger machine, or lower {stage}.resources.memory",
            )
        if needs.gpus > (gpus := needs.gpus and len(machine.gpus())):
            raise DeclarationError(
                f"it needs {needs.gpus} GPUs, and this machine has {gpus}",
                where=where,
                remedy=f"run it on another machine, or lower {stage}.resources.gpus",
            )


def room_for(workers: int, needs: Needs) -> int:
    """Return how many of the workers this machine has room for at a time, at least one."""
    places = [workers]
    if needs.memory:
        places.append(machine.memory_bytes() // needs.memory)
    if needs.gpus:
        places.append(len(machine.gpus()) // needs.gpus)
    return max(min(places), min(workers, 1))


def _declared(pipeline: Pipeline, stage: Stage) -> Resources | None:
    spec = pipeline.spec
    match stage:
        case "ingest":
            return spec.ingest.resources
        case "clean":
            return spec.clean.resources
        case "train":
            return spec.train.resources if spec.train else None
        case "evaluate":
            return spec.evaluate.resources
        case _:
            return None
