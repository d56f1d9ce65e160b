"""Which training rows moved an answer: computed in a process of its own, one answer at a time."""

from __future__ import annotations

import json

from pydantic import ValidationError

from factory_assets.audit.erased import erasures_from
from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.web.auditor.computing_turns import ComputingTurns
from factory_assets.web.auditor.remembered import Remembered
from factory_assets.web.auditor.verification import run_factory
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home

_REMEMBERED = 50


class Influences:
    """The influences of one home; may be used by several threads."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._turns = ComputingTurns("the influence on another answer is being computed", 60)
        self._known = Remembered[tuple[str, ...], InfluenceReport](_REMEMBERED)

    def of(self, answer: str, pipeline: str, version: int) -> InfluenceReport:
        """Return the training rows that moved an answer of a version.

        Raises:
            StorageError: another answer's are still being computed, or an erasure cannot be read.
            RefusedError: they cannot be told; the message says why.
        """
        with self._turns.turn():
            # A row that was erased meanwhile must not be shown any more.
            erased = (one.erasure for one in erasures_from(pipeline, version, self._home))
            return self._known.get((answer, *erased), lambda: self._computed(answer))

    def _computed(self, answer: str) -> InfluenceReport:
        words = ["trace", answer, "--influence", "--json", "--no-verify"]
        done = run_factory(words, self._home)
        try:
            return InfluenceReport.model_validate(json.loads(done.stdout)["influence"])
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            lines = done.stderr.strip().splitlines() or ["it ended without a message"]
            what, _, remedy = lines[-1].removeprefix("error: ").rpartition("; ")
            if not what:
                what, remedy = remedy, f"in a terminal: factory trace {answer} --influence"
            raise RefusedError(what, remedy=remedy) from error
