"""How a network's training is carried out: nothing here says what it learns."""

from typing import Annotated

from pydantic import Field

from factory_assets.spec.base import Spec


class Checkpoint(Spec):
    """How often the state of a training is kept, so that a killed one can go on from there."""

    seconds: Annotated[float, Field(ge=0)] = 30.0
    """It is kept when so long has passed since it was kept last: after an epoch, or amid one."""
    epochs: Annotated[int | None, Field(ge=1)] = None
    """And after so many epochs, however short."""


class Trainer(Spec):
    """How the training of a network is carried out."""

    checkpoint: Checkpoint = Checkpoint()
    """How often its state is kept, so that it goes on from there after a crash."""
