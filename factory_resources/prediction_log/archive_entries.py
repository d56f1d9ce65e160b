"""Ledger entries about the answers of a pipeline on one day: archived, removed, erased.

Appending them belongs in `archiving` and `erasing`.
"""

from datetime import date
from typing import TYPE_CHECKING, TypeVar

from factory_resources.home.home import Home

if TYPE_CHECKING:
    from factory_resources.ledger.prediction_entries import (
        PredictionsArchived,
        PredictionsErased,
        PredictionsMoved,
        PredictionsRemoved,
    )

E = TypeVar("E", bound="PredictionsMoved")


def archived_entries(home: Home, pipeline: str, day: date) -> "list[PredictionsArchived]":
    """Return the entries of the files of a day, without files that an erasure replaced."""
    from factory_resources.ledger.prediction_entries import PredictionsArchived

    replaced = {entry.file for _, entry in erased_entries(home, pipeline, day)}
    entries = _entries(home, PredictionsArchived, pipeline, day)
    return [entry for _, entry in entries if entry.sha256 not in replaced]


def removed_entries(home: Home, pipeline: str, day: date) -> "list[PredictionsRemoved]":
    """Return the entries by which files of a day were removed."""
    from factory_resources.ledger.prediction_entries import PredictionsRemoved

    return [entry for _, entry in _entries(home, PredictionsRemoved, pipeline, day)]


def erased_entries(home: Home, pipeline: str, day: date) -> "list[tuple[int, PredictionsErased]]":
    """Return the entries by which single answers of a day were erased, with their numbers."""
    from factory_resources.ledger.prediction_entries import PredictionsErased

    return _entries(home, PredictionsErased, pipeline, day)


def _entries(home: Home, kind: type[E], pipeline: str, day: date) -> list[tuple[int, E]]:
    """Return the entries of a kind about a pipeline and a day, the newest first."""
    from factory_resources.ledger.ledger import Ledger, entries_in

    subject = kind.subject_of(pipeline=pipeline, day=day.isoformat())
    with Ledger(home).reading() as log:
        return [*entries_in(log, kind, subject)]
