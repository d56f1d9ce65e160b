"""What a version was at a moment: champion, canary, shadow, a pack elsewhere, or nothing."""

from itertools import takewhile

from factory_assets.audit.trace.answer.events import entries_about
from factory_assets.audit.trace.answer.report import EdgeFact, Role, StandingFact
from factory_resources.ledger.entries import ChampionMade, ServingChanged
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted


def standing_at(
    log: Log, pipeline: str, version: int, moment: str, edge: EdgeFact | None
) -> StandingFact:
    """Return what a version was at a moment.

    A server changes to another champion some moments after the ledger does; an answer from this
    time is of a former champion.

    Args:
        moment: UTC, ISO 8601, as entries have it.
        edge: the pack that answered, if it was one.
    """
    made = [
        one for one in entries_about(log, ChampionMade, pipeline=pipeline) if one[1].time <= moment
    ]
    changed = [
        entry
        for _, entry in entries_about(log, ServingChanged, pipeline=pipeline)
        if entry.time <= moment
    ]
    champion = made[-1][1].version if made else None
    stopped = bool(changed) and changed[-1].action == "stopped"

    def standing(role: Role, entry: int | None, since: str | None) -> StandingFact:
        return StandingFact(role=role, entry=entry, since=since, champion=champion, stopped=stopped)

    if edge:
        return standing("pack", edge.entry, edge.packed)
    if champion == version:
        # The same version may be made champion again by another export.
        *_, (number, first) = takewhile(lambda one: one[1].version == version, reversed(made))
        return standing("champion", number, first.time)
    if rollout := _rollout_at(log, pipeline, version, moment):
        return standing(rollout[1].mode, rollout[0], rollout[1].time)
    if earlier := [(number, entry.time) for number, entry in made if entry.version == version]:
        return standing("former champion", *earlier[-1])
    return standing("none", None, None)


def _rollout_at(
    log: Log, pipeline: str, version: int, moment: str
) -> tuple[int, RolloutStarted] | None:
    """Return the entry of the roll-out of a version that went on at a moment."""
    ended = {
        entry.started: entry.time
        for _, entry in entries_about(log, RolloutEnded, pipeline=pipeline)
    }
    for number, entry in reversed(entries_about(log, RolloutStarted, pipeline=pipeline)):
        if entry.version == version and entry.time <= moment:
            over = ended.get(number)
            return (number, entry) if over is None or over > moment else None
    return None
