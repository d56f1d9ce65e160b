"""The champions that are served: loaded when the ledger says so, replaced without a gap.

The files of a version are compared with the ledger before it is loaded. If one differs, or if it
cannot be loaded for any other reason, it is not served, and the version before it goes on; that
touches no other pipeline. A new version that rolls out is loaded beside its
champion; who gets it belongs in `served_rollout`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from factory_assets.data.transforms.narrowing import needed_columns
from factory_assets.execution.missing_champion import why_none
from factory_assets.execution.rollout import Rollout, ongoing_rollout
from factory_assets.serving.declared_log import as_sensitive_as_declared, keys_of
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.served_rollout import ServedRollout
from factory_assets.serving.logged_keys import LoggedKey
from factory_assets.serving.online.input_shift import InputShift
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.serving.verified_champion import load_verified
from factory_resources.durations import minute
from factory_resources.errors import FactoryError, ModelError
from factory_resources.home.home import Home
from factory_resources.home.serving_faults import forget_serving_faults, write_serving_faults
from factory_resources.ledger.ledger import Ledger, Stamp
from factory_resources.tracking.registry import Registry

_RETRY = 5.0
"""Seconds after which a champion that could not be loaded is tried again."""

_LOG = logging.getLogger("factory.serve")


@dataclass(frozen=True)
class _Standing:
    """What the ledger says about a pipeline."""

    version: int | None
    stopped: str | None
    """Why a person stopped it; None if it may serve."""
    rollout: Rollout | None = None


State = Literal["serves", "stopped", "missing", "failed"]


class Champions:
    """All champions of a home, or those of the named pipelines.

    One thread refreshes them. It is not the one in which engines are used, where requests wait: a
    stop counts at once.

    Args:
        names: the pipelines; empty for every one that has a champion.
        release: closes a version that nobody gets any more, in the thread of the engines.

    Raises:
        ModelError: a named pipeline has no champion.
    """

    def __init__(
        self,
        home: Home,
        names: Sequence[str],
        release: Callable[[ServedModel], object] = ServedModel.close,
    ) -> None:
        self._home, self._names, self._release = home, tuple(names), release
        self._registry, self._ledger = Registry(home), Ledger(home)
        self._served: dict[str, ServedModel] = {}
        self._standings: dict[str, _Standing] = {}
        self._faults: dict[str, str] = {}
        self._shared: dict[str, str] = {}
        self._trials: dict[str, ServedRollout] = {}
        self._unusable: dict[str, tuple[Rollout, str]] = {}
        self._size, self._retry_at = -1, 0.0
        self._stamp: Stamp | None = None

    @property
    def served(self) -> Mapping[str, ServedModel]:
        """The loaded champions by pipeline, stopped ones included."""
        return self._served

    @property
    def unusable(self) -> Mapping[str, tuple[Rollout, str]]:
        """The roll-outs whose new version cannot be loaded, by pipeline, and why."""
        return self._unusable

    def trial(self, pipeline: str) -> ServedRollout | None:
        """Return the roll-out of a pipeline, if one goes on."""
        trial = self._trials.get(pipeline)
        return None if trial is None or trial.has_ended else trial

    @property
    def trials(self) -> list[ServedRollout]:
        """The roll-outs that go on."""
        return [trial for trial in [*self._trials.values()] if not trial.has_ended]

    @property
    def faults(self) -> Mapping[str, str]:
        """Why the champion of a pipeline could not be loaded."""
        return self._faults

    def state(self, pipeline: str) -> State:
        """Return whether a pipeline serves, and if not, why."""
        standing = self._standings.get(pipeline)
        if standing is None or standing.version is None:
            return "missing"
        if standing.stopped:
            return "stopped"
        return "serves" if pipeline in self._served else "failed"

    def get(
        self, pipeline: str, version: str | None = None, *, knows_all: bool = True
    ) -> ServedModel:
        """Return the champion of a pipeline, or the new version that callers get beside it.

        Args:
            version: the one that is asked for; None for the champion.
            knows_all: whether the caller may be told which pipelines are served.

        Raises:
            HttpError: it is unknown, was stopped, could not be loaded, or is another version.
        """
        standing = self._standings.get(pipeline)
        if standing is None:
            listed = f"pipelines served: {', '.join(self._standings) or 'none'}"
            remedy = listed if knows_all else "/docs lists what your token is for and is served"
            raise HttpError(404, "unknown", f"no pipeline {pipeline!r} is served", remedy)
        self.require_not_stopped(pipeline)
        model = self._served.get(pipeline)
        if model is None:
            raise HttpError(
                503,
                "unavailable",
                f"{pipeline!r} has no champion that can be served",
                "the log of the server says why",
            )
        asked = {str(one.version): one for one in self.versions(pipeline)}
        if version is not None and version not in asked:
            raise HttpError(
                404,
                "unknown",
                f"version {version!r} of {pipeline!r} is not served",
                " and ".join(f"version {one} is" for one in asked),
            )
        return model if version is None else asked[version]

    def require_not_stopped(self, pipeline: str) -> None:
        """Refuse what a person has stopped.

        Raises:
            HttpError: status 503.
        """
        standing = self._standings.get(pipeline)
        if standing and standing.stopped:
            raise HttpError(503, "stopped", standing.stopped, "ask who stopped it")

    def versions(self, pipeline: str) -> list[ServedModel]:
        """Return the versions whose answers callers get: the champion first."""
        champion, trial = self._served.get(pipeline), self.trial(pipeline)
        found = [champion] if champion else []
        return [*found, trial.challenger] if trial and trial.is_canary else found

    def may_be_outdated(self) -> bool:
        """Return whether `refresh` has something to look at; any thread may ask."""
        stamp = self._ledger.stamp()
        return stamp is None or stamp != self._stamp or self._is_retry_due()

    def refresh(self) -> bool:
        """Load what changed in the ledger since the last call; return whether anything did."""
        # Before the ledger is read: an entry that comes meanwhile is seen by the next look.
        stamp = self._ledger.stamp()
        size = self._ledger_size()
        if size == self._size and not self._is_retry_due():
            self._stamp = stamp
            return False
        self._retry_at = time.monotonic() + _RETRY
        standings = {
            name: self._standing(name) for name in self._names or self._registry.versions()
        }
        for name in self._names:
            if standings[name].version is None:
                raise self._no_champion(name)
        standings = {name: one for name, one in standings.items() if one.version is not None}
        for name, standing in standings.items():
            self._load(name, standing)
            self._load_beside(name, standing.rollout)
        if not standings and self._size < 0:
            _LOG.info("serves nothing yet: no pipeline has a champion; one that comes is loaded")
        self._standings, self._size, self._stamp = standings, size, stamp
        self._share_faults()
        return True

    def close(self) -> None:
        """Release the engines of all champions."""
        for model in self._served.values():
            self._release(model)
        for trial in self._trials.values():
            self._release(trial.challenger)
        forget_serving_faults(self._home)

    def _share_faults(self) -> None:
        """Let other processes know what could not be loaded, if that changed."""
        if self._faults == self._shared:
            return
        try:
            write_serving_faults(self._home, self._faults)
        except FactoryError as error:
            # Whoever asks this server is told all the same.
            _LOG.error("faults not stored: %s", error)
        self._shared = {**self._faults}

    def _is_retry_due(self) -> bool:
        # What failed may have been repaired without a word in the ledger.
        return bool(self._faults or self._unusable) and time.monotonic() >= self._retry_at

    def _ledger_size(self) -> int:
        if not self._ledger.exists:
            return 0
        with self._ledger.reading() as log:
            return log.size

    def _no_champion(self, name: str) -> ModelError:
        known = [one for one in self._registry.versions() if self._registry.champion(one)]
        run = f"if {name} is declared, deploy one: factory run {name}"
        return ModelError(
            f"{name!r} has no champion yet",
            remedy=f"{why_none(name, self._home) or run}; or name a pipeline that has one: "
            f"{', '.join(known) or 'none has'}",
        )

    def _standing(self, name: str) -> _Standing:
        stopped = self._registry.stopped(name)
        reason = None
        if stopped:
            number, entry = stopped
            reason = f"{name!r} was stopped {minute(entry.time)} UTC (entry {number} of the ledger)"
        return _Standing(self._registry.champion(name), reason, self._rollout(name))

    def _rollout(self, name: str) -> Rollout | None:
        if not self._ledger.exists:
            return None
        with self._ledger.reading() as log:
            return ongoing_rollout(log, name)

    def _load(self, name: str, standing: _Standing) -> None:
        present = self._served.get(name)
        if standing.version is None or (present and present.version == standing.version):
            # Another version may have failed in the meantime.
            self._faults.pop(name, None)
            return
        try:
            self._served[name] = self._promoted(name, standing.version) or self._loaded(
                name, standing.version
            )
        except Exception as error:  # noqa: BLE001
            reason = _reason(error)
            if self._faults.get(name) != reason:
                _log(f"not served: {name}@{standing.version}: {reason}", error)
            self._faults[name] = reason
            return
        if present:
            self._release(present)
        self._faults.pop(name, None)
        _LOG.info("serves: %s@%s", name, standing.version)

    def _loaded(self, name: str, number: int) -> ServedModel:
        version = self._registry.version(name, number)
        model = load_verified(self._registry, version)
        shift = InputShift.of(version.files)
        columns = as_sensitive_as_declared(name, needed_columns(model))
        keys = _keys(name)
        return ServedModel(name, number, model, self._home, shift=shift, keys=keys, columns=columns)

    def _promoted(self, name: str, number: int) -> ServedModel | None:
        """Return the version if it was loaded beside the champion; nobody else closes it then."""
        trial = self._trials.get(name)
        if trial is None or trial.challenger.version != number:
            return None
        return self._trials.pop(name).challenger

    def _load_beside(self, name: str, rollout: Rollout | None) -> None:
        """Load the new version of a roll-out, or release that of one that has ended."""
        present = self._trials.get(name)
        if present and rollout and present.rollout.number == rollout.number:
            return
        former = self._unusable.pop(name, None)
        if present:
            self._trials.pop(name)
            self._release(present.challenger)
            _LOG.info("rolls out no more: %s@%s", name, present.challenger.version)
        if rollout is None:
            return
        number = rollout.started.version
        try:
            self._trials[name] = ServedRollout(rollout, self._loaded(name, number))
        except Exception as error:  # noqa: BLE001
            self._unusable[name] = (rollout, _reason(error))
            if self._unusable[name] != former:
                _log(f"does not roll out: {name}@{number}: {_reason(error)}", error)
            return
        _LOG.info("rolls out: %s@%s", name, number)


def _keys(name: str) -> tuple[LoggedKey, ...]:
    """Return the declared keys; a mistake in today's declaration keeps no champion from serving."""
    try:
        return keys_of(name)
    except FactoryError as error:
        _LOG.error("no keys are logged of %s until the server is started again: %s", name, error)
        return ()


def _reason(error: Exception) -> str:
    """Return why a model cannot be loaded, in one line."""
    if isinstance(error, FactoryError):
        return str(error)
    what = " ".join([f"{type(error).__name__}:", *str(error).split()])
    return f"unexpected {what}; its traceback is in the log of the server"


def _log(message: str, error: Exception) -> None:
    _LOG.error(message, exc_info=None if isinstance(error, FactoryError) else error)
