"""What each stage of a pipeline has cost in its runs, by the number of rows of the source.

How a cost is estimated for other numbers of rows belongs in `growth`.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from factory_assets.execution.cache_key import relevant_spec
from factory_assets.execution.requests import stages_of
from factory_assets.results.base import result_as
from factory_assets.results.data import Block, CleanResult, IngestResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.ledger.entries import StageComputed
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records

_SLACK = 60.0
"""Seconds by which a file must be older than the begin of a computation to have been reused."""

_FIRST = "the first run in this home had loaded the libraries before"


@dataclass(frozen=True)
class MeasuredStage:
    """What one computation of a stage cost; of all partitions together, if there are any."""

    rows: int
    """Rows that were read from the source for it."""
    seconds: float
    """Wall time, one partition after the other."""
    cpu_seconds: float
    wh: float
    megabytes: float
    """Peak resident memory of its process until then."""
    methods: tuple[str, ...]
    """How the energy was determined."""
    finished: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class MeasuredPipeline:
    """The records of a pipeline's stages."""

    pipeline: Pipeline
    home: Home

    def of_stage(self, stage: Stage) -> tuple[list[MeasuredStage], dict[str, int]]:
        """Return what each computation of a stage cost, and how many were left out, by reason."""
        declared = _plain(relevant_spec(self.pipeline, stage))
        first, measured = list[MeasuredStage](), list[MeasuredStage]()
        left_out = dict[str, int]()
        for group in self._groups(stage):
            reason = next(filter(None, (self._unusable(one, declared) for one in group)), None)
            rows = self._rows(group)
            if reason is None and not rows:
                reason = "the record of what was read is gone"
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            is_first = any(one.run_id == self._first_run for one in group)
            (first if is_first else measured).append(_measured(group, rows))
        if not measured:
            return first, left_out
        if first:
            left_out[_FIRST] = len(first)
        return measured, left_out

    @cached_property
    def _first_run(self) -> str | None:
        """The first run. It made the databases, for which it loaded libraries before its stages."""
        ledger = Ledger(self.home)
        if not ledger.exists:
            return None
        with ledger.reading() as log:
            entries = (entry_in(log, number) for number in range(log.size))
            return next((one.run for one in entries if isinstance(one, StageComputed)), None)

    @cached_property
    def latest_rows(self) -> int | None:
        """The rows that were read from the source last; None if nothing was."""
        current = Records(self.home).current(self.pipeline.name, "ingest")
        return sum(result_as(IngestResult, one).rows_read for one in current) or None

    def _groups(self, stage: Stage) -> list[tuple[Record, ...]]:
        """Return the records of the stage, grouped by the training that they belong to."""
        if not self.pipeline.spec.partitions or stage not in PARTITIONED:
            return [(one,) for one in self._by_stage.get(stage, []) if one.partition is None]
        if "split" not in stages_of(self.pipeline):
            current = tuple(Records(self.home).current(self.pipeline.name, stage))
            return [current] if current else []
        found = {frozenset(self._upstream(split, stage)): None for split in self._by_stage["split"]}
        return [tuple(self._by_key[stage, key] for key in keys) for keys in found if keys]

    def _upstream(self, record: Record, stage: Stage) -> set[str]:
        """Return the keys of the records of an earlier stage that a record was computed from."""
        if record.stage == stage:
            return {record.key}
        before = [(name, key) for name, keys in record.inputs.items() for key in keys]
        known = [self._by_key[one] for one in before if one in self._by_key]
        return {key for one in known for key in self._upstream(one, stage)}

    def _rows(self, group: Iterable[Record]) -> int:
        keys = {key for record in group for key in self._upstream(record, "ingest")}
        return sum(result_as(IngestResult, self._by_key["ingest", key]).rows_read for key in keys)

    def _unusable(self, record: Record, declared: Any) -> str | None:
        if record.cpu_seconds is None:
            return "it was computed before CPU time was measured"
        if _plain(record.parts.get("declaration")) != declared:
            return "its declaration was another one"
        if self._reused_a_part(record):
            return "a part of it was reused"
        return None

    def _reused_a_part(self, record: Record) -> bool:
        """Whether a block of the table is older than the computation, which therefore reused it."""
        if record.stage not in PARTITIONED:
            return False
        began = datetime.fromisoformat(record.finished).timestamp() - record.seconds - _SLACK
        blocks = _blocks(record)
        files = [path for block in blocks for path in block.good.paths(self.home)]
        earlier = self._first_of_block
        return any(earlier[record.stage, block.key] < record.finished for block in blocks) or any(
            _is_older(path, began) for path in files
        )

    @cached_property
    def _first_of_block(self) -> Mapping[tuple[str, str], str]:
        """When each block of a stage was computed first."""
        first: dict[tuple[str, str], str] = {}
        for stage in PARTITIONED:
            for record in self._by_stage.get(stage, []):
                for block in _blocks(record):
                    first.setdefault((stage, block.key), record.finished)
        return first

    @cached_property
    def _by_stage(self) -> Mapping[str, list[Record]]:
        """The records of each stage, oldest first."""
        found: dict[str, list[Record]] = {stage: [] for stage in stages_of(self.pipeline)}
        every = Records(self.home).all(self.pipeline.name)
        for record in sorted(every, key=lambda one: (one.finished, one.key)):
            found.setdefault(record.stage, []).append(record)
        return found

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, str], Record]:
        every = (record for records in self._by_stage.values() for record in records)
        return {(record.stage, record.key): record for record in every}


def _measured(group: Iterable[Record], rows: int) -> MeasuredStage:
    every = [*group]
    return MeasuredStage(
        rows=rows,
        seconds=sum(one.seconds for one in every),
        cpu_seconds=sum(one.cpu_seconds or 0.0 for one in every),
        wh=sum(one.wh for one in every),
        megabytes=max(one.megabytes for one in every),
        methods=tuple(dict.fromkeys(one.method for one in every)),
        finished=max(one.finished for one in every),
    )


def _blocks(record: Record) -> tuple[Block, ...]:
    if record.stage == "ingest":
        return result_as(IngestResult, record).blocks
    return result_as(CleanResult, record).blocks


def _plain(declared: Any) -> Any:
    """Return a declaration as plain JSON without seeds, on which no cost depends."""
    return json.loads(json.dumps(declared), object_hook=_without_seed)


def _without_seed(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "seed"}


def _is_older(path: str | os.PathLike[str], moment: float) -> bool:
    """Whether a file was last written before a moment; False if the file is gone."""
    try:
        return os.stat(path).st_mtime < moment
    except OSError:
        return False
