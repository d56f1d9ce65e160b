"""The `resources` key of a stage: what one process needs that computes it.

No result depends on it. How many processes fit on a machine is decided in `execution.workers`.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import Spec


class Resources(Spec):
    """What the stage needs of a machine; the results do not depend on it."""

    memory: Annotated[str, Field(pattern=r"^[1-9]\d{0,5} ?(MB|GB|TB)$")] | None = None
    """The memory that one process of the stage needs, such as `8 GB`. No more work at a time than
    have room. Default: not known."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """How many GPUs one process of the stage has to itself."""

    @model_validator(mode="after")
    def _needs_something(self) -> Self:
        if self.memory is None and not self.gpus:
            raise ValueError("resources needs `memory` or `gpus`; leave it out if neither is known")
        return self
