"""What turned out to be true of an answer, and whether that may be shown."""

import json
from datetime import UTC, datetime

from factory_assets.audit.trace.answer.report import OutcomeFact
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.targets import Targets
from factory_resources.prediction_log.ids import parse


def outcome_facts(pipeline: str, version: int, written: str, home: Home) -> tuple[OutcomeFact, ...]:
    """Return the outcomes that were recorded of an answered row, oldest first.

    Raises:
        StorageError: they cannot be read.
    """
    if not has_outcomes(home):
        return ()
    with open_outcomes(home) as store:
        found = [*store.history(pipeline, [parse(written)])]
    hidden = bool(found) and _is_sensitive(pipeline, version, home)
    return tuple(
        OutcomeFact(
            number=one.number,
            value=None if hidden else json.loads(one.value),
            hidden=hidden,
            observed=_moment(one.observed),
            recorded=_moment(one.recorded),
            source=one.source,
            caller=one.caller,
        )
        for one in found
    )


def _is_sensitive(pipeline: str, version: int, home: Home) -> bool:
    """Whether the target is sensitive; True if that is not known any more."""
    try:
        target = Targets(home).of(pipeline, version)
    except ModelError:
        return True
    return target.source_name in target.sensitive


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time / 1e6, UTC).isoformat(timespec="seconds")
