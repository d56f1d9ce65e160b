"""Say in one line what holds for a deployed version, who decided it and why."""

import json
from base64 import b64decode

from factory_assets.execution.standing import Standing
from factory_resources.home.home import Home
from factory_resources.ledger.entries import SignedAct
from factory_resources.security.commitments import Commitments


def standing_text(standing: Standing, pipeline: str, version: int, home: Home) -> str:
    """Return such as `version 4 waits for 1 approver since …`."""
    name = f"{pipeline}@{version}"
    if standing.status in {"waits", "approved"} and standing.rule:
        rule, missing = standing.rule, standing.rule.signatures - standing.given
        if missing <= 0:
            return f"{name} has its approvals: factory run {pipeline} lets it serve"
        role = f"{rule.by}{'' if missing == 1 else 's'}"
        since = f" since {standing.since[:16].replace('T', ' ')}" if standing.since else ""
        return (
            f"{name} waits for {missing} {role}{since} UTC: factory approve {name} --reason '…' "
            "(or refuse)"
        )
    what = {
        "serves": _HOW.get(getattr(standing.act, "kind", ""), "serves"),
        "stopped": "is the champion, stopped",
        "refused": "was refused",
        "rolled back": "was rolled back",
    }.get(standing.status, "needs no approval")
    return f"{name} {what}{_why(standing.act, standing.number, pipeline, home)}"


_HOW = {"approval": "serves, approved", "champion": "serves again, rolled back to"}
"""By the kind of the entry about the act that let a version serve."""


def _why(act: SignedAct | None, number: int | None, pipeline: str, home: Home) -> str:
    """Return who decided it, the entry, and the reason if its statement still exists."""
    if number is None:
        return ""
    if act is None or act.statement is None:
        return f" (entry {number})"
    name = Commitments(home).name_of("person", act.person)
    by = f" by {name}" if name else ""
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
