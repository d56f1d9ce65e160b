"""The section schema of `factory.yaml`: what holds for all pipelines."""

from typing import Annotated

from pydantic import Field

from factory_assets.spec.base import Spec
from factory_assets.spec.contract import Duration


class WitnessSettings(Spec):
    """Who cosigns the ledger, and how often."""

    policy: str = "witnesses.policy"
    """The file, beside this one, that names the witnesses and the quorum: a C2SP tlog-policy."""
    required: Annotated[int, Field(ge=1)] = 1
    """How many members of the quorum, such as organisations, must have seen a checkpoint."""
    every: Duration = "1d"
    """How old the last cosignature may be before every run warns."""


class FactorySettings(Spec):
    """The settings of the factory."""

    witness: WitnessSettings | None = None
