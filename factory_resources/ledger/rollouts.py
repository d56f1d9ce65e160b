"""Which new version is being compared with the champion, as the ledger says.

When a roll-out begins and ends is decided in `factory_assets.execution`.
"""

from itertools import takewhile

from factory_resources.ledger.ledger import entries_in, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted


def rollout_in(log: Log, pipeline: str) -> tuple[int, RolloutStarted] | None:
    """Return the entry of the roll-out that goes on; None if there is none."""
    started = latest_in(log, RolloutStarted, RolloutStarted.subject_of(pipeline=pipeline))
    ended = latest_in(log, RolloutEnded, RolloutEnded.subject_of(pipeline=pipeline))
    return None if started and ended and ended[0] > started[0] else started


def ended_in(log: Log, pipeline: str, version: int) -> tuple[int, RolloutEnded] | None:
    """Return how the last roll-out of a version that has ended did so; None if there was none."""
    ended = entries_in(log, RolloutEnded, RolloutEnded.subject_of(pipeline=pipeline))
    return next((one for one in ended if one[1].version == version), None)


def replaced_in_a_row(log: Log, pipeline: str) -> int:
    """Return how many of the last roll-outs, without a gap, ended because another version came."""
    ended = entries_in(log, RolloutEnded, RolloutEnded.subject_of(pipeline=pipeline))
    return sum(1 for _ in takewhile(lambda one: one[1].outcome == "replaced", ended))
