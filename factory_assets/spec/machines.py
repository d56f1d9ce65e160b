"""The machines of a `machines.yaml`: what they can do, use and cost, beside this machine.

Reading the file belongs in `declarations.machines`.
"""

from typing import Annotated, Self

from pydantic import Field, RootModel, model_validator

from factory_assets.spec.base import Positive, Spec

MachineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
"""Lower case letters, digits, dots, underscores and hyphens, beginning with a letter or digit."""

NotNegative = Annotated[float, Field(ge=0)]


class Machine(Spec):
    """One machine, as its operator or its maker describes it."""

    cores: Annotated[int, Field(ge=1)]
    """How many cores it has."""
    speed: Positive
    """How fast one of its cores is, beside one of the machine that was measured: 2 for twice."""
    idle_watts: NotNegative
    """Its power if nothing runs, in watts."""
    load_watts: Positive
    """Its power if all cores work, in watts."""
    grams_per_kwh: NotNegative
    """The carbon of its electricity, in g CO2e per kWh."""
    price_per_hour: NotNegative | None = None
    """What an hour of it costs. Default: it is not known."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    """The currency of the price, such as `EUR`."""
    source: Annotated[str, Field(min_length=1)]
    """Where these figures come from, such as `price list of 2026-11, data sheet of the maker`."""

    @model_validator(mode="after")
    def _uses_more_if_it_works(self) -> Self:
        if self.load_watts < self.idle_watts:
            raise ValueError("load_watts is below idle_watts; correct one of them")
        return self


class Machines(RootModel[dict[MachineName, Machine]]):
    """All machines, by name."""
