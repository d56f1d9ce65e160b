"""Searches: what was tried, how good it was, what to try next. By Optuna, in the factory's own
database; plain values in and out.

What is proposed follows from the seed and from the trials before it alone: a search that was killed
goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from factory_resources.errors import StorageError
from factory_resources.home.database import database_address, make_schema
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import optuna


State = Literal["complete", "pruned", "failed"]

_SCHEMA = "tune"

_NOTES = "factory.notes"

_STATES: Mapping[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}

_WAIT = 60
"""Seconds for which SQLite waits for another process that writes."""

_FEW = 4
"""Trials that must have got as far before half of them says anything."""


@dataclass(frozen=True)
class Numbers:
    """A setting between two ends."""

    low: float
    high: float
    log: bool
    whole: bool

    def holds(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Words:
    """A setting that is one of some."""

    words: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        return value in self.words


Space = Mapping[str, Numbers | Words]

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Tried:
    """A trial that is over."""

    state: State
    value: float | None
    """None unless complete."""
    settings: Settings
    notes: Mapping[str, Any]


class OpenTrial:
    """A trial under way: kept when it is over, and not before."""

    def __init__(self, study: Study, asked: optuna.Trial, settings: Settings) -> None:
        self.settings = settings
        self._study, self._asked = study, asked

    def is_hopeless(self, step: int, loss: float) -> bool:
        """Whether the best that it reached is worse than what half of the others had by then."""
        self._asked.report(-loss if self._study.maximise else loss, step)
        return self._asked.should_prune()

    def end(self, state: State, value: float | None, notes: Mapping[str, Any]) -> None:
        """Keep what became of it."""
        self._asked.set_user_attr(_NOTES, dict(notes))
        self._study.keep(self._asked, state, value)


class Study:
    """One search: its trials in the database, and a copy in memory, from which the next follows.

    One process at a time may have it.
    """

    def __init__(
        self, home: Home, kept: optuna.Study, seed: int, pruner: optuna.pruners.BasePruner
    ) -> None:
        import optuna

        self._home, self._kept, self._seed = home, kept, seed
        self._study = optuna.create_study(direction=kept.direction, pruner=pruner)
        self._study.add_trials(kept.get_trials(deepcopy=False))
        self.tried = [_tried(trial) for trial in self._study.get_trials(deepcopy=False)]
        """The trials that are over, in their order."""

    @property
    def maximise(self) -> bool:
        return self._kept.direction.name == "MAXIMIZE"

    def begin(self, space: Space, given: Settings | None = None) -> OpenTrial:
        """The next trial: with the given settings, or with those that promise most."""
        # A sampler of its own for each trial: none rests on what a killed process has drawn.
        self._study.sampler = _sampler(self._seed, len(self.tried))
        if given is not None:
            # What lies outside of the space tells nothing about it.
            space = {name: where for name, where in space.items() if where.holds(given[name])}
            self._study.enqueue_trial({name: given[name] for name in space})
        asked = self._study.ask({name: _distribution(where) for name, where in space.items()})
        return OpenTrial(self, asked, asked.params if given is None else given)

    def keep(self, asked: optuna.Trial, state: State, value: float | None) -> None:
        """Write a trial down, in one transaction."""
        import optuna

        name = next(name for name, ours in _STATES.items() if ours == state)
        over = self._study.tell(asked, value, optuna.trial.TrialState[name])
        with _database_errors(self._home):
            self._kept.add_trial(over)
        self.tried.append(_tried(over))


def _tried(trial: optuna.trial.FrozenTrial) -> Tried:
    state = _STATES[trial.state.name]
    value = trial.value if state == "complete" else None
    return Tried(state, value, trial.params, trial.user_attrs[_NOTES])


@contextmanager
def opened(
    home: Home, name: str, *, resume: bool, maximise: bool, seed: int, patience: int
) -> Iterator[Study]:
    """The search of that name.

    Args:
        resume: whether it goes on with the trials that are there; otherwise they are forgotten.
        patience: steps of a trial before it can be hopeless.

    Raises:
        StorageError: the database says no.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(_FEW, patience, n_min_trials=_FEW)
    with _database_errors(home):
        storage = _storage(home)
        study = Study(home, _kept(storage, name, resume, maximise), seed, pruner)
    try:
        yield study
    finally:
        storage.engine.dispose()


def _kept(storage: Any, name: str, resume: bool, maximise: bool) -> optuna.Study:
    import optuna

    if not resume and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize" if maximise else "minimize",
        load_if_exists=True,
    )


def _storage(home: Home) -> Any:
    from optuna.storages import RDBStorage

    uri = database_address(home.tune_database, _SCHEMA)
    lite = uri.startswith("sqlite")
    home.require_writable()
    # Two processes that make the tables at once break them.
    with home.lock(_SCHEMA):
        make_schema(uri, _SCHEMA)
        try:
            return RDBStorage(uri, {"connect_args": {"timeout": _WAIT}} if lite else None)
        except RuntimeError as error:
            # Its tables are of another version; they are no archive, MLflow has every trial.
            where = f"{home.tune_database}" if lite else f"schema {_SCHEMA} of FACTORY_DATABASE_URL"
            raise StorageError(
                "searches were kept there by another version of Optuna",
                where=where,
                remedy="remove it, and searches under way begin anew; nothing else is lost",
            ) from error


def _sampler(seed: int, trials: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    own = sha256(f"{seed} {trials}".encode()).digest()[:4]
    return TPESampler(seed=int.from_bytes(own))


def _distribution(where: Numbers | Words) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(where, Words):
        return CategoricalDistribution(where.words)
    if where.whole:
        return IntDistribution(int(where.low), int(where.high), log=where.log)
    return FloatDistribution(where.low, where.high, log=where.log)


@contextmanager
def _database_errors(home: Home) -> Iterator[None]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = getattr(error.__cause__ or error, "orig", None) or error.__cause__ or error
        raise StorageError(
            f"the trials cannot be kept ({type(reason).__name__}: {reason})",
            where=str(home.path),
            remedy="free space, or see to the database of FACTORY_DATABASE_URL",
        ) from error
