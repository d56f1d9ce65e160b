"""When the roll-out of a new version begins and ends, as entries of the ledger.

What is compared meanwhile belongs in `rollout_evidence`, who gets which version in `serving.http`.
"""

import subprocess
import sys
from dataclasses import dataclass, field

from factory_assets.execution.ledger_entries import champion_entry
from factory_assets.results.model import Champion
from factory_assets.spec import Pipeline
from factory_assets.spec.rollout import Canary, parts_of
from factory_resources.durations import seconds_of
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, Kind
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.ledger import Ledger, champion_in, entry_in, stopped_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import (
    RolloutCounts,
    RolloutEnded,
    RolloutOutcome,
    RolloutStarted,
)
from factory_resources.ledger.rollouts import rollout_in
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry

_MIRROR = """
import sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
home, pipeline = Home(Path(sys.argv[1])), sys.argv[2]
with home.lock(f"{pipeline}.deploy"):
    Registry(home).mirror(pipeline)
"""


@dataclass(frozen=True)
class Rollout:
    """A roll-out that goes on."""

    number: int
    """The entry that began it."""
    started: RolloutStarted


@dataclass(frozen=True)
class Ending:
    """What becomes of a roll-out."""

    outcome: RolloutOutcome
    reason: str | None = None
    counts: RolloutCounts = field(default_factory=RolloutCounts)
    act: SignedAct = field(default_factory=SignedAct)
    """The statement of the person who ended it."""


def ongoing_rollout(log: Log, pipeline: str) -> Rollout | None:
    """Return the roll-out of a pipeline that goes on."""
    found = rollout_in(log, pipeline)
    return Rollout(*found) if found else None


def begin_serving(log: Log, pipeline: Pipeline, value: Champion, record: Record) -> list[Kind]:
    """Return the entries by which a version begins to serve: as champion, or beside it.

    Args:
        value: the deployed version, which may serve.
        record: of `deploy`.
    """
    declared, champion = pipeline.spec.deploy.rollout, _champion(log, pipeline.name)
    if champion is not None and champion.version == value.version:
        # It was exported again, and no other version is concerned.
        return [champion_entry(value, record)]
    ended = [*leave_rollout(log, pipeline.name, f"version {value.version} takes its place")]
    if declared is None or champion is None:
        return [*ended, champion_entry(value, record)]
    is_canary = isinstance(declared, Canary)
    started = RolloutStarted(
        subject=RolloutStarted.subject_of(pipeline=pipeline.name),
        pipeline=pipeline.name,
        version=value.version,
        record=record.name,
        graph=value.onnx_sha256,
        champion=champion.version,
        mode="canary" if is_canary else "shadow",
        share=parts_of(declared.share) if isinstance(declared, Canary) else 0,
        seconds=seconds_of(declared.duration),
        answers=declared.answers,
    )
    return [*ended, started]


def leave_rollout(log: Log, pipeline: str, reason: str) -> list[Kind]:
    """Return the entry that ends the roll-out of a pipeline for another version; none if there is
    no roll-out."""
    ongoing = ongoing_rollout(log, pipeline)
    return [ended_entry(ongoing, Ending("replaced", reason))] if ongoing else []


def ended_entry(rollout: Rollout, ending: Ending) -> RolloutEnded:
    """Return the entry that ends a roll-out."""
    started = rollout.started
    return RolloutEnded(
        subject=RolloutEnded.subject_of(pipeline=started.pipeline),
        pipeline=started.pipeline,
        version=started.version,
        record=started.record,
        started=rollout.number,
        outcome=ending.outcome,
        reason=ending.reason,
        counts=ending.counts,
        **dict(ending.act),
    )


def end_rollout(rollout: Rollout, ending: Ending, home: Home) -> bool:
    """End a roll-out, unless it has ended or may not end so; a promoted version is the champion.

    Any number of processes may try at once: one of them ends it.

    Returns:
        Whether this call ended it.

    Raises:
        StorageError: the ledger cannot be written; nothing has changed.
    """
    started = rollout.started

    def decide(log: Log) -> list[Kind]:
        now = ongoing_rollout(log, started.pipeline)
        if now is None or now.number != rollout.number:
            return []
        if ending.outcome != "promoted":
            return [ended_entry(rollout, ending)]
        champion = _champion(log, started.pipeline)
        same = champion is not None and champion.version == started.champion
        if stopped_in(log, started.pipeline) or not same:
            return []
        ended = ended_entry(rollout, ending)
        promoted = ChampionMade(
            subject=ChampionMade.subject_of(pipeline=started.pipeline),
            pipeline=started.pipeline,
            version=started.version,
            replaced=started.champion,
            graph=started.graph,
            record=started.record,
        )
        return [ended, promoted]

    return bool(Ledger(home).append_decided(decide))


def mirror_promotion(pipeline: str, home: Home) -> "subprocess.Popen[bytes] | None":
    """Let MLflow's alias follow a version that a roll-out made champion, unless it does.

    Whatever else moved the alias is left to the next run, which tells it.

    Returns:
        The process that does so, which nobody needs to wait for.
    """
    if not Ledger(home).exists:
        return None
    with Ledger(home).reading() as log:
        found = champion_in(log, pipeline)
        before = entry_in(log, found[0] - 1) if found else None
    promoted = isinstance(before, RolloutEnded) and before.outcome == "promoted"
    if not promoted or Registry(home).moved_alias(pipeline) is None:
        return None
    # MLflow would stay in the memory of a server, which does not need it.
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _MIRROR, str(home.path), pipeline],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _champion(log: Log, pipeline: str) -> ChampionMade | None:
    found = champion_in(log, pipeline)
    return found[1] if found else None
