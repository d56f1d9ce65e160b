"""How many answers each model version gave, for traces forward."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from factory_assets.audit.trace.report import AnswersGiven
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.prediction_log.answer_counts import AnswerCount
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.ids import text, time_of
from factory_resources.prediction_log.prediction_log import PredictionLog


@dataclass(frozen=True)
class GivenAnswers:
    """Counts answers; those of a pipeline once.

    Args:
        home: the home with the prediction log.
        ids: how many ids of each version to list at most, the last ones; None for all.
        problems: what cannot be read is added.
    """

    home: Home
    ids: int | None
    problems: list[str]
    _counts: dict[str, dict[int, AnswerCount]] = field(default_factory=dict)

    def of(self, pipeline: str, version: int) -> AnswersGiven | None:
        """Return the answers of a version; None if there are none, or they cannot be read."""
        if pipeline not in self._counts:
            self._counts[pipeline] = self._read(pipeline)
        count = self._counts[pipeline].get(version)
        if count is None:
            return None
        return AnswersGiven(
            count=count.answers,
            first=_moment(count.first),
            last=_moment(count.last),
            ids=self._ids(pipeline, version),
        )

    def _read(self, pipeline: str) -> dict[int, AnswerCount]:
        try:
            # Opening the database would make it.
            if not has_store(self.home) and not journal_folder(self.home).is_dir():
                return {}
            with PredictionLog(self.home) as log:
                return log.count_answers(pipeline)
        except StorageError as error:
            self.problems.append(str(error))
            return {}

    def _ids(self, pipeline: str, version: int) -> tuple[str, ...]:
        if self.ids == 0:
            return ()
        with PredictionLog(self.home) as log:
            return tuple(map(text, log.answer_ids(pipeline, version, self.ids)))


def _moment(identifier: bytes) -> str:
    moment = datetime.fromtimestamp(time_of(identifier) / 1e6, UTC)
    return moment.isoformat(timespec="milliseconds")
