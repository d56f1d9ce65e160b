"""Answers with known outcomes as a source: the rows of requests, and what turned out to be true.

The rows whose first outcome was recorded on the same day form one source. A row keeps its number in
it: rows with later outcomes follow it, and a correction changes only its value. Recording outcomes
belongs in `factory_resources.outcomes`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.declarations.loader import pipeline_named
from factory_assets.spec import AnswersSource
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.store import KnownRow, OutcomeStore
from factory_resources.outcomes.target_values import TargetValues
from factory_resources.outcomes.targets import Targets
from factory_resources.prediction_log.ids import day_of, request_of, text, time_of
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.protection import Protection, is_protected
from factory_resources.sources.files.reader import SourceTable, read_table

if TYPE_CHECKING:
    from factory_resources.prediction_log.record import PredictionRecord

_ROW_BYTES = 1_000
"""The cost of reading a row, in bytes of a text file."""

_DAY = 86_400_000_000
"""Microseconds."""

_ENCRYPT = (
    "let the pipeline that answers declare deploy.log.sensitive: encrypt; answers until then stay "
    "hidden: read those after it with `since`"
)


@dataclass(frozen=True)
class AnswersOfDay:
    """The rows of a pipeline whose first outcome was recorded on one day, in UTC."""

    pipeline: str
    day: date
    last: int
    """The number of the last outcome that counts."""
    since: date | None
    """No answer is older."""
    removed: frozenset[date]
    """The days whose answers were removed."""

    def rows(self, store: OutcomeStore) -> Iterator[KnownRow]:
        """Yield the rows in their order."""
        start = int(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC).timestamp())
        begin = start * 1_000_000
        rows = store.known_rows(self.pipeline, self.last, begin, begin + _DAY)
        return (row for row in rows if self.has(row))

    def has(self, row: KnownRow) -> bool:
        """Whether the answer is on record and not older than `since`."""
        day = day_of(row.id)
        return (self.since is None or day >= self.since) and day not in self.removed


def discover_answers(source: AnswersSource, context: SourceContext) -> Iterator[SourceHandle]:
    """Yield the answers of each day, by when their first outcome was recorded.

    A day is identified by the ids of its rows, their outcomes and when those were observed.

    Raises:
        SourceError: no outcome was recorded yet.
        ModelError: the pipeline has no champion, whose target names the column of the outcomes.
        StorageError: a database cannot be read.
    """
    home, found = context.home, False
    if has_outcomes(home):
        target = Targets(home).of_champion(source.answers)
        removed = _removed_days(home, source.answers)
        with open_outcomes(home) as store:
            last = store.last_number()
            known = store.known_rows(source.answers, last)
            # The clock may have been set back between two outcomes.
            days = sorted({day for day, _ in groupby(known, _day_recorded)})
            for day in days:
                answers = AnswersOfDay(source.answers, day, last, source.since, removed)
                if handle := _handle(answers, target, store, home):
                    found = True
                    yield handle
    if not found:
        raise _no_outcome(source.answers)


def _no_outcome(pipeline: str) -> SourceError:
    declared = pipeline_named(pipeline)
    if declared and not declared.spec.train:
        what, remedy = f"{pipeline!r} has no model that answers", "declare `train` in it"
    else:
        what = "no outcome of an answer is known yet"
        remedy = f"record some: factory feedback {pipeline} FILE, or POST /feedback"
    return SourceError(what, where=f"answers:{pipeline}", remedy=remedy)


def _day_recorded(row: KnownRow) -> date:
    return datetime.fromtimestamp(row.first // 1_000_000, UTC).date()


def _handle(
    answers: AnswersOfDay, target: TargetValues, store: OutcomeStore, home: Home
) -> SourceHandle | None:
    content, ids = sha256(target.source_name.encode()), list[bytes]()
    for row in answers.rows(store):
        line = json.dumps([row.id.hex(), row.value, row.observed])
        content.update(f"{line}\n".encode())
        ids.append(row.id)
    if not ids:
        return None
    since = f" since {answers.since.isoformat()}" if answers.since else ""
    name = f"answers:{answers.pipeline}/{answers.day.isoformat()}{since}@{_digest(ids)}"
    version = content.hexdigest()

    def read(own: Path, **_: object) -> SourceTable:
        return _read(answers, target, home, own, name, version)

    return SourceHandle(version, {}, read, len(ids) * _ROW_BYTES, identity=version)


def _read(
    answers: AnswersOfDay, target: TargetValues, home: Home, own: Path, name: str, version: str
) -> SourceTable:
    with open_outcomes(home) as store:
        known = [*answers.rows(store)]
    read = read_answers(
        known, answers.pipeline, (target.column, target.source_name), home, own, name
    )
    return replace(read, sha256=version)


def read_answers(
    known: Sequence[KnownRow],
    pipeline: str,
    target: tuple[str, str],
    home: Home,
    own: Path,
    name: str,
) -> SourceTable:
    """Read the rows of answers with their outcomes.

    Args:
        target: the column of the outcomes, by its name in the tables and in the source. If the
            version that answered predicted another column, its outcome is in that one.
        own: an empty folder.
        name: of the source, for messages.

    Raises:
        SourceError: an answer is no longer on record.
    """
    import pyarrow as pa

    reader = _Reader(home, pipeline, name)
    rows = reader.rows(known, target)
    columns = [*dict.fromkeys(column for row in rows for column in row)]
    hidden = [column for column in columns if reader.is_hidden(column)]
    table = pa.table(
        {
            column: pa.array([row.get(column) for row in rows], pa.string())
            for column in columns
            if column not in hidden
        }
    )
    read = read_table(table, name, own)
    # As texts, their types are inferred like those of the file that the first rows came from.
    return replace(read, format="jsonl", withheld=dict.fromkeys(hidden, _ENCRYPT))


class _Reader:
    """Reads logged rows as texts, and remembers which columns are hidden in all of them."""

    def __init__(self, home: Home, pipeline: str, name: str) -> None:
        self._home, self._pipeline, self._name = home, pipeline, name
        self._protection = Protection(home, pipeline, "encrypted")
        self._targets = Targets(home)
        self._hidden, self._shown = set[str](), set[str]()

    def is_hidden(self, column: str) -> bool:
        """Whether the rows that were read have only commitments in a column."""
        return column in self._hidden - self._shown

    def rows(
        self, known: Sequence[KnownRow], target: tuple[str, str]
    ) -> list[dict[str, str | None]]:
        """Return the rows with their outcomes, in their order.

        Raises:
            SourceError: an answer is no longer on record.
        """
        places: dict[bytes, list[int]] = {}
        for place, row in enumerate(known):
            places.setdefault(request_of(row.id)[0], []).append(place)
        found: list[dict[str, str | None]] = [{} for _ in known]
        with PredictionLog(self._home) as log:
            for request, record in log.records(places.keys()):
                cells = logged_rows(record)
                outcome_column = self._outcome_column(record.version, target)
                for place in places.pop(request):
                    row = known[place]
                    asked = self._shown_cells(cells[request_of(row.id)[1]], record.time)
                    outcome = {target[1]: None, outcome_column: _outcome(row)}
                    found[place] = {**_about(row, record), **asked, **outcome}
        if places:
            raise SourceError(
                f"{len(places):,} answers are gone from the log, one is {text(next(iter(places)))}",
                where=self._name,
                remedy="factory verify shows what is missing; restore the log from a backup",
            )
        return found

    def _outcome_column(self, version: int, target: tuple[str, str]) -> str:
        """Return the source's name for the target of a version, to which its outcomes belong."""
        column, source_name = target
        own = self._targets.of(self._pipeline, version)
        return source_name if own.column == column else own.source_name

    def _shown_cells(self, row: Mapping[str, Any], time: int) -> dict[str, str | None]:
        shown: dict[str, str | None] = {}
        for column, cell in row.items():
            value = self._revealed(column, cell, time)
            shown[column] = _text(value)
        return shown

    def _revealed(self, column: str, cell: Any, time: int) -> Any:
        if not is_protected(cell):
            self._shown.add(column)
            return cell
        if "encrypted" not in cell:
            self._hidden.add(column)
            return None
        self._shown.add(column)
        # A value whose key was destroyed is missing.
        return self._protection.read(cell, time)


def _about(row: KnownRow, record: "PredictionRecord") -> dict[str, str | None]:
    return {
        "id": text(row.id),
        "version": str(record.version),
        "answered": _moment(time_of(row.id)),
        "observed": _moment(row.observed),
    }


def _moment(time: int) -> str:
    found = datetime.fromtimestamp(time // 1_000_000, UTC).replace(microsecond=time % 1_000_000)
    return found.isoformat(sep=" ", timespec="microseconds").removesuffix("+00:00")


def _outcome(row: KnownRow) -> str | None:
    return _text(json.loads(row.value))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Columns of whole numbers may be logged as floats.
        return str(int(value)) if value.is_integer() and abs(value) < 1 << 53 else repr(value)
    return str(value) if isinstance(value, int) else json.dumps(value)


_NAME = re.compile(
    r"answers:([a-z][a-z0-9_]*)/(\d{4}-\d{2}-\d{2})( since \d{4}-\d{2}-\d{2})?@([0-9a-f]{16})"
)


def answer_ids(name: str, rows: int, home: Home) -> tuple[str, ...]:
    """Return the ids of the answers that a source of this name had, in the order of its rows.

    Args:
        name: of the source, as an ingest recorded it.
        rows: how many it had.

    Returns:
        Nothing if it is no source of answers, or if answers of it were removed since.

    Raises:
        StorageError: the outcomes cannot be read.
    """
    match = _NAME.fullmatch(name)
    if not match or not has_outcomes(home):
        return ()
    pipeline, day = match[1], date.fromisoformat(match[2])
    since = date.fromisoformat(match[3][-10:]) if match[3] else None
    with open_outcomes(home) as store:
        last = store.last_number()
        for removed in (frozenset[date](), _removed_days(home, pipeline)):
            answers = AnswersOfDay(pipeline, day, last, since, removed)
            ids = [row.id for row in islice(answers.rows(store), rows)]
            if _digest(ids) == match[4]:
                return tuple(map(text, ids))
    return ()


def _removed_days(home: Home, pipeline: str) -> frozenset[date]:
    with PredictionLog(home) as log:
        return log.removed_days(pipeline)


def _digest(ids: Iterable[bytes]) -> str:
    digest = sha256()
    for one in ids:
        digest.update(one)
    return digest.hexdigest()[:16]
