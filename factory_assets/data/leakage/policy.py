"""Judge measured leaks by the declaration: which are sure, suspected or accepted.

This happens before each training, even if a stored one is reused: what is accepted may have been
edited. Measuring leaks belongs in `detection`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.data.leakage.semantics import (
    PLANS,
    afterwards,
    computed_from_target,
    outcome_reasons,
    unplanned,
    words_of,
)
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import Implied, InputPair, Leaks
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError

if TYPE_CHECKING:
    from factory_resources.tracking.registry import Registry


REASONS = "factory.leaks_accepted"
"""The tag of a model version that holds the accepted leaks, each with its reason."""

WELL = {"AUC": 0.9, "R²": 0.75}
"""Power from which an input that is named like an outcome is a sure leak."""

MANY_COPIES, LEAST_COPIES = 0.01, 10
"""Smallest share and smallest number of copied test rows that count as a leak."""

_STRADDLE = 0.01
"""Smallest share of test rows known from training rows that counts as a leak."""

_BACKWARDS = 0.05
"""Smallest share of training rows later than half the test rows that counts as a leak."""

_SHOWN = 8
"""Leaks or inputs that a message lists."""


@dataclass(frozen=True)
class Leak:
    """One reason to doubt the metrics on the test set."""

    column: str
    """Empty for a leak of whole rows."""
    says: str
    """The message, in one line."""
    sure: bool
    remedy: str
    """Empty for an input that is to be excluded: all such inputs share one remedy."""
    accepted: str | None
    """The declared reason for accepting it; None if it is not accepted."""


def leaks_of(pipeline: Pipeline, measured: Leaks) -> list[Leak]:
    """Return all leaks: open ones before accepted ones, then sure ones first; none if `off`."""
    rule = pipeline.spec.training.leaks
    if rule.action == "off":
        return []
    leaks = [
        *_inputs(pipeline, measured),
        *_pairs(pipeline, measured),
        *_duplicates(pipeline, measured),
        *_groups(pipeline, measured),
        *_later(pipeline, measured),
    ]
    return sorted(leaks, key=lambda leak: (leak.accepted is not None, not leak.sure))


def leak_check(pipeline: Pipeline, measured: Leaks) -> TableCheck | None:
    """Return all leaks as one check; None if the declaration says `off`."""
    rule = pipeline.spec.training.leaks
    if rule.action == "off":
        return None
    leaks = leaks_of(pipeline, measured)
    open_ = [leak for leak in leaks if leak.accepted is None]
    sure = [leak for leak in open_ if leak.sure]
    blocking = rule.action == "block" and bool(sure)
    shown = [leak.says for leak in open_[:_SHOWN]]
    shown += [f"{len(open_) - _SHOWN} more"] * (len(open_) > _SHOWN)
    accepted = [f"{one.says} ({one.accepted})" for one in leaks if one.accepted is not None]
    return TableCheck(
        "leaks",
        not open_,
        "; ".join(shown or [f"accepted: {one}" for one in accepted] or ["none found"]),
        # A suspected leak alone never stops the pipeline.
        blocking=blocking,
        remedy=_remedy(sure or open_),
        numbers={
            "sure": len(sure),
            "suspected": len(open_) - len(sure),
            **({"accepted": "; ".join(accepted)} if accepted else {}),
            **{f"{measured.measure} of {name} alone": number for name, number in _best(measured)},
        },
    )


class LeakError(DataError):
    """A sure leak that is not accepted; `checks` holds the check that failed."""

    def __init__(self, check: TableCheck, where: str) -> None:
        super().__init__(check.says, where=where, remedy=check.remedy)
        self.checks = (check,)


def require_no_leaks(pipeline: Pipeline, measured: Leaks) -> None:
    """Require that no sure leak is open if the declaration says `block`.

    Raises:
        LeakError: there is one; the message lists all open leaks.
    """
    check = leak_check(pipeline, measured)
    if check and check.blocking and not check.passed:
        raise LeakError(check, f"{pipeline.name}/train")


def accepted_reasons(pipeline: Pipeline, measured: Leaks) -> str:
    """Return the accepted leaks with their reasons as JSON; an empty text if there are none."""
    leaks = leaks_of(pipeline, measured)
    accepted = {leak.column or "duplicates": leak.accepted for leak in leaks if leak.accepted}
    return json.dumps(accepted, sort_keys=True) if accepted else ""


def store_reasons(
    pipeline: Pipeline, measured: Leaks, candidate: Candidate, registry: "Registry"
) -> None:
    """Store the current reasons with a candidate that is reused; they do not change its weights."""
    if not reasons_stored(pipeline, measured, candidate, registry):
        now = accepted_reasons(pipeline, measured)
        registry.tag_version(candidate.model, candidate.version, {REASONS: now})


def reasons_stored(
    pipeline: Pipeline, measured: Leaks, candidate: Candidate, registry: "Registry"
) -> bool:
    """Whether the model version's tag holds the reasons that the declaration gives now."""
    tags = registry.version_tags(candidate.model, candidate.version)
    return tags.get(REASONS, "") == accepted_reasons(pipeline, measured)


def _remedy(leaks: Sequence[Leak]) -> str:
    """Return one remedy for all inputs, and one for each other kind of leak."""
    names = list(dict.fromkeys(leak.column for leak in leaks if not leak.remedy))
    shown = ", ".join(names[:_SHOWN]) + ", …" * (len(names) > _SHOWN)
    inputs = [
        f"add to train.exclude: [{shown}], or write why it is known beforehand: "
        f"train.leaks.allow: {{{names[0]}: …}}"
        for _ in names[:1]
    ]
    return "; ".join([*inputs, *dict.fromkeys(leak.remedy for leak in leaks if leak.remedy)])


def _best(measured: Leaks) -> list[tuple[str, float]]:
    return sorted(measured.power.items(), key=lambda one: (-one[1], one[0]))[:3]


def _inputs(pipeline: Pipeline, measured: Leaks) -> Iterator[Leak]:
    target, allow = pipeline.spec.training.target, pipeline.spec.training.leaks.allow
    hidden = sensitive_columns(pipeline)
    named = outcome_reasons(pipeline, measured.inputs)
    computed = computed_from_target(pipeline, measured.inputs)
    for name in measured.inputs:
        power, implied = measured.power.get(name, 0.0), measured.implied.get(name)
        measure = f"({measured.measure} {power:.3f})"
        strong = power >= WELL[measured.measure]
        if name in computed:
            says, sure = f"{name!r} is computed from {target!r}", True
        elif measured.limit is not None and power >= measured.limit:
            says, sure = f"{name!r} alone predicts {target!r} {measure}", True
        elif implied:
            says, sure = _implied(name, target, implied, name in hidden), True
        elif name in named:
            says, sure = f"{name!r} may be an outcome: {named[name]}", strong
            says += f", and it predicts {target!r} well {measure}" if strong else ""
        else:
            continue
        yield Leak(name, says, sure, "", allow.get(name))


def _pairs(pipeline: Pipeline, measured: Leaks) -> Iterator[Leak]:
    target, allow = pipeline.spec.training.target, pipeline.spec.training.leaks.allow
    for pair in measured.pairs:
        one, two = pair.columns
        later = afterwards(pair, measured.power)[0]
        name = next((name for name in pair.columns if name in allow), later)
        says = f"the {pair.relation} of {one!r} and {two!r} tells {target!r} almost exactly"
        remedy = _pair_remedy(pair, later)
        yield Leak(name, f"{says} (ξ {pair.order:.3f})", True, remedy, allow.get(name))


def _pair_remedy(pair: InputPair, later: str) -> str:
    """Return what to do about a pair of which it is not known which one comes afterwards.

    To exclude the other one would remove the message and keep the leak.
    """
    one, two = pair.columns
    accept = f"write why both are known beforehand: train.leaks.allow: {{{later}: …}}"
    if pair.relation == "sum":
        return f"add to train.exclude: [{one}, {two}], or {accept}"
    if unplanned(pair):
        return ""
    return (
        f"add to train.exclude the one of {one!r} and {two!r} that is known only afterwards, "
        f"or {accept}"
    )


def _implied(name: str, target: str, implied: Implied, hidden: bool) -> str:
    value = "has one of its values" if hidden else implied.value
    return (
        f"where {name!r} {value}, {target!r} is {implied.target} "
        f"({implied.hits} of {implied.rows} rows; {implied.share:.1%} of all training rows)"
    )


def _duplicates(pipeline: Pipeline, measured: Leaks) -> Iterator[Leak]:
    copies = measured.duplicates
    instead = pipeline.spec.split.instead("group")
    if (
        copies is None
        or copies.coincidence
        or copies.share < MANY_COPIES
        or copies.rows < LEAST_COPIES
    ):
        return
    yield Leak(
        "",
        f"{copies.rows} test rows ({copies.share:.1%}) repeat the inputs of a training row",
        True,
        "drop repeated rows with clean.deduplicate or keep them together with "
        f"split.group{instead}, or write why they are acceptable: train.leaks.duplicates",
        pipeline.spec.training.leaks.duplicates,
    )


def _groups(pipeline: Pipeline, measured: Leaks) -> Iterator[Leak]:
    split, allow = pipeline.spec.split, pipeline.spec.training.leaks.allow
    for name, share in measured.groups.items():
        declared = name == split.group
        # A split by time is meant to predict the future of known groups.
        if share < _STRADDLE or (split.time and not declared):
            continue
        yield Leak(
            name,
            f"{share:.1%} of the test rows have a {name!r} that training rows have too",
            declared,
            f"keep them apart with split.group: {name}{split.instead('group')}, or accept it: "
            f"train.leaks.allow: {{{name}: …}}",
            allow.get(name),
        )


def _later(pipeline: Pipeline, measured: Leaks) -> Iterator[Leak]:
    split, allow = pipeline.spec.split, pipeline.spec.training.leaks.allow
    later = {
        name: share
        for name, share in measured.later.items()
        if name == split.time or share >= _BACKWARDS
    }
    names = [name for name in later if name not in allow] or [*later]
    if not names:
        return
    # A split has one time, and dates that say what was planned are hardly it.
    best, *others = sorted(names, key=lambda name: bool(PLANS.intersection(words_of(name))))
    choice = f" (or {', '.join(others)}, if that says when a row happened)" if others else ""
    accept = ", ".join(f"{name}: …" for name in (best, *others))
    for name, share in later.items():
        first = "a test row" if name == split.time else "half the test rows"
        yield Leak(
            name,
            f"{share:.1%} of the training rows are later by {name!r} than {first}",
            name == split.time,
            f"test on the latest rows with split.time: {best}{choice}{split.instead('time')}, or "
            f"accept it: train.leaks.allow: {{{accept}}}",
            allow.get(name),
        )
