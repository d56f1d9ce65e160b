"""Whether a deployed version may serve: what people decided about it, as the ledger has it.

Deciding belongs in `decisions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from factory_assets.execution.people import may, people_in
from factory_assets.execution.responsibility import missing_responsibility
from factory_assets.results.base import result_as
from factory_assets.results.model import Champion
from factory_assets.spec import Approval, Pipeline
from factory_resources.durations import minute, seconds_of
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    CandidateDecided,
    ChampionMade,
    ModelTrained,
    PersonChanged,
    RunStarted,
    StageComputed,
)
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.ledger import (
    Ledger,
    champion_in,
    entries_in,
    latest_before,
    latest_in,
    stopped_in,
)
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutStarted
from factory_resources.ledger.rollouts import ended_in, rollout_in
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry

CLOCKS = timedelta(minutes=5)
"""How far two clocks may differ."""

Status = Literal[
    "serves", "stopped", "rolls out", "free", "approved", "waits", "refused", "rolled back"
]
"""`free` may serve without anybody's approval, `approved` has all that it needs; neither serves
yet. What `rolls out` is compared with the champion."""


@dataclass(frozen=True)
class Standing:
    """What holds for the version that a deployment exported."""

    status: Status
    number: int | None = None
    """The entry that says so; None if there is none."""
    act: SignedAct | None = None
    """The last that a person decided about it."""
    counted: tuple[CandidateDecided, ...] = ()
    """The approvals that count."""
    rule: Approval | None = None
    since: str | None = None
    """When it was exported, if it waits: UTC, ISO 8601."""
    rollout: RolloutStarted | None = None
    """How it rolls out, if it does."""
    lacks: str | None = None
    """What `governance.yaml` lacks, without which it may not begin to serve."""

    @property
    def given(self) -> int:
        """How many approvals count."""
        return len(self.counted)

    @property
    def may_begin(self) -> bool:
        """Whether it may serve, and does not yet."""
        return self.status in {"free", "approved"} and self.lacks is None


def standing(pipeline: Pipeline, record: Record, home: Home) -> Standing:
    """Return what holds for the version of a record of `deploy`.

    Raises:
        StorageError: the ledger cannot be read, or was changed.
    """
    if not Ledger(home).exists:
        # Before the ledger there were no approvals, and MLflow's alias said what serves.
        value = result_as(Champion, record)
        serves = Registry(home).champion(value.model) == value.version
        if serves:
            return Standing("serves")
        return Standing("free", lacks=missing_responsibility(pipeline))
    with Ledger(home).reading() as log:
        return standing_in(log, pipeline, record)


def standing_in(log: Log, pipeline: Pipeline, record: Record) -> Standing:
    """As `standing`, by what an open ledger says."""
    value = result_as(Champion, record)
    champion = champion_in(log, value.model)
    if champion and champion[1].version == value.version:
        stopped = stopped_in(log, value.model)
        return Standing("stopped", *stopped) if stopped else _serving(log, *champion)
    if tried := _rolled_out(log, value):
        return tried
    if left := _rolled_back(log, value):
        return Standing("rolled back", *left)
    rule = pipeline.spec.deploy.approval
    made = decisions_in(log, value.model, value.version)
    if refused := next((one for one in made if one[1].decision == "refused"), None):
        return Standing("refused", *refused, rule=rule)
    if rule is None:
        return Standing("free")
    decisions = [*_about(made, value, verdict_of(log, record), champion)]
    number, act = decisions[-1] if decisions else (None, None)
    given = approvals_that_count(log, record, rule, decisions)
    exported = latest_in(log, StageComputed, record.name)
    return Standing(
        "approved" if len(given) >= rule.signatures else "waits",
        number,
        act,
        counted=tuple(given),
        rule=rule,
        since=exported[1].time if exported else None,
        lacks=missing_responsibility(pipeline),
    )


def waiting_text(standing: Standing, pipeline: str, version: int) -> str | None:
    """Return such as `apples@4 waits for 1 approver since …`; None if it waits for nothing."""
    name = f"{pipeline}@{version}"
    if standing.lacks:
        return f"{name} may not serve: {standing.lacks}; see factory check {pipeline}"
    if standing.status not in {"waits", "approved"} or standing.rule is None:
        return None
    missing = standing.rule.signatures - standing.given
    if missing <= 0:
        return f"{name} has its approvals: factory run {pipeline} lets it serve"
    role = f"{standing.rule.by}{'' if missing == 1 else 's'}"
    since = f" since {minute(standing.since)} UTC" if standing.since else ""
    return (
        f"{name} waits for {missing} {role}{since}: factory approve {name} --reason '…' (or refuse)"
    )


def champions_in(log: Log, pipeline: str) -> list[tuple[int, ChampionMade]]:
    """Return every entry about which version serves, the newest first."""
    return [*entries_in(log, ChampionMade, ChampionMade.subject_of(pipeline=pipeline))]


def decisions_in(log: Log, pipeline: str, version: int) -> list[tuple[int, CandidateDecided]]:
    """Return every decision about a version, the oldest first."""
    subject = CandidateDecided.subject_of(pipeline=pipeline, version=version)
    return [*entries_in(log, CandidateDecided, subject)][::-1]


def verdict_of(log: Log, record: Record) -> str | None:
    """Return the digest of the evaluation that a deployment was made from."""
    for key in record.inputs.get("evaluate", ()):
        name = f"records/{record.pipeline}/evaluate/{key}.json"
        if found := latest_in(log, StageComputed, name):
            return found[1].sha256
    return None


def approvals_that_count(
    log: Log,
    record: Record,
    rule: Approval,
    decisions: list[tuple[int, CandidateDecided]],
    now: datetime | None = None,
) -> list[CandidateDecided]:
    """Return the approvals of people who still may approve, one a person, none too old.

    None counts before its time: the clock was set back since, and the auditor's verifier does not
    let it count either.

    Args:
        decisions: those about what this record deploys.
    """
    people, now = people_in(log), now or datetime.now(UTC)
    longest = timedelta(seconds=seconds_of(rule.valid))
    counted: dict[str, CandidateDecided] = {}
    for _, decision in decisions:
        fresh = -CLOCKS <= now - datetime.fromisoformat(decision.signed) <= longest
        allowed = may(people, decision.person, decision.key, rule.by)
        if not fresh or not allowed or decision.person is None:
            continue
        if rule.four_eyes and not is_other_person(log, record, people.get(decision.person)):
            continue
        counted[decision.person] = decision
    return [*counted.values()]


def is_other_person(log: Log, record: Record, person: PersonChanged | None) -> bool:
    """Whether the account that trained the candidate is known to be another person's."""
    if person is None or person.account is None:
        return False
    return trained_by(log, record) not in {None, person.account}


def trained_by(log: Log, record: Record) -> str | None:
    """Return the commitment to the account that trained the candidate; None if it is not known."""
    value = result_as(Champion, record)
    subject = ModelTrained.subject_of(pipeline=value.model, version=value.version)
    model = latest_in(log, ModelTrained, subject)
    # The record may be that of a later training by now, of another version.
    trained = latest_before(log, StageComputed, model[1].record, model[0]) if model else None
    run = RunStarted.subject_of(run=trained.run) if trained else ""
    started = latest_in(log, RunStarted, run)
    return started[1].account if started else None


def _about(
    decisions: list[tuple[int, CandidateDecided]],
    value: Champion,
    verdict: str | None,
    champion: tuple[int, ChampionMade] | None,
) -> Iterator[tuple[int, CandidateDecided]]:
    """Yield the decisions about a version that are about exactly this verdict and graph.

    A decision counts until the next version begins to serve, or an earlier one again.
    """
    since = champion[0] if champion else 0
    serving = champion[1].version if champion else None
    for number, entry in decisions:
        about = entry.verdict, entry.graph, entry.replaces
        if number > since and about == (verdict, value.onnx_sha256, serving):
            yield number, entry


def _serving(log: Log, number: int, champion: ChampionMade) -> Standing:
    if champion.statement:
        return Standing("serves", number, champion)
    approved = [
        one
        for one in decisions_in(log, champion.pipeline, champion.version)
        if one[0] < number and one[1].decision == "approved"
    ]
    return Standing("serves", *(approved[-1] if approved else (number, None)))


def _rolled_out(log: Log, value: Champion) -> Standing | None:
    """Return what holds for a version that rolls out, or whose roll-out did not end well."""
    ongoing = rollout_in(log, value.model)
    if ongoing and ongoing[1].version == value.version:
        return Standing("rolls out", ongoing[0], rollout=ongoing[1])
    ended = ended_in(log, value.model, value.version)
    if ended and ended[1].outcome in {"rolled back", "ended by a person"}:
        return Standing("rolled back", *ended)
    return None


def _rolled_back(log: Log, value: Champion) -> tuple[int, ChampionMade] | None:
    """Return the entry by which a person left this version for an earlier one, if they did."""
    left: list[tuple[int, ChampionMade]] = []
    for number, entry in champions_in(log, value.model):
        if entry.version == value.version:
            return left[-1] if left else None
        if entry.rollback:
            left.append((number, entry))
        else:
            # Versions before one that serves again were replaced, not left for it.
            left = [one for one in left if one[1].version != entry.version]
    return None
