"""Emit the events of OpenLineage while a stage runs, if `factory.yaml` says where to.

What an event says belongs in `openlineage.events`, where it goes in `openlineage.delivery`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from factory_assets.declarations.settings import DeclaredSettings
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.results.base import StageResult
from factory_assets.spec.settings import FactorySettings
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.tracking.record import Record

if TYPE_CHECKING:
    from factory_assets.openlineage.events import Event, LineageRun


class LineageEvents:
    """Receives what happens to a stage; this implementation ignores it."""

    warning: str | None = None
    """What a person should know of where the events went."""

    def started(self, plan: StagePlan) -> None:
        """The stage is computed, from what is planned."""

    def completed(self, record: Record, value: StageResult) -> None:
        """The stage has a record, which is in the ledger."""

    def failed(self, error: BaseException) -> None:
        """The stage ends without a result."""


class _SentEvents(LineageEvents):
    """Sends an event of each.

    Args:
        send: returns what a person should know.
    """

    def __init__(self, run: "LineageRun", send: Callable[["Event"], str | None]) -> None:
        self._run, self._deliver = run, send
        self._began = datetime.now(UTC)
        self._is_started = self._is_completed = False

    def started(self, plan: StagePlan) -> None:
        self._run = replace(self._run, components=plan.components, inputs=plan.results)
        self._start(datetime.now(UTC))

    def completed(self, record: Record, value: StageResult) -> None:
        self._is_completed = True
        self._run = replace(self._run, components=record.parts)
        self._send(self._run.completed(value, datetime.now(UTC)))

    def failed(self, error: BaseException) -> None:
        if self._is_completed:
            return
        if not self._is_started:
            self._start(self._began)
        now = datetime.now(UTC)
        if isinstance(error, FactoryError):
            event = self._run.ended("FAIL", str(error), now)
        elif isinstance(error, Exception):
            # Its text may contain values of rows.
            event = self._run.ended("FAIL", f"a fault: {type(error).__name__}", now)
        else:
            event = self._run.ended("ABORT", "interrupted", now)
        self._send(event)

    def _start(self, at: datetime) -> None:
        self._is_started = True
        self._send(self._run.started(at))

    def _send(self, event: "Event") -> None:
        self.warning = self._deliver(event)


@contextmanager
def lineage_events(
    call: StageRequest, declared: DeclaredSettings | None
) -> Iterator[LineageEvents]:
    """Return what receives the events of a stage; whatever the block raises is one of them."""
    settings = declared.settings.openlineage if declared else None
    if declared is None or settings is None:
        yield LineageEvents()
        return
    from factory_assets.openlineage.events import LineageRun

    run = LineageRun(
        call.pipeline,
        call.stage,
        call.run_id,
        settings.namespace,
        call.partition_key,
        scheduled=call.scheduled,
    )
    events = _SentEvents(run, lambda event: _delivered(declared.settings, event, call.home))
    try:
        yield events
    except BaseException as error:
        events.failed(error)
        raise


def _delivered(settings: FactorySettings, event: "Event", home: Home) -> str | None:
    """Write or send an event; return why it waits, if it does."""
    from factory_assets.openlineage.delivery import deliver

    assert settings.openlineage
    refused = settings.refused_events
    if deliver(settings.openlineage, event, home, may_send=refused is None):
        return None
    if refused:
        return f"OpenLineage: {refused_line(refused)}; until then the events wait in the home"
    if address := settings.openlineage.address:
        return f"OpenLineage: {address} does not take the events; they wait in the home"
    return "OpenLineage: the events cannot be written; factory openlineage prints them"


def refused_line(address: str) -> str:
    """Say that the boundary does not allow the server of events, and what to do."""
    return (
        f"the boundary does not allow {address}; if runs may send events there, "
        f"declare in factory.yaml: boundary: {{allow: ['{address}']}}"
    )
