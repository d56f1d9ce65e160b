"""What holds for one pipeline now: what serves, what waits for people, what is wrong.

How it is read belongs in `state_reader`, runs in `runs`, remembering what was read in
`pipeline_states`.
"""

from __future__ import annotations

from dataclasses import dataclass

from factory_assets.green_hours import GreenHours


@dataclass(frozen=True)
class Headline:
    """The primary metric of a version on its test rows."""

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    """95 %."""


@dataclass(frozen=True)
class Serving:
    """The version that serves."""

    version: int
    since: str
    """UTC, ISO 8601."""
    stopped: bool
    """Whether a person stopped it."""
    headline: Headline | None
    """None if its records are gone."""


@dataclass(frozen=True)
class CandidateWaiting:
    """A candidate that people are asked about, or whose approvals are complete."""

    version: int
    role: str
    """Who is asked."""
    missing: int
    """Approvals."""
    since: str
    """When it was exported: UTC, ISO 8601."""
    given: frozenset[str]
    """Commitments to the names of those whose approval counts."""


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong with a pipeline."""

    what: str
    """In a word or two, such as `gates failed`."""
    details: tuple[str, ...]


@dataclass(frozen=True)
class DeclaredSchedule:
    """When a pipeline runs by itself."""

    cron: str | None
    timezone: str
    enabled: bool
    """Whether it is on unless a person switches it."""
    green: GreenHours | None = None
    """How the hour is chosen; None if `cron` says it."""


@dataclass(frozen=True)
class PipelineState:
    """One pipeline."""

    name: str
    purpose: str = ""
    risk: str = ""
    """Its tier and area under the EU AI Act, as declared."""
    trains: bool = True
    """Whether it has models; else other pipelines read its rows."""
    retrains: bool = False
    """Whether answers or outcomes start its training."""
    look_job: str | None = None
    """The job that looks at its answers for drift; None if nobody does."""
    look: DeclaredSchedule | None = None
    """When it does."""
    schedule: DeclaredSchedule | None = None
    serving: Serving | None = None
    waiting: CandidateWaiting | None = None
    rollout: str | None = None
    """How a new version is compared with the champion, in one line."""
    troubles: tuple[Trouble, ...] = ()

    is_readable: bool = True
    """Whether its declaration and its records can be read."""

    @property
    def word(self) -> str:
        """Its state in a word or two."""
        if not self.is_readable:
            return "broken"
        if self.serving:
            return "stopped" if self.serving.stopped else "serves"
        if not self.trains:
            return "data product"
        return "waits for approval" if self.waiting else "no version serves"
