"""The report of `factory cost`, and its JSON format. Computing it belongs in `forecast`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from factory_assets.audit.cost.growth import Basis

THIS_MACHINE = "this machine"


class CostPart(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Figure(CostPart):
    """A figure, and the range in which it is expected."""

    value: float
    low: float
    high: float


class CostFigures(CostPart):
    """What something costs; null is not measured, or not declared."""

    seconds: Figure | None = None
    """Wall time."""
    cpu_seconds: Figure | None = None
    megabytes: Figure | None = None
    """Peak resident memory of the process."""
    kwh: Figure | None = None
    co2e_g: Figure | None = None
    """Grams of CO2e."""
    money: Figure | None = None
    """In the currency of the machine."""


class StageEstimate(CostPart):
    """What one stage of a training costs on this machine."""

    stage: str
    costs: CostFigures
    """All null if the stage was never measured."""
    error: float | None
    """The largest of the errors of its figures, as a share."""
    basis: Basis | None
    runs: int
    """Measured computations on which it rests."""
    sizes: tuple[int, int] | None
    """Their smallest and largest number of rows."""


class AnswersEstimate(CostPart):
    """What a million answers cost, one after the other."""

    by: Literal["requests", "files"]
    costs: CostFigures
    requests: int
    """Logged requests, or files, on which it rests."""
    rows: int
    """Rows that they had."""


class MachineEstimate(CostPart):
    """What everything costs on one machine."""

    name: str
    source: str
    """Where the figures of the machine come from."""
    currency: str | None
    training: CostFigures
    year: CostFigures
    """Of all nights of a year, each of which computes everything."""
    answers: tuple[AnswersEstimate, ...]
    """Empty if nothing was answered."""


class Avoided(CostPart):
    """What the choice of the hour with the least carbon has avoided."""

    window: str
    source: str
    """Where the table of carbon comes from."""
    runs: int
    """Runs that began at a chosen hour."""
    co2e_g: float
    """Grams that they avoided, by their measured energy."""
    year_co2e_g: Figure | None
    """Grams that a year of nights avoids, on this machine."""


class CostReport(CostPart):
    """What a pipeline costs."""

    format: Literal["factory.cost"] = "factory.cost"
    format_version: Literal[1] = 1
    pipeline: str
    time: str
    """UTC, ISO 8601."""
    rows: int
    """Of the source."""
    stages: tuple[StageEstimate, ...]
    nights: int
    """In the year that begins now."""
    nights_by: str
    """What says how many they are."""
    machines: tuple[MachineEstimate, ...]
    """This machine first."""
    avoided: Avoided | None
    """null if no hour is chosen."""
    notes: tuple[str, ...]
    """What the figures assume, and what is not measured."""


def cost_json(report: CostReport) -> str:
    """Return the report as JSON, in the form that `factory schema cost` describes."""
    return report.model_dump_json(indent=2) + "\n"
