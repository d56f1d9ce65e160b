"""Say in one line what holds for a deployed version, who decided it and why."""

import json
from base64 import b64decode

from factory_assets.execution.standing import Standing, waiting_text
from factory_assets.spec.rollout import share_text
from factory_resources.durations import duration_text, minute
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted
from factory_resources.security.commitments import Commitments


def standing_text(standing: Standing, pipeline: str, version: int, home: Home) -> str:
    """Return such as `version 4 waits for 1 approver since …`."""
    name = f"{pipeline}@{version}"
    if waits := waiting_text(standing, pipeline, version):
        return waits
    if standing.rollout and standing.number is not None:
        how = _how_it_rolls_out(standing.rollout)
        so_far = _answers_so_far(standing.number, standing.rollout, home)
        return f"{name} {how} (entry {standing.number}); {so_far}"
    what = {
        "serves": _HOW.get(getattr(standing.act, "kind", ""), "serves"),
        "stopped": "is the champion, stopped",
        "refused": "was refused",
        "rolled back": "was rolled back",
    }.get(standing.status, "needs no approval")
    return f"{name} {what}{_why(standing.act, standing.number, pipeline, home)}"


def why_not_waiting(standing: Standing) -> str:
    """Return why nobody is asked about a version."""
    what = {
        "serves": "it serves already",
        "stopped": "it is the champion, and was stopped",
        "rolls out": "it rolls out already",
        "refused": "it was refused",
        "rolled back": "it was rolled back",
    }.get(standing.status)
    if what is None:
        return "it needs no approval"
    left = standing.status == "rolled back" and isinstance(standing.act, ChampionMade)
    again = "; factory rollback --to goes to it again" if left else ""
    return f"{what} (entry {standing.number}){again}"


def what_is_left(standing: Standing, pipeline: str) -> str:
    """Return what a person can do about a version that does not wait."""
    ends = f"factory rollback {pipeline} or factory stop {pipeline} ends that; "
    left = {
        "serves": ends,
        "rolls out": ends,
        "stopped": f"factory resume {pipeline} lets it serve again; ",
    }.get(standing.status, "")
    return f"{left}to train a new version: factory run {pipeline} --no-reuse"


def _how_it_rolls_out(started: RolloutStarted) -> str:
    since = minute(started.time)
    to = f"to {share_text(started.share)} of the callers" if started.share else "as a shadow"
    return (
        f"rolls out {to}, beside version {started.champion}, since {since} UTC, for at least "
        f"{duration_text(started.seconds)} and {started.answers:,} answers"
    )


def _answers_so_far(number: int, started: RolloutStarted, home: Home) -> str:
    """Return what a roll-out waits for."""
    # A run without changes and without a roll-out does not need the comparison.
    from factory_assets.execution.rollout import Rollout
    from factory_assets.execution.rollout_evidence import is_long_enough, utc_now
    from factory_assets.execution.rollout_file import read_evidence, rollout_file

    answers = read_evidence(rollout_file(Rollout(number, started), home)).counts.answers
    so_far = f"{answers:,} answers so far"
    if not is_long_enough(started, utc_now()):
        return so_far
    missing = started.answers - answers
    return f"{so_far}, its time is over" + (f" and {missing:,} are missing" if missing > 0 else "")


_HOW = {"approval": "serves, approved", "champion": "serves again, rolled back to"}
"""By the kind of the entry about the act that let a version serve."""


def _why(act: SignedAct | None, number: int | None, pipeline: str, home: Home) -> str:
    """Return who decided it, the entry, and the reason if its statement still exists."""
    if number is None:
        return ""
    if act is None or act.statement is None:
        reason = act.reason if isinstance(act, RolloutEnded) else None
        return f" (entry {number})" + (f": {reason}" if reason else "")
    name = Commitments(home).name_of("person", act.person)
    how = " with a passkey" if (act.key or "").startswith("passkey ") else ""
    by = f" by {name}{how}" if name else how
    reason = reason_of(act.statement, pipeline, home)
    return f"{by} (entry {number})" + (f": {reason}" if reason else "")


def reason_of(statement: str, pipeline: str, home: Home) -> str | None:
    """Return the reason in a statement; None if it is gone or damaged."""
    # It imports the verifier, which most runs without changes do not need.
    from factory_resources.ledger.statements import statement_file

    try:
        envelope = json.loads(statement_file(home, pipeline, statement).read_bytes())
        reason = json.loads(b64decode(envelope["payload"]))["predicate"]["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(reason)
