"""What was found out about leaks, held against the declaration: what is sure, suspected, accepted.

Asked before each training, also of one that is reused: what is accepted may have been edited.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.data.leakage.semantics import made_of_target, meanings
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import Implied, Leaks
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError

if TYPE_CHECKING:
    from factory_resources.tracking.registry import Registry


REASONS = "factory.leaks_accepted"
"""The tag of a model version that holds what was accepted, each with its reason."""

_WELL = {"AUC": 0.9, "R²": 0.75}
"""From which on an input that is called an outcome is believed to be one."""

_MANY, _LEAST = 0.01, 10
"""Copied test rows, of which so many matter: a share of them, and a number."""

_STRADDLE = 0.01

_BACKWARDS = 0.05

_TOLD = 8


@dataclass(frozen=True)
class Leak:
    """One reason to doubt what the test rows will say."""

    column: str
    """Empty for what is about whole rows."""
    says: str
    sure: bool
    remedy: str
    accepted: str | None
    """The reason that was written."""


def leaks_of(pipeline: Pipeline, found: Leaks) -> list[Leak]:
    """All that was found, the sure ones first; nothing where the declaration says `off`."""
    rule = pipeline.spec.training.leaks
    if rule.action == "off":
        return []
    leaks = [
        *_inputs(pipeline, found),
        *_duplicates(pipeline, found),
        *_groups(pipeline, found),
        *_later(pipeline, found),
    ]
    return sorted(leaks, key=lambda leak: (leak.accepted is not None, not leak.sure))


def leak_check(pipeline: Pipeline, found: Leaks) -> TableCheck | None:
    """All leaks as one check; None where the declaration says `off`."""
    rule = pipeline.spec.training.leaks
    if rule.action == "off":
        return None
    leaks = leaks_of(pipeline, found)
    open_ = [leak for leak in leaks if leak.accepted is None]
    sure = [leak for leak in open_ if leak.sure]
    blocking = rule.action == "block" and bool(sure)
    told = [leak.says for leak in open_[:_TOLD]]
    told += [f"{len(open_) - _TOLD} more"] * (len(open_) > _TOLD)
    kept = [f"{one.says} ({one.accepted})" for one in leaks if one.accepted is not None]
    return TableCheck(
        "leaks",
        not open_,
        "; ".join(told or [f"accepted: {one}" for one in kept] or ["none found"]),
        # A suspicion alone stops nothing.
        blocking=blocking,
        remedy=_remedy(sure or open_),
        numbers={
            "sure": len(sure),
            "suspected": len(open_) - len(sure),
            **({"accepted": "; ".join(kept)} if kept else {}),
            **{f"{found.measure} of {name} alone": number for name, number in _best(found)},
        },
    )


class LeakError(DataError):
    """A leak that is sure and that nobody has accepted; `checks` are all that were made."""

    def __init__(self, check: TableCheck, where: str) -> None:
        super().__init__(check.says, where=where, remedy=check.remedy)
        self.checks = (check,)


def require_no_leaks(pipeline: Pipeline, found: Leaks) -> None:
    """Stop before anything is learned from what gives the answer away.

    Raises:
        LeakError: with all that was found.
    """
    check = leak_check(pipeline, found)
    if check and check.blocking and not check.passed:
        raise LeakError(check, f"{pipeline.name}/train")


def reasons(pipeline: Pipeline, found: Leaks) -> str:
    """What was accepted of what was found, each with its reason, as JSON; empty for nothing."""
    leaks = leaks_of(pipeline, found)
    kept = {leak.column or "duplicates": leak.accepted for leak in leaks if leak.accepted}
    return json.dumps(kept, sort_keys=True) if kept else ""


def keep_reasons(
    pipeline: Pipeline, found: Leaks, candidate: Candidate, registry: "Registry"
) -> None:
    """Write the reasons of today to a candidate that was trained before; they changed no weight."""
    now = reasons(pipeline, found)
    before = registry.version_tags(candidate.model, candidate.version).get(REASONS, "")
    if now != before:
        registry.tag_version(candidate.model, candidate.version, {REASONS: now})


def _remedy(leaks: Sequence[Leak]) -> str:
    """One for all inputs, and one for each other thing."""
    names = list(dict.fromkeys(leak.column for leak in leaks if not leak.remedy))
    shown = ", ".join(names[:_TOLD]) + ", …" * (len(names) > _TOLD)
    inputs = [
        f"add to train.exclude: [{shown}], or write why it is known beforehand: "
        f"train.leaks.allow: {{{names[0]}: …}}"
        for _ in names[:1]
    ]
    return "; ".join([*inputs, *dict.fromkeys(leak.remedy for leak in leaks if leak.remedy)])


def _best(found: Leaks) -> list[tuple[str, float]]:
    return sorted(found.power.items(), key=lambda one: (-one[1], one[0]))[:3]


def _inputs(pipeline: Pipeline, found: Leaks) -> Iterator[Leak]:
    target, allow = pipeline.spec.training.target, pipeline.spec.training.leaks.allow
    hidden = sensitive_columns(pipeline)
    named = meanings(pipeline, found.inputs)
    made = made_of_target(pipeline, found.inputs)
    for name in found.inputs:
        power, implied = found.power.get(name, 0.0), found.implied.get(name)
        reached = f"({found.measure} {power:.3f})"
        well = power >= _WELL[found.measure]
        if name in made:
            says, sure = f"{name!r} is made of {target!r}", True
        elif found.limit is not None and power >= found.limit:
            says, sure = f"{name!r} alone tells {target!r} {reached}", True
        elif implied:
            says, sure = _implied(name, target, implied, name in hidden), True
        elif name in named:
            says, sure = f"{name!r} may be an outcome: {named[name]}", well
            says += f", and it tells {target!r} well {reached}" if well else ""
        else:
            continue
        yield Leak(name, says, sure, "", allow.get(name))


def _implied(name: str, target: str, found: Implied, hidden: bool) -> str:
    value = "has one of its values" if hidden else found.value
    return (
        f"where {name!r} {value}, {target!r} is {found.target} "
        f"({found.hits} of {found.rows} training rows; of all of them {found.share:.1%})"
    )


def _duplicates(pipeline: Pipeline, found: Leaks) -> Iterator[Leak]:
    same = found.duplicates
    if same is None or same.coincidence or same.share < _MANY or same.rows < _LEAST:
        return
    yield Leak(
        "",
        f"{same.rows} test rows ({same.share:.1%}) repeat the inputs of a training row",
        True,
        "drop repeated rows with clean.deduplicate or keep them together with split.group, or "
        "write why they are right: train.leaks.duplicates",
        pipeline.spec.training.leaks.duplicates,
    )


def _groups(pipeline: Pipeline, found: Leaks) -> Iterator[Leak]:
    split, allow = pipeline.spec.split, pipeline.spec.training.leaks.allow
    for name, share in found.groups.items():
        declared = name == split.group
        # What is to come is told of those who are known: a split by time is meant to.
        if share < _STRADDLE or (split.time and not declared):
            continue
        yield Leak(
            name,
            f"{share:.1%} of the test rows are of a {name!r} that training rows know",
            declared,
            f"keep them apart with split.group: {name}, or accept it: "
            f"train.leaks.allow: {{{name}: …}}",
            allow.get(name),
        )


def _later(pipeline: Pipeline, found: Leaks) -> Iterator[Leak]:
    time, allow = pipeline.spec.split.time, pipeline.spec.training.leaks.allow
    for name, share in found.later.items():
        if name == time:
            says = f"{share:.1%} of the training rows are later by {name!r} than a test row"
        elif share < _BACKWARDS:
            continue
        else:
            says = f"{share:.1%} of the training rows are later by {name!r} than half the test rows"
        yield Leak(
            name,
            says,
            name == time,
            f"test on the latest rows with split.time: {name}, or accept it: "
            f"train.leaks.allow: {{{name}: …}}",
            allow.get(name),
        )
