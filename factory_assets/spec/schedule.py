"""The `schedule` section: when a pipeline runs by itself, and how much carbon its electricity has.

Choosing the hour belongs in `factory_assets.green_hours`.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from factory_assets.cron import check_cron
from factory_assets.spec.base import STORED, Spec, is_unset, listed
from factory_assets.spec.calendar import check_timezone

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)\Z")


def _cron(value: str, info: ValidationInfo) -> str:
    # What was stored before it was refused is still read.
    return value if info.context == STORED else check_cron(value)


Cron = Annotated[str, AfterValidator(_cron)]
"""An expression of cron."""

HoursOfDay = Annotated[
    tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=24, max_length=24), listed
]
"""One number for each hour of a day, from 0:00 on."""


class CarbonOfWeek(Spec):
    """The carbon of each hour, for each day of the week: lists of 24 numbers."""

    monday: HoursOfDay
    """24 numbers, from 0:00 on."""
    tuesday: HoursOfDay
    """24 numbers, from 0:00 on."""
    wednesday: HoursOfDay
    """24 numbers, from 0:00 on."""
    thursday: HoursOfDay
    """24 numbers, from 0:00 on."""
    friday: HoursOfDay
    """24 numbers, from 0:00 on."""
    saturday: HoursOfDay
    """24 numbers, from 0:00 on."""
    sunday: HoursOfDay
    """24 numbers, from 0:00 on."""


class CarbonTable(Spec):
    """How much carbon a kWh of electricity has, by the hour: g CO2e per kWh."""

    file: Annotated[str, Field(min_length=1)] | None = None
    """The path of a file with the other keys, relative to the `defs.yaml`. Default: they are here.
    """
    source: Annotated[str, Field(min_length=1)] | None = None
    """Where the numbers come from, such as `hourly means of 2025 by the grid operator`. Required.
    """
    timezone: Annotated[str, AfterValidator(check_timezone)] = "UTC"
    """The time zone of the hours, such as `Europe/Berlin`."""
    daily: HoursOfDay | None = None
    """24 numbers, from 0:00 on, for every day."""
    weekly: CarbonOfWeek | None = None
    """Instead of `daily`: 24 numbers for each of `monday` to `sunday`."""

    @property
    def hours(self) -> tuple[float, ...]:
        """The carbon of the 168 hours of a week, from Monday 0:00 on."""
        if self.daily is not None:
            return self.daily * 7
        if self.weekly is None:
            raise TypeError("the table is in a file")
        return tuple(value for _, day in self.weekly for value in day)

    @model_validator(mode="after")
    def _is_one_table(self) -> Self:
        if self.file is not None:
            if beside := sorted(self.model_fields_set - {"file"}):
                raise ValueError(f"{beside[0]} belongs in the file {self.file}; move it there")
            return self
        if self.source is None:
            raise ValueError("a table of carbon needs `source`: where the numbers come from")
        if (self.daily is None) == (self.weekly is None):
            raise ValueError("a table of carbon has either `daily` or `weekly`")
        return self


def _window(value: str) -> str:
    match = _WINDOW.match(value)
    if not match:
        raise ValueError(f"{value!r} is not a window; write two times, such as 22:00-06:00")
    if match.group(1, 2) == match.group(3, 4):
        raise ValueError(f"{value!r} begins when it ends; write two times, such as 22:00-06:00")
    return value


class Schedule(Spec):
    """When the pipeline runs automatically."""

    cron: Cron | None = None
    """When to run: minute, hour, day, month and weekday, such as `"0 2 * * *"` for every day at
    2:00; or `"@hourly"`, `"@daily"`, `"@weekly"`, `"@monthly"`, `"@yearly"`. Required without
    `within`; with it, the run of such a time moves into the window that contains it, or the next
    one. Default with `within`: every window."""
    timezone: Annotated[str, AfterValidator(check_timezone)] = "UTC"
    """The time zone of `cron` and `within`, such as `Europe/Berlin`."""
    enabled: bool = False
    """Whether the schedule is on from the start. With `false`, switch it on in the UI."""
    within: Annotated[
        Annotated[str, AfterValidator(_window)] | None, Field(exclude_if=is_unset)
    ] = None
    """The window in which a run begins, such as `22:00-06:00`; it may pass midnight. It needs
    `prefer` and `carbon`."""
    prefer: Annotated[Literal["lowest_carbon"] | None, Field(exclude_if=is_unset)] = None
    """Which hour of the window: `lowest_carbon` is the one whose electricity has the least carbon,
    the earliest of several."""
    carbon: Annotated[CarbonTable | None, Field(exclude_if=is_unset)] = None
    """The carbon of each hour: `file`, or `source`, `timezone` and one of `daily` and `weekly`."""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        green = {"within": self.within, "prefer": self.prefer, "carbon": self.carbon}
        given = [name for name, value in green.items() if value is not None]
        if not given and self.cron is None:
            raise ValueError('schedule needs `cron`, such as "0 2 * * *", or `within`')
        if given and (missing := [name for name in green if name not in given]):
            raise ValueError(f"{given[0]} needs `{missing[0]}` beside it")
        return self
