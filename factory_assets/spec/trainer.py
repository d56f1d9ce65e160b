"""How a network's training is carried out: nothing here says what it learns."""

from typing import Annotated, Literal

from pydantic import Field

from factory_assets.spec.base import Spec, listed

Accelerator = Literal["auto", "cpu", "cuda", "mps"]
Count = Annotated[int, Field(ge=1, le=1024)]


class Checkpoint(Spec):
    """How often the state of a training is kept, so that a killed one can go on from there."""

    seconds: Annotated[float, Field(ge=0)] = 30.0
    """It is kept when so long has passed since it was kept last: after an epoch, or amid one."""
    epochs: Annotated[int | None, Field(ge=1)] = None
    """And after so many epochs, however short."""


class Trainer(Spec):
    """How the training of a network is carried out."""

    accelerator: Accelerator = "auto"
    """What computes: `auto` takes a GPU where there is one."""
    devices: Literal["auto"] | Count | Annotated[tuple[int, ...], Field(min_length=1), listed] = 1
    """How many devices share each batch, each in a process of its own; `auto` for all, or a list of
    the numbers of some GPUs. Another number gives other weights."""
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    """How several devices work together."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """The numbers that are computed with; the weights are kept in 32 bits."""
    nodes: Count = 1
    """On how many machines; each runs the same stage, with MASTER_ADDR, MASTER_PORT and NODE_RANK
    in its environment."""
    checkpoint: Checkpoint = Checkpoint()
    """How often its state is kept, so that it goes on from there after a crash."""

    @property
    def alone(self) -> bool:
        """Whether one process trains, as far as the declaration tells."""
        one = self.devices == 1 or (isinstance(self.devices, tuple) and len(self.devices) == 1)
        return self.nodes == 1 and one
