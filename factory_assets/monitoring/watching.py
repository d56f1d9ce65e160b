"""One look with all that follows from it: the ledger, and the people who are told.

Every step may be repeated, so that a kill between two of them is mended by the next look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from factory_assets.declarations.settings import load_settings
from factory_assets.monitoring.alerts import settle_alarms
from factory_assets.monitoring.champion import require_watch
from factory_assets.monitoring.monitor import monitor
from factory_assets.monitoring.outcome_sources import record_declared
from factory_assets.monitoring.report import MonitorReport
from factory_assets.spec import Pipeline
from factory_assets.spec.settings import AlertChannel
from factory_resources.home.home import Home


@dataclass(frozen=True)
class WatchedOnce:
    """What came of a look."""

    report: MonitorReport
    problems: tuple[str, ...]
    """Why alerts were not taken, and outcomes not recorded."""


def watch_once(pipeline: Pipeline, home: Home, now: datetime | None = None) -> WatchedOnce:
    """Read declared outcomes, look at the answers, enter which alarms are open, and tell people.

    Raises:
        FactoryError: as `monitor` does, or `factory.yaml` is wrong.
    """
    channels, source = declared_channels(), require_watch(pipeline).outcomes
    problems = record_declared(pipeline, source, home) if source else []
    report = monitor(pipeline, home, now)
    problems += settle(report, channels, home)
    return WatchedOnce(report, tuple(problems))


def declared_channels() -> tuple[AlertChannel, ...]:
    """Return who is told of alarms.

    Raises:
        DeclarationError: `factory.yaml` is wrong.
    """
    declared = load_settings()
    return declared.settings.alerts if declared else ()


def settle(report: MonitorReport, channels: Sequence[AlertChannel], home: Home) -> list[str]:
    """Enter which alarms are open, and tell people, as `settle_alarms` does, one at a time."""
    with home.lock(f"alarms_{report.pipeline}"):
        return settle_alarms(report, channels, home)
