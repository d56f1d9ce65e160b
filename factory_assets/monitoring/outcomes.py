"""How well a version did on the answers whose outcomes are known, and whether it is worse than it
was on its test rows.

Outcomes are recorded in `factory_resources.outcomes`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.metrics import ScoredRows, normalise_probabilities
from factory_assets.ml.performance.betting import MeanEvidence
from factory_assets.ml.performance.label_selection import label_selection
from factory_assets.ml.performance.labelled_rows import known_truth
from factory_assets.ml.performance.sequential import PairedComparison
from factory_assets.monitoring.answers import AnsweredRows, read_rows
from factory_assets.monitoring.reference import TestedRows
from factory_assets.monitoring.report import RealMetric, RealPerformance, SliceMetrics
from factory_assets.monitoring.watched import WatchedInputs
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Evaluate, Pipeline
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.store import SETTLED, KnownRow
from factory_resources.prediction_log.ids import first_id_at, request_of
from factory_resources.prediction_log.prediction_log import PredictionLog

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ALPHA = 0.01
"""The probability that a version which does as well as on its test rows is ever called worse."""

_MOST = 20_000
"""The newest answers with outcomes that are measured."""

_RESAMPLES = 200
"""At most, of an interval."""

_FILE = "losses.json"

_WIDE = 5.0
"""Mean errors of the test rows from which on an error of a number is a loss of 1."""


@dataclass(frozen=True)
class KnownOutcomes:
    """Answers of a version whose outcomes are known."""

    rows: AnsweredRows
    truth: NDArray[Any]
    """Class codes, -1 for an unknown class, or numbers, [rows]."""
    first: NDArray[np.int64]
    """When the first outcome of each row was recorded, in microseconds since 1970, [rows]."""

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class LossComparison:
    """Whether the losses of answers are larger than those of the test rows, over all looks."""

    comparison: PairedComparison
    until: int
    """When the last compared outcome was recorded, in microseconds since 1970."""

    @classmethod
    def begin(cls, margin: float) -> LossComparison:
        """Return a comparison without outcomes."""
        return cls(PairedComparison.begin(margin), 0)

    @classmethod
    def load(cls, folder: Path, margin: float) -> LossComparison:
        """Read the comparison of a look; begin one if there is none by this margin.

        Raises:
            StorageError: the file is damaged.
        """
        file = folder / _FILE
        try:
            content = json.loads(file.read_bytes())
            evidence = content["evidence"]
            sums = {name: tuple(evidence[name]) for name in ("above", "below")}
            found = MeanEvidence(**{**evidence, **sums})
            before = cls(PairedComparison(found), int(content["until"]))
            return before if found.boundary == margin else cls.begin(margin)
        except FileNotFoundError:
            return cls.begin(margin)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StorageError(
                "the losses of a look cannot be read",
                where=str(file),
                remedy=f"move {folder.parent} away: the next look then starts from the beginning",
            ) from error

    def save(self, folder: Path) -> None:
        """Write it into the folder of a look."""
        content = {"evidence": asdict(self.comparison.evidence), "until": self.until}
        (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def after(
        self, known: KnownOutcomes, candidate: Candidate, tested: TestedRows, now: datetime
    ) -> LossComparison:
        """Return the comparison after the outcomes that are new."""
        import numpy as np

        until = int(now.timestamp() * 1e6) - SETTLED
        new = (
            (known.first > self.until)
            & (known.first <= until)
            & known_truth(known.truth, known.rows.outputs)
        )
        if not new.any():
            return self
        scale = 1.0
        if not candidate.classes:
            scale = _WIDE * float(np.abs(tested.outputs - tested.truth).mean()) or 1.0
        losses = _losses(known.rows.outputs[new], known.truth[new], scale)
        usual = _losses(tested.outputs, tested.truth, scale)
        # The mean of the test rows is itself uncertain.
        bound = min(1.0, usual.mean() + 2 * usual.std() / np.sqrt(len(usual)))
        order = np.argsort(known.first[new], kind="stable")
        compared = self.comparison.update(losses[order], np.full(len(losses), bound))
        # Not `until`: a long transaction may still store outcomes that were recorded before that.
        # None before these, since writers wait for each other.
        return LossComparison(compared, int(known.first[new].max()))

    @property
    def is_worse(self) -> bool:
        """Whether the version is worse than on its test rows."""
        return self.comparison.verdict(ALPHA) == "worse"


def known_outcomes(
    home: Home,
    log: PredictionLog,
    pipeline: str,
    version: int,
    exported: datetime,
    inputs: WatchedInputs,
    candidate: Candidate,
) -> KnownOutcomes | None:
    """Return the newest answers of a version whose outcomes are known; None if there is none."""
    import numpy as np

    if not has_outcomes(home):
        return None
    since = first_id_at(exported)
    with open_outcomes(home) as outcomes:
        known = outcomes.known_rows(pipeline, outcomes.last_number(), since=since)
        rows = deque(known, _MOST)
    drawn: dict[bytes, list[int]] = {}
    for row in rows:
        request, number = request_of(row.id)
        drawn.setdefault(request, []).append(number)
    found = read_rows(log, drawn, inputs, len(candidate.classes), version)
    if not found.ids:
        return None
    by_id = {row.id: row for row in rows}
    own = [by_id[identifier] for identifier in found.ids]
    return KnownOutcomes(found, _truth(own, candidate), np.array([row.first for row in own]))


def _truth(rows: list[KnownRow], candidate: Candidate) -> NDArray[Any]:
    import numpy as np

    values = [json.loads(row.value) for row in rows]
    if not candidate.classes:
        return np.array(values, dtype=np.float64)
    codes: Mapping[str, int] = {name: code for code, name in enumerate(candidate.classes)}
    return np.array([codes.get(str(value), -1) for value in values], dtype=np.int64)


def real_performance(
    pipeline: Pipeline,
    evaluation: EvaluationResult,
    known: KnownOutcomes,
    answered: AnsweredRows | None,
    *,
    is_worse: bool,
) -> RealPerformance:
    """Measure the metrics that the evaluation names on the answers whose outcomes are known.

    Rows whose class the model does not know are counted as labelled, and not measured.

    Args:
        answered: other answers, with which their outputs are compared.
        is_worse: what the comparison of losses says.
    """
    candidate = evaluation.candidate
    declared = pipeline.spec.evaluate
    names = {evaluation.headline, *(gate.metric for gate in declared.conditions)}
    labelled = _exact(known.rows.outputs, candidate)
    unlabelled = labelled[:0]
    if answered is not None:
        seen = {*known.rows.ids}
        others = [identifier not in seen for identifier in answered.ids]
        unlabelled = _exact(answered.outputs[others], candidate)
    counted = known_truth(known.truth, labelled)
    scored = ScoredRows(
        candidate.task,
        known.truth,
        labelled,
        threshold=0.5 if candidate.threshold is None else candidate.threshold,
        # `asymmetric_score` is a sum, which other rows cannot be compared by.
        clip=None if declared.clip is None else float(declared.clip),
    )
    selection = label_selection(labelled, unlabelled)
    return RealPerformance(
        labelled=len(labelled),
        unlabelled=len(unlabelled),
        is_worse=is_worse,
        metrics=_measured(scored.take(counted), names, evaluation),
        slices=tuple(_slices(declared, known.rows.inputs, counted, scored, names)),
        caveat=selection.caveat if selection else "",
    )


def _exact(outputs: NDArray[Any], candidate: Candidate) -> NDArray[Any]:
    return normalise_probabilities(outputs) if candidate.classes else outputs


def _measured(
    scored: ScoredRows, names: Collection[str], evaluation: EvaluationResult
) -> dict[str, RealMetric]:
    values = scored.metrics(names)
    intervals = bootstrap_intervals(scored, values.keys(), resamples=_RESAMPLES, seed=0)
    metrics = {}
    for name, value in values.items():
        low, high = intervals.get(name, (None, None))
        tested = evaluation.metrics.get(name)
        metrics[name] = RealMetric(value=value, low=low, high=high, tested=tested)
    return metrics


def _slices(
    declared: Evaluate,
    inputs: pa.Table,
    counted: NDArray[np.bool_],
    scored: ScoredRows,
    names: Collection[str],
) -> Iterator[SliceMetrics]:
    """Yield the metrics by the values of the watched columns of slices and protected groups."""
    from factory_assets.ml.evaluation.test_set import slice_rows

    for column in dict.fromkeys((*declared.slices, *declared.protected)):
        if column not in inputs.column_names:
            continue
        for value, rows in slice_rows(inputs, column):
            own = rows[counted[rows]]
            metrics = scored.take(own).metrics(names) if len(own) >= declared.min_rows else {}
            yield SliceMetrics(column=column, value=value, rows=len(own), metrics=metrics)


def _losses(outputs: NDArray[Any], truth: NDArray[Any], scale: float) -> NDArray[np.float64]:
    """Return a loss from 0 to 1 of each row: the probability of other classes, or the error."""
    import numpy as np

    if outputs.ndim == 2:
        codes = truth.astype(np.int64)
        losses = 1 - outputs[np.arange(len(codes)), codes]
    else:
        losses = np.abs(outputs - truth) / scale
    clipped: NDArray[np.float64] = np.clip(losses, 0.0, 1.0)
    return clipped
