"""The page of a candidate that waits: what is decided about, and a signed decision to enter.

What people are shown belongs in `audit.approval_view`, what a decision needs in
`execution.decisions`, deciding by a passkey in `passkey_decisions`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from factory_assets.audit.approval_view import approval_text, records_behind
from factory_assets.declarations.loader import folders_by_name, load_pipeline
from factory_assets.execution.decided import Verb, decided_text
from factory_assets.execution.decisions import (
    enter_decision,
    waiting_candidate,
)
from factory_assets.execution.deployed_version import DeployedVersion
from factory_assets.execution.people import enter_people
from factory_assets.results.base import result_as
from factory_assets.results.evaluation import EvaluationResult, GateResult
from factory_assets.spec import Pipeline
from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger

_REASON = "say why"


@dataclass(frozen=True)
class MetricRow:
    """One metric of a candidate on its test rows."""

    name: str
    value: float
    interval: tuple[float, float] | None
    linear: float | None
    """Of the linear model on the same rows."""
    champion: float | None
    is_headline: bool


@dataclass(frozen=True)
class Section:
    """A fact, and what it consists of."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class ApprovalView:
    """What the page shows."""

    pipeline: str
    version: int
    purpose: str
    replaces: int | None
    role: str
    signatures: int
    given: int
    valid: str
    gates: tuple[GateResult, ...]
    metrics: tuple[MetricRow, ...]
    sections: tuple[Section, ...]
    """Everything else that the signed text says."""
    text: str
    """What `factory approve` shows, and signs."""
    deployed: DeployedVersion

    @property
    def digest(self) -> str:
        """Of the text: by it the page says later what it showed."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def command(self) -> str:
        """What to run where the key is."""
        return f"factory approve {self.pipeline}@{self.version} --reason '{_REASON}'"

    @property
    def saving_command(self) -> str:
        """What to run where nothing may be entered."""
        return f"{self.command} --save decision.json"


def approval_view(name: str, version: int, home: Home) -> ApprovalView:
    """Return what is to be decided about.

    Raises:
        FactoryError: there is no such candidate, or nothing is to be decided.
    """
    pipeline = _pipeline(name)
    waiting = waiting_candidate(pipeline, version, home)
    text = approval_text(pipeline, waiting, home)
    value = result_as(EvaluationResult, records_behind(waiting.deployed.record, home)["evaluate"])
    rule = waiting.rule
    return ApprovalView(
        name,
        version,
        pipeline.spec.purpose,
        waiting.deployed.replaces,
        rule.by,
        rule.signatures,
        waiting.standing.given,
        rule.valid,
        value.gates,
        tuple(_metrics(value)),
        tuple(_sections(text)),
        text,
        waiting.deployed,
    )


def enter_statement(name: str, version: int, content: bytes, home: Home) -> str:
    """Enter a signed statement, and return in one line what came of it.

    Raises:
        RefusedError: it does not count.
        FactoryError: there is no such candidate, or the ledger cannot be written.
    """
    pipeline, verb = _pipeline(name), _verb(content)
    if Ledger(home).exists:
        enter_people(home)
    done = enter_decision(pipeline, version, verb, content, home)
    _show_in_dagster(pipeline, home)
    return f"{decided_text(name, version, verb, done, home)}."


def _pipeline(name: str) -> Pipeline:
    folder = folders_by_name().get(name)
    if folder is None:
        raise UnknownNameError(f"there is no pipeline {name!r}", remedy="the overview lists all")
    return load_pipeline(folder)


def _metrics(value: EvaluationResult) -> Iterator[MetricRow]:
    linear, champion = value.baselines.get("linear", {}), value.champion or {}
    for name, number in value.metrics.items():
        yield MetricRow(
            name,
            number,
            value.intervals.get(name),
            linear.get(name),
            champion.get(name),
            name == value.headline,
        )


def _sections(text: str) -> Iterator[Section]:
    """Yield what the text says, without what the page has in tables."""
    title, lines = "", list[str]()
    for line in [*text.splitlines()[1:], "end"]:
        if line.startswith("  "):
            lines.append(line.strip())
            continue
        if title and not title.startswith(("gates:", "on the test rows:", "needs:")):
            yield Section(title[0].upper() + title[1:].removesuffix(":"), tuple(lines))
        title, lines = line, []


def _verb(content: bytes) -> Verb:
    """Return what a statement says was decided; nothing of it was checked."""
    try:
        decision = json.loads(b64decode(json.loads(content)["payload"]))["predicate"]["decision"]
    except (ValueError, KeyError, TypeError, RecursionError):
        decision = None
    if decision == "approved" or decision == "refused":
        verb: Verb = decision
        return verb
    raise RefusedError(
        "this is not a signed decision about a candidate",
        remedy="give the file that `factory approve --save` or `factory refuse --save` wrote",
    )


def _show_in_dagster(pipeline: Pipeline, home: Home) -> None:
    from factory_assets.components.approval_event import report_approval

    try:
        report_approval(pipeline, home)
    except Exception:  # noqa: BLE001
        # What was decided counts, whatever happens to Dagster's database; the next run shows it.
        return
