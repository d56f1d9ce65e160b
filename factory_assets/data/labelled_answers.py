"""The newest answers whose outcomes are known, as rows on which models are compared.

Which of them a model learned from is known to its caller. As a source of a pipeline, answers belong
in `sources.answers`; how good models are on them, in `ml.evaluation`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from factory_assets.spec import AnswersSource, Clean, Ingest
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.store import KnownRow
from factory_resources.prediction_log.ids import text

if TYPE_CHECKING:
    import pyarrow as pa

_OFF = "evaluate.answers: {newest: 0} compares on the test rows only"


@dataclass(frozen=True)
class ChosenAnswers:
    """Answers with their outcomes, in the order in which the first outcome of each came."""

    pipeline: str
    rows: tuple[KnownRow, ...]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the ids and the outcomes."""
        content = sha256()
        for row in self.rows:
            content.update(f"{row.id.hex()} {row.value}\n".encode())
        return content.hexdigest()

    @property
    def ends(self) -> tuple[str, str] | None:
        """The ids of the first and the last answer; None without any."""
        return (text(self.rows[0].id), text(self.rows[-1].id)) if self.rows else None


def choose_answers(
    home: Home,
    pipeline: str,
    *,
    after: int,
    until: int,
    without: Collection[str],
    newest: int,
) -> ChosenAnswers:
    """Choose the newest answers by when their first outcome was recorded.

    What is recorded later changes nothing: a correction after `until` does not count.

    Args:
        after, until: microseconds since 1970, between which it was recorded.
        without: the ids of answers that are left out.
        newest: how many are chosen at most.

    Raises:
        StorageError: the outcomes cannot be read.
    """
    with open_outcomes(home) as store:
        known = store.known_rows(pipeline, store.last_number(until), after + 1, until + 1)
        rows = deque((row for row in known if text(row.id) not in without), newest)
    return ChosenAnswers(pipeline, tuple(rows))


@dataclass(frozen=True)
class ComparableModel:
    """The columns that a model needs, its target among them, and how its rows were prepared."""

    columns: Sequence[str]
    inputs: Mapping[str, str]
    booleans: Sequence[str]
    ingest: Ingest
    clean: Clean


def labelled_table(
    chosen: ChosenAnswers, model: ComparableModel, target: str, home: Home
) -> pa.Table:
    """Return the chosen answers as clean rows, without those that break the contract or a rule.

    Those of versions that predicted another column tell nothing about this one, and are left out.

    Raises:
        DataError: the rows have no such columns, or more than an answer is needed to make them.
        SourceError: an answer is not on record any more.
        ContractError, ExpressionError: the rows cannot be prepared as those of the training.
    """
    from pyarrow.parquet import ParquetFile

    from factory_assets.data.clean_rows import clean_rows
    from factory_assets.data.sources.answers import read_answers
    from factory_assets.data.sources.base import SourceHandle
    from factory_assets.data.transforms.narrowing import narrowed_cleaning, narrowed_ingest

    ingest = narrowed_ingest(model, AnswersSource(answers=chosen.pipeline))
    clean = narrowed_cleaning(model)
    _require_rows_alone(model, clean, target)
    known = {column.name: column.source_name for column in ingest.contract.columns}
    outcome = known.get(target, target)
    name = f"answers:{chosen.pipeline}"
    with home.scratch() as scratch:
        (scratch / "read").mkdir()
        read = read_answers(
            chosen.rows, chosen.pipeline, (target, outcome), home, scratch / "read", name
        )
        if hidden := sorted({*known.values()} & read.withheld.keys()):
            raise DataError(
                f"column {hidden[0]!r} is sensitive, and the log has only commitments to it",
                remedy="declare deploy.log.sensitive: encrypt",
            )
        if lacking := sorted({*known.values()} - read.columns.keys()):
            raise DataError(
                f"the log has no column {lacking[0]!r}, which the champion does not read",
                remedy="it is logged when a champion reads it",
            )
        handle = SourceHandle(chosen.digest, {}, lambda own, **_: read)
        (scratch / "rows").mkdir()
        rows = clean_rows(chosen.pipeline, ingest, clean, [handle], scratch / "rows")
        table = ParquetFile(rows.valid.path).read()
        return table.filter(table[target].is_valid())


def _require_rows_alone(model: ComparableModel, clean: Clean, target: str) -> None:
    reasons = {
        "the tables that are joined to them may have changed": bool(model.ingest.joins),
        "windows need the rows before them": clean.windows is not None,
        f"{target!r} is derived, and outcomes are of what is derived": target in clean.columns,
    }
    for reason, holds in reasons.items():
        if holds:
            raise DataError(reason, remedy=_OFF)
