"""The `watch` section: how answers in service are watched, and what makes the pipeline train again.

Watching belongs in `monitoring`; who is told, in `factory.yaml` (`settings`).
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from factory_assets.spec.base import STORED, ColumnName, Spec, listed
from factory_assets.spec.calendar import check_timezone
from factory_assets.spec.contract import Duration
from factory_assets.spec.deploy import Retention, days_of
from factory_assets.spec.ingest import Source
from factory_assets.spec.schedule import Cron

MONITOR = "monitor"
"""The last part of the key of the asset that looks at answers, and of the name of its job."""

Season = Literal["hour", "weekday", "month"]

_ID, _ENOUGH = "id", 500
"""What a key means that is left out: whether it was written, nobody knows of what is stored."""


class Look(Spec):
    """When the answers are looked at."""

    cron: Cron = "0 6 * * *"
    """When to look: minute, hour, day, month and weekday, or `"@hourly"`, `"@daily"`."""
    timezone: Annotated[str, AfterValidator(check_timezone)] = "UTC"
    """The time zone of `cron` and of `seasons`, such as `Europe/Berlin`."""
    enabled: bool = True
    """Whether the schedule is on from the start. With `false`, switch it on in the UI."""


class Volume(Spec):
    """How many rows a day are answered."""

    at_least: Annotated[int, Field(ge=0)] = 0
    """Fewer rows a day are an alarm."""
    at_most: Annotated[int, Field(ge=1)] | None = None
    """More rows a day are an alarm. Default: no bound."""

    @model_validator(mode="after")
    def _is_a_range(self, info: ValidationInfo) -> Self:
        if not self.at_least and self.at_most is None and info.context != STORED:
            raise ValueError("volume needs `at_least` or `at_most`")
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(f"at_most {self.at_most} is below at_least {self.at_least}")
        return self


class OutcomeSource(Spec):
    """Where outcomes of answers come from, beside `POST /feedback` and `factory feedback`."""

    source: Source
    """A source of any kind, such as a table of a database, a file, or another pipeline."""
    id: ColumnName = _ID
    """The column with the ids of the answers."""
    outcome: ColumnName = "outcome"
    """The column with what turned out to be true."""
    observed: ColumnName | None = None
    """The column that says when it turned out. Default: `observed`, if there is such a column."""
    key: ColumnName | None = None
    """A column of the requests instead of `id`: an outcome is that of the latest answer before it
    was observed whose row had the same value."""

    @model_validator(mode="after")
    def _finds_answers_one_way(self, info: ValidationInfo) -> Self:
        if self.key and self.id != _ID and info.context != STORED:
            raise ValueError("key stands instead of `id`; leave one of them out")
        return self


class Retrain(Spec):
    """What makes the pipeline train again, beside its schedule."""

    after: Annotated[
        tuple[Literal["drift", "outcomes", "contract"], ...], Field(min_length=1), listed
    ] = ("drift",)
    """`drift`: an alarm of drift or performance. `outcomes`: enough new outcomes. `contract`: the
    source satisfies its contract again after it did not."""
    outcomes: Annotated[int, Field(ge=1)] = _ENOUGH
    """How many new outcomes are enough."""
    at_most: Annotated[int, Field(ge=1, le=50)] = 2
    """The most trainings a week that this starts."""

    @model_validator(mode="after")
    def _counts_for_something(self, info: ValidationInfo) -> Self:
        unread = self.outcomes != _ENOUGH and "outcomes" not in self.after
        if unread and info.context != STORED:
            raise ValueError(
                f"outcomes: {self.outcomes} starts nothing; add it to `after`, such as "
                f"[{', '.join((*self.after, 'outcomes'))}]"
            )
        return self


class Watching(Spec):
    """Notice when the rows that the champion answers no longer resemble the training rows."""

    look: Look = Look()
    """When the answers are looked at. Default: every day at 6:00 UTC."""
    false_alarm: Retention = "10y"
    """How rarely drift may be announced although there is none: once in this time on average at
    most, over all columns and looks together."""
    effect: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """How large a drift must be at least: the share of rows that would have to change, such as the
    distance between two distribution functions."""
    worse: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """How much larger the mean loss of answers whose outcomes are known may be than that of the
    test rows. The loss of a class is the probability that the model gave to other classes; that of
    a number is its error divided by five mean errors of the test rows, at most 1."""
    seasons: Annotated[tuple[Season, ...], listed] = ()
    """Rows are compared only with rows of the same hour, weekday or month; what recurs is no
    drift. Needs `time`."""
    time: ColumnName | None = None
    """The column of the training rows that says when a row came from, for `seasons`."""
    volume: Volume | None = None
    """How many rows a day are expected. Default: any number."""
    silence: Duration | None = None
    """After how long without any answer there is an alarm, such as `1d`. Default: never."""
    age: Retention | None = None
    """How old the training of the champion may be, such as `90d`. Default: any age."""
    outcomes: OutcomeSource | None = None
    """Where outcomes come from; each look reads what is new. Default: only what is sent."""
    retrain: Retrain | None = None
    """What makes the pipeline train again. Default: people decide."""

    @property
    def period(self) -> int:
        """Days between two false alarms."""
        return days_of(self.false_alarm)

    @model_validator(mode="after")
    def _seasons_have_a_time(self, info: ValidationInfo) -> Self:
        if self.time and not self.seasons and info.context != STORED:
            raise ValueError("time is for `seasons`, such as [weekday]; declare them too")
        if self.seasons and self.time is None:
            raise ValueError(
                "watch.seasons needs `time`, the column that says when a training row came from"
            )
        return self
