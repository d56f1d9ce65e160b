"""What a look at the answers of a version found, as it is stored and shown."""

from typing import Annotated, Literal

from pydantic import Field

from factory_assets.results.base import StageResult
from factory_assets.spec.base import is_unset

MANY_DAYS = 1_000_000
"""Evidence of more days is shown as more than this."""


def _days(evidence: float) -> str:
    many = evidence >= MANY_DAYS
    return f"more than {MANY_DAYS:,} days" if many else f"{evidence:,.0f} days"


AlarmKind = Literal["drift", "performance", "volume", "silence", "age"]


class ReportedChange(StageResult):
    """A change of the inputs, the outputs or the missing values, for which there is evidence."""

    column: str
    """Empty if it is the joint distribution that changed."""
    what: Literal["values", "missing", "joint", "outputs"]
    evidence: float
    """In days: without any change it reaches D within T days with a probability of T / D at most,
    over everything that is watched."""
    effect: float
    """0 to 1: the share of rows that would have to change."""
    words: str
    since: int
    """The look at which it began."""

    @property
    def text(self) -> str:
        """The change with its size and its evidence, in one line."""
        evidence = f"evidence {_days(self.evidence)}, since look {self.since}"
        return f"{self.words}; effect {self.effect:.2f}, {evidence}"


class Alarm(StageResult):
    """Something that somebody should know."""

    kind: AlarmKind
    what: str
    """In one line."""
    remedy: str


class EstimatedMetric(StageResult):
    """A metric of the answers, estimated without their outcomes."""

    value: float
    low: float
    high: float
    trusted: bool
    why: str
    tested: float | None
    """The metric on the test rows."""


class RealMetric(StageResult):
    """A metric of the answers whose outcomes are known."""

    value: float
    low: float | None
    high: float | None
    tested: float | None


class SliceMetrics(StageResult):
    """The real metrics of the answers with one value of a column."""

    column: str
    value: str
    rows: int
    metrics: dict[str, float]


class RealPerformance(StageResult):
    """How well a version did where the outcomes are known."""

    labelled: int
    """Rows whose outcome is known."""
    unlabelled: int
    is_worse: bool
    """Whether the version does worse than on its test rows, judged over all looks together."""
    metrics: dict[str, RealMetric]
    slices: tuple[SliceMetrics, ...] = ()
    caveat: str = ""
    """Why the labelled rows may not stand for all."""


class MonitorReport(StageResult):
    """One look."""

    pipeline: str
    version: int
    number: int
    """The look of this pipeline, from 1."""
    began: int
    """The first look at this reference."""
    seasons: Annotated[str | None, Field(exclude_if=is_unset)] = None
    """Which rows were compared with each other; None for all, and in older looks."""
    time: str
    """UTC, ISO 8601."""
    days: float
    """In which it served since the look before; those for which people had stopped it are none."""
    until: int
    """The last block of the prediction log that was read."""
    outcomes: int
    """The number of the last outcome that was compared; of the last seconds, none is."""
    requests: int
    refused: int
    rows: int
    sampled: int
    """Rows that were read."""
    first: str | None
    """When the first answer was asked for: UTC, ISO 8601; None if there was none."""
    last: str | None
    """When the last answer so far was asked for."""
    evidence: float
    """The strongest evidence of drift, in days."""
    findings: tuple[ReportedChange, ...]
    hidden: tuple[str, ...]
    """Sensitive columns that cannot be watched, because the log has only commitments."""
    estimated: dict[str, EstimatedMetric]
    real: RealPerformance | None
    alarms: tuple[Alarm, ...]

    @property
    def evidence_text(self) -> str:
        """The strongest evidence of drift, as it is shown."""
        return _days(self.evidence)

    def has(self, *kinds: AlarmKind) -> bool:
        """Whether there is an alarm of one of these kinds."""
        return any(alarm.kind in kinds for alarm in self.alarms)
