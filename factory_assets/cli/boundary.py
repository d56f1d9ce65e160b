"""`factory boundary test`: try to leave a boundary on this machine, and show what held.

The attempts belong in `factory_resources.boundary.escapes`.
"""

import os
from collections.abc import Sequence
from typing import Any, Literal

from factory_resources.boundary.escapes.attempting import register
from factory_resources.boundary.escapes.registry import ATTEMPTS
from factory_resources.boundary.escapes.trial import EscapeTrial, run_trial
from factory_resources.boundary.report import open_ways
from factory_resources.boundary.syscalls import IS_SUPPORTED
from factory_resources.errors import BoundaryError, UnknownNameError

_SHOWN = {"held": "held", "out": "GOT OUT", "no control": "no control"}
_NOBODY = (65534, 65534)


def try_boundary(
    level: Literal["auto", "required", "seccomp"],
    user: tuple[int, int] | None,
    names: Sequence[str],
    *,
    slow: bool,
) -> EscapeTrial:
    """Try to leave a boundary in every way, or in the named ones.

    Args:
        user: whom root becomes inside; nobody, if it is not given.

    Raises:
        BoundaryError: nothing can be tried here.
        UnknownNameError: there is no attempt of this name.
    """
    if not IS_SUPPORTED:
        raise BoundaryError("this system has no boundary", remedy="run the factory on Linux")
    register()
    if unknown := [name for name in names if name not in ATTEMPTS]:
        valid = ", ".join(sorted(ATTEMPTS))
        raise UnknownNameError(f"{unknown[0]!r} is not a way out", remedy=f"use one of: {valid}")
    is_root = os.getuid() == 0
    own = _NOBODY if is_root else (os.getuid(), os.getgid())
    if user and user != own and not is_root:
        raise BoundaryError("only root can become another user", remedy="leave --user out")
    return run_trial(level, user or own, names, slow=slow)


def attempt_table(trial: EscapeTrial) -> Any:
    """Return the table of what was tried."""
    from rich.table import Table

    table = Table("name", "way out", "result")
    for one in trial.results:
        style = {"out": "bold red", "no control": "dim"}.get(one.result)
        shown = _SHOWN[one.result]
        if one.result == "no control":
            shown += f": {one.detail}"
        table.add_row(one.name, one.what, shown, style=style)
    return table


def trial_summary(trial: EscapeTrial) -> str:
    """Return the summary that is printed below the table."""
    found = [one.result for one in trial.results]
    text = f"{trial.level}, as user {trial.user}: {found.count('held')} of {len(found)} ways held"
    if out := found.count("out"):
        text += f", {out} got out"
    if silent := found.count("no control"):
        text += f"; {silent} without control: here they fail without a boundary, too"
    if trial.reason:
        text += f"\nwhy not a higher level: {trial.reason}"
    if ways := open_ways(trial.level, trial.landlock):
        text += f"\nopen at this level: {', '.join(ways)}"
    return text + "\n"


def got_out(trial: EscapeTrial) -> bool:
    """Return whether any attempt got out."""
    return any(one.result == "out" for one in trial.results)
