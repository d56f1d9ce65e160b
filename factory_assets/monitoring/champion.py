"""The champion whose answers are watched, and what they are compared with; read when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from factory_assets.data.transforms.narrowing import needed_columns
from factory_assets.execution.missing_champion import no_champion
from factory_assets.execution.version_lineage import Lineage, lineage_of
from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_served
from factory_assets.monitoring.answers import AnsweredRows, sample_rows
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.reference import (
    TestedRows,
    as_tested,
    tested_rows,
    training_rows,
    training_schema,
)
from factory_assets.monitoring.seasons import column_season_codes, season_codes
from factory_assets.monitoring.watched import WatchedInputs, watched_inputs
from factory_assets.serving.declared_log import as_sensitive_as_declared, protection_of
from factory_assets.spec import Pipeline
from factory_assets.spec.watch import Watching
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, ServingChanged
from factory_resources.ledger.ledger import Ledger, entries_in
from factory_resources.prediction_log.ids import first_id_at
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from factory_assets.monitoring.drift_states import DriftStates
    from factory_resources.prediction_log.prediction_log import PredictionLog

SEED = 20_260
"""Of all random draws, together with the number of the look."""


@dataclass(frozen=True)
class WatchedChampion:
    """One version that serves, or served."""

    pipeline: Pipeline
    watch: Watching
    version: int
    home: Home

    @cached_property
    def lineage(self) -> Lineage:
        """What it was made from."""
        return lineage_of(self.pipeline.name, self.version, self.home)

    @cached_property
    def exported(self) -> datetime:
        """When it was exported."""
        return datetime.fromisoformat(self.lineage.exported)

    @cached_property
    def since(self) -> datetime:
        """Since when it serves; what it answered while it rolled out was compared then."""
        subject = ChampionMade.subject_of(pipeline=self.pipeline.name)
        made = Ledger(self.home).latest(ChampionMade, subject)
        return datetime.fromisoformat(made[1].time) if made else self.exported

    @cached_property
    def stops(self) -> tuple[tuple[datetime, datetime], ...]:
        """When people had stopped it: from when until when, which for the last may be never."""
        subject = ServingChanged.subject_of(pipeline=self.pipeline.name)
        found = [(datetime.max.replace(tzinfo=UTC), "resumed")]
        with Ledger(self.home).reading() as log:
            for _, entry in entries_in(log, ServingChanged, subject):
                found.append((datetime.fromisoformat(entry.time), entry.action))
        pairs = zip(found[1:], found, strict=False)
        return tuple((since, until) for (since, what), (until, _) in pairs if what == "stopped")

    def served(self, since: datetime, until: datetime) -> timedelta:
        """Return for how long between two times nobody had stopped it."""
        stopped = (min(until, end) - max(since, begin) for begin, end in self.stops)
        zero = timedelta()
        return max(zero, until - since - sum((max(zero, one) for one in stopped), zero))

    @cached_property
    def model(self) -> OnnxModel:
        """The graph that serves."""
        registry = Registry(self.home)
        return load_served(registry, registry.version(self.pipeline.name, self.version))

    @cached_property
    def inputs(self) -> WatchedInputs:
        """The columns that are watched."""
        columns = as_sensitive_as_declared(self.pipeline.name, needed_columns(self.model))
        return watched_inputs(
            self.model,
            columns,
            training_schema(self.lineage.parts, self.home),
            protection_of(self.pipeline.name, columns, self.home),
            self.home,
            committed=self.pipeline.spec.deploy.log.sensitive == "commit",
        )

    @cached_property
    def tested(self) -> TestedRows:
        """Its test rows."""
        kept = Looks(self.home, self.pipeline.name).folder
        return tested_rows(self.lineage, self.inputs, self.model, kept, self.home)

    @property
    def classes(self) -> tuple[str, ...]:
        """Its classes; none if it predicts a number."""
        return self.model.classes

    def answered(self, log: PredictionLog, after: int, until: int) -> list[tuple[bytes, int]]:
        """Return the requests of these blocks since it serves: id and number of rows.

        Args:
            after: only of blocks that were stored after the one with this number.
            until: the number of the last block.
        """
        since = first_id_at(self.since)
        return log.answered(self.pipeline.name, self.version, after, until, since)

    def sample(
        self, log: PredictionLog, requests: Sequence[tuple[bytes, int]], seed: int
    ) -> AnsweredRows:
        """Draw rows at random from all rows of these requests, to compare them with test rows.

        Raises:
            StorageError: a record, or the test rows, cannot be read.
        """
        return self.as_tested(sample_rows(log, requests, self.inputs, len(self.classes), seed))

    def as_tested(self, rows: AnsweredRows) -> AnsweredRows:
        """Return answered rows with outputs that are rounded like those of the test rows."""
        return replace(rows, outputs=as_tested(rows.outputs, self.tested.outputs))

    def begin(self) -> DriftStates:
        """Return the states before the first look: compared with training and test rows."""
        from factory_assets.monitoring.drift_states import ComparedRows, DriftStates

        time = self.watch.time if self.watch.seasons else None
        rows, times = training_rows(self.lineage, self.inputs, self.home, time)
        strata = None
        if times is not None:
            seasons, zone = self.watch.seasons, self.watch.look.timezone
            strata = column_season_codes(times, seasons, zone)
        reference = ComparedRows(rows, self.tested.outputs)
        return DriftStates.begin(self.inputs, reference, self.classes, strata, SEED + self.version)

    @property
    def seasons(self) -> str | None:
        """Which rows are compared with each other: all if None."""
        watch = self.watch
        if not watch.seasons:
            return None
        return f"{', '.join(watch.seasons)} of {watch.time}, {watch.look.timezone}"

    def strata(self, rows: AnsweredRows) -> NDArray[np.int64] | None:
        """Return the season of each answered row; None if none are declared."""
        import numpy as np

        if not self.watch.seasons:
            return None
        milliseconds = [int.from_bytes(identifier[:6], "big") for identifier in rows.ids]
        times = np.array(milliseconds, dtype="datetime64[ms]")
        return season_codes(times, self.watch.seasons, self.watch.look.timezone)


def watched_champion(pipeline: Pipeline, home: Home) -> WatchedChampion:
    """Return the version that serves.

    Raises:
        DeclarationError: nothing is to be watched.
        ModelError: no version serves.
    """
    watch = require_watch(pipeline)
    version = Registry(home).champion(pipeline.name)
    if version is None:
        raise no_champion(pipeline.name, home)
    return WatchedChampion(pipeline, watch, version, home)


def require_watch(pipeline: Pipeline) -> Watching:
    """Return what is declared.

    Raises:
        DeclarationError: nothing is.
    """
    if pipeline.spec.watch is None:
        raise DeclarationError(
            "nothing is declared to be watched",
            where=str(pipeline.folder / "defs.yaml"),
            remedy="add `watch: {}`",
        )
    return pipeline.spec.watch
