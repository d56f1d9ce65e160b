"""The report of `factory status`, and its JSON format. Reading the state belongs in `reading`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from factory_resources.tracking.run_history import RunState


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OpenRun(_Part):
    """A run that goes on, or waits for its turn."""

    run: str
    pipelines: tuple[str, ...]
    since: str
    """UTC, ISO 8601, as all times."""
    by: str
    """Who or what started it."""
    is_alive: bool
    """False if its process is known to have been killed."""


class EndedRun(_Part):
    """The last run of a pipeline that ended since yesterday at this time, or failed earlier."""

    pipeline: str
    run: str
    state: RunState
    ended: str | None
    by: str


class NextRun(_Part):
    """The next time of a schedule that is on."""

    pipeline: str
    at: str


class Watched(_Part):
    """A pipeline whose answers are watched."""

    pipeline: str
    last_look: str | None
    """null if nobody has looked yet."""
    alarms: tuple[str, ...]
    """The kinds of the open ones."""


class WaitingVersion(_Part):
    """What waits for a person, or for the next run."""

    pipeline: str
    version: int | None
    text: str
    role: str
    """Who is asked; empty if nobody is."""


class Disk(_Part):
    """The disk of the home, in bytes."""

    total: int
    free: int
    keep: int
    """Below this, no new run starts."""
    grows_per_day: float | None
    """Over up to two weeks, whatever grows; null if less than a day is known."""
    days_left: float | None
    """Until no new run starts; null if it does not grow, or nobody knows."""


class Witnesses(_Part):
    """What witnesses have seen of the ledger."""

    entries: int
    seen: int
    last: str | None
    """null if no witness has cosigned yet."""
    is_overdue: bool


class Backup(_Part):
    """The last backup."""

    at: str
    entries: int
    """Of the ledger in it."""
    files: int
    bytes: int


class Need(_Part):
    """Something that needs a person."""

    what: str
    pipeline: str | None
    details: tuple[str, ...]


class FactoryStatus(_Part):
    """The state of a factory."""

    form: Literal[1]
    time: str
    home: str
    address: str | None
    """Where `factory up` answers; null if it is not up."""
    pipelines: int
    serving: int
    """Pipelines with a version that serves."""
    undeclared: tuple[str, ...]
    """Models that serve though no declaration of `FACTORY_DEFS` has their name."""
    running: tuple[OpenRun, ...]
    queued: tuple[OpenRun, ...]
    night: tuple[EndedRun, ...]
    next: tuple[NextRun, ...]
    """Soonest first."""
    watched: tuple[Watched, ...]
    waiting: tuple[WaitingVersion, ...]
    disk: Disk
    entries: int
    """Of the ledger."""
    witnesses: Witnesses | None
    """null if no witness is declared."""
    backup: Backup | None
    """null if there was none."""
    needs: tuple[Need, ...]
    """Empty if all is well."""


def status_json(status: FactoryStatus) -> str:
    """Return the status as JSON, in the form that `factory schema status` describes."""
    return status.model_dump_json(indent=2) + "\n"
