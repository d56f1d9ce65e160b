"""Deaths of a look at a named step, for the process in which it runs."""

import os
from typing import Any, Literal

from factory_assets.monitoring import alerts
from factory_assets.monitoring.looks import Looks

Step = Literal["store", "_enter", "_write", "send"]
"""A look is stored; the ledger has the alarms; they are remembered; an alert was sent."""

STEPS: tuple[Step, ...] = ("store", "_enter", "_write", "send")


def die_after(step: Step) -> None:
    """End this process, without any cleaning up, after this step."""
    owner: Any = Looks if step == "store" else alerts
    original = getattr(owner, step)

    def dying(*arguments: Any, **more: Any) -> None:
        original(*arguments, **more)
        os._exit(9)

    setattr(owner, step, dying)
