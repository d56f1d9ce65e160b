"""Which new version is being compared with the champion, as the ledger says.

When a roll-out begins and ends is decided in `factory_assets.execution`.
"""

from itertools import takewhile

from factory_resources.ledger.ledger import entry_in, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted


def rollout_in(log: Log, pipeline: str) -> tuple[int, RolloutStarted] | None:
    """Return the entry of the roll-out that goes on; None if there is none."""
    started = latest_in(log, RolloutStarted, RolloutStarted.subject_of(pipeline=pipeline))
    ended = latest_in(log, RolloutEnded, RolloutEnded.subject_of(pipeline=pipeline))
    return None if started and ended and ended[0] > started[0] else started


def ended_in(log: Log, pipeline: str, version: int) -> tuple[int, RolloutEnded] | None:
    """Return how the last roll-out of a version that has ended did so; None if there was none."""
    for number in log.numbers(RolloutEnded.subject_of(pipeline=pipeline)):
        entry = entry_in(log, number)
        if isinstance(entry, RolloutEnded) and (
            (entry.pipeline, entry.version) == (pipeline, version)
        ):
            return number, entry
    return None


def replaced_in_a_row(log: Log, pipeline: str) -> int:
    """Return how many of the last roll-outs, without a gap, ended because another version came."""
    numbers = log.numbers(RolloutEnded.subject_of(pipeline=pipeline))
    entries = (entry_in(log, number) for number in numbers)
    ended = (entry for entry in entries if isinstance(entry, RolloutEnded))
    return sum(1 for _ in takewhile(lambda entry: entry.outcome == "replaced", ended))
