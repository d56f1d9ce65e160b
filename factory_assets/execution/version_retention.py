"""Decide which model versions nothing needs any more, if only the newest are to be kept.

Deleting them in MLflow belongs in `factory_resources.tracking`; their rows, records and plots are
garbage then, which `retention` finds.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from factory_assets.execution.standing import champions_in
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelTrained
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollouts import rollout_in
from factory_resources.prediction_log.ids import day_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry


def unneeded_versions(
    home: Home, models: Mapping[str, Iterable[int]], newest: int, since: float
) -> dict[str, tuple[int, ...]]:
    """Return the versions of each model that are not among its newest and that nothing needs.

    Needed are the champion and the one before, to which a roll-back leads; the version that rolls
    out; each that gave an answer which is still on record, so that the answer can be traced; and
    what the ledger does not know, which is not the factory's.

    Args:
        models: every registered model and its versions.
        newest: how many of the newest versions are needed in any case.
        since: seconds since 1970; what was registered then or later is needed.

    Raises:
        StorageError: the ledger, MLflow's database or an answer cannot be read.
    """
    if not Ledger(home).exists:
        return {}
    registry = Registry(home)
    found = dict[str, tuple[int, ...]]()
    with PredictionLog(home) as answers, Ledger(home).reading() as log:

        def is_old(model: str, version: int) -> bool:
            trained = ModelTrained.subject_of(pipeline=model, version=version)
            registered = registry.registered(model, version)
            return bool(log.numbers(trained)) and (registered or 0) < since * 1000

        for model, versions in models.items():
            old = [one for one in sorted(versions)[:-newest] if is_old(model, one)]
            if old:
                needed = _serving(log, model) | _answered(answers, model)
                found[model] = tuple(one for one in old if one not in needed)
    return {model: versions for model, versions in found.items() if versions}


def _serving(log: Log, model: str) -> set[int]:
    """Return the versions that serve, that served before, or that roll out."""
    served = dict.fromkeys(entry.version for _, entry in champions_in(log, model))
    rollout = rollout_in(log, model)
    return {*islice(served, 2), *([rollout[1].version] if rollout else [])}


def _answered(answers: PredictionLog, model: str) -> set[int]:
    """Return the versions that have an answer on record; the oldest answers are removed first."""
    counts = answers.count_answers(model)
    removed = answers.removed_days(model)
    return {version for version, count in counts.items() if day_of(count.last) not in removed}
