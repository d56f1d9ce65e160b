"""Searches for the best settings with Optuna: past trials, their values, and the next proposal.

Searches are stored in the factory's own database; arguments and results are plain values. A
proposal depends only on the seed and the trials of the batches before it, so a killed search
resumes as if it had not been interrupted. Running trials belongs to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from factory_resources.errors import StorageError
from factory_resources.home.database import database_address, make_schema
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_fault

if TYPE_CHECKING:
    import optuna


State = Literal["complete", "pruned", "failed"]

_SCHEMA = "tune"

_NOTES = "factory.notes"

_STATES: Mapping[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}

_LOCK_SECONDS = 60
"""Seconds that SQLite waits while another process writes."""

_MIN_TRIALS = 4
"""Trials that must have reached a step before their median counts."""


@dataclass(frozen=True)
class NumberRange:
    """A setting that is a number between two bounds, both included."""

    low: float
    high: float
    log: bool
    whole: bool

    def contains(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Categories:
    """A setting that is one of several texts."""

    texts: tuple[str, ...]

    def contains(self, value: Any) -> bool:
        return value in self.texts


Space = Mapping[str, NumberRange | Categories]

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended."""

    state: State
    value: float | None
    """None unless complete."""
    settings: Settings
    notes: Mapping[str, Any]


Losses = Sequence[tuple[int, float]]
"""The steps of a trial, each with the loss after it."""


class OpenTrial:
    """A running trial; it is stored only when it ends."""

    def __init__(self, study: Study, trial: optuna.Trial, number: int, settings: Settings) -> None:
        self.number = number
        """Its index among the trials of the search."""
        self.settings = settings
        self._study, self._trial = study, trial

    def end(
        self, state: State, value: float | None, notes: Mapping[str, Any], losses: Losses = ()
    ) -> None:
        """End the trial and store its result; the trials of a batch end in their order."""
        for step, loss in losses:
            self._trial.report(-loss if self._study.maximise else loss, step)
        self._trial.set_user_attr(_NOTES, dict(notes))
        self._study.keep(self._trial, state, value)


class Study:
    """One search: its trials in the database, and a copy in memory that proposes the next trial.

    Only one process at a time may use it.

    Args:
        batch: how many trials are proposed at a time.
        patience: steps of a trial before it can be pruned.
    """

    def __init__(
        self, home: Home, stored: optuna.Study, *, seed: int, batch: int, patience: int
    ) -> None:
        import optuna

        self._home, self._stored = home, stored
        self._seed, self._batch, self._patience = seed, batch, patience
        ended = stored.get_trials(deepcopy=False)
        begun = len(ended) % batch
        self._study = optuna.create_study(direction=stored.direction)
        self._study.add_trials(ended[: len(ended) - begun])
        self._begun = ended[len(ended) - begun :]
        """Trials that have ended, of a batch in which others have not."""
        self.finished = [_finished_trial(trial) for trial in ended]
        """The trials that have ended, in order."""

    @property
    def maximise(self) -> bool:
        return self._stored.direction.name == "MAXIMIZE"

    @property
    def is_within_batch(self) -> bool:
        """Whether some trials of a batch have ended, and others have not."""
        return bool(self._begun)

    def median_losses(self) -> dict[int, float]:
        """Return the median loss of the complete trials after each step.

        A trial whose losses were all above it so far is worse than half of the others. Left out are
        steps that fewer than four have reached, and those before `patience`. The trials of the
        batch that is about to begin do not count, since they may run at the same time.
        """
        import numpy as np

        sign, by_step = -1 if self.maximise else 1, dict[int, list[float]]()
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state.name == "COMPLETE":
                for step, value in trial.intermediate_values.items():
                    by_step.setdefault(step, []).append(sign * value)
        return {
            step: float(np.nanmedian(losses))
            for step, losses in by_step.items()
            if step >= self._patience and len(losses) >= _MIN_TRIALS
        }

    def begin(
        self, space: Space, given: Settings | None = None, max_trials: int | None = None
    ) -> list[OpenTrial]:
        """Start the next batch: the most promising settings; for its first trial, the given ones.

        Args:
            max_trials: the largest number of trials of the search.

        Returns:
            The trials that have not ended yet.
        """
        first = len(self.finished) - len(self._begun)
        count = self._batch if max_trials is None else min(self._batch, max_trials - first)
        trials = [
            self._propose(space, first + place, None if place else given) for place in range(count)
        ]
        begun, self._begun = self._begun, []
        for one, ended in zip(trials, begun, strict=False):
            self._tell(one._trial, ended)
        return trials[len(begun) :]

    def _propose(self, space: Space, number: int, given: Settings | None) -> OpenTrial:
        # A new sampler for each trial, so that none depends on what a killed process has drawn.
        self._study.sampler = _sampler(self._seed, number)
        if given is not None:
            # Values outside the space do not inform the search.
            space = {name: domain for name, domain in space.items() if domain.contains(given[name])}
            self._study.enqueue_trial({name: given[name] for name in space})
        trial = self._study.ask({name: _distribution(domain) for name, domain in space.items()})
        return OpenTrial(self, trial, number, trial.params if given is None else given)

    def _tell(self, trial: optuna.Trial, ended: optuna.trial.FrozenTrial) -> None:
        """End a trial of the copy as the stored one has ended."""
        for step, reported in ended.intermediate_values.items():
            trial.report(reported, step)
        trial.set_user_attr(_NOTES, ended.user_attrs[_NOTES])
        value = ended.value if ended.state.name == "COMPLETE" else None
        self._study.tell(trial, value, ended.state)

    def keep(self, trial: optuna.Trial, state: State, value: float | None) -> None:
        """Store a trial that has ended, in one transaction."""
        import optuna

        name = next(name for name, ours in _STATES.items() if ours == state)
        ended = self._study.tell(trial, value, optuna.trial.TrialState[name])
        with _database_errors(self._home):
            self._stored.add_trial(ended)
        self.finished.append(_finished_trial(ended))


def _finished_trial(trial: optuna.trial.FrozenTrial) -> FinishedTrial:
    state = _STATES[trial.state.name]
    value = trial.value if state == "complete" else None
    return FinishedTrial(state, value, trial.params, trial.user_attrs[_NOTES])


@contextmanager
def open_study(
    home: Home,
    name: str,
    *,
    resume: bool,
    maximise: bool,
    seed: int,
    patience: int,
    batch: int = 1,
) -> Iterator[Study]:
    """Open the search of that name.

    Args:
        resume: whether to continue after the stored trials; otherwise they are deleted.
        patience: steps of a trial before it can be pruned.
        batch: how many trials are proposed at a time.

    Raises:
        StorageError: the database cannot be used.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _database_errors(home):
        storage = _storage(home)
        stored = _stored_study(storage, name, resume, maximise)
        study = Study(home, stored, seed=seed, batch=batch, patience=patience)
    try:
        yield study
    finally:
        storage.engine.dispose()


def _stored_study(storage: Any, name: str, resume: bool, maximise: bool) -> optuna.Study:
    import optuna

    if not resume and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize" if maximise else "minimize",
        load_if_exists=True,
    )


def create_tables(home: Home) -> None:
    """Create the tables of searches if they are missing."""
    with _database_errors(home):
        _storage(home).engine.dispose()


def _storage(home: Home) -> Any:
    from optuna.storages import RDBStorage

    uri = database_address(home.tune_database, _SCHEMA)
    lite = uri.startswith("sqlite")
    home.require_writable()
    # Two processes that create the tables at once would break them.
    with home.lock(_SCHEMA):
        make_schema(uri, _SCHEMA)
        try:
            return RDBStorage(uri, {"connect_args": {"timeout": _LOCK_SECONDS}} if lite else None)
        except RuntimeError as error:
            # The tables belong to another version. They can be removed: MLflow has every trial.
            where = f"{home.tune_database}" if lite else f"schema {_SCHEMA} of FACTORY_DATABASE_URL"
            raise StorageError(
                "the searches were stored by another version of Optuna",
                where=where,
                remedy="remove it; unfinished searches start again, and nothing else is lost",
            ) from error


def _sampler(seed: int, trials: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    own = sha256(f"{seed} {trials}".encode()).digest()[:4]
    return TPESampler(seed=int.from_bytes(own))


def _distribution(domain: NumberRange | Categories) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(domain, Categories):
        return CategoricalDistribution(domain.texts)
    if domain.whole:
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


@contextmanager
def _database_errors(home: Home) -> Iterator[None]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if fault := storage_fault(error, home):
            raise fault from error
        reason = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
        raise StorageError(
            f"the trials cannot be stored ({type(reason).__name__}: {reason})",
            where=str(home.path),
            remedy="move its database away; unfinished searches start again",
        ) from error
