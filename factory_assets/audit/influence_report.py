"""The shape of the list of influential training rows, as `factory influence --json` prints it.

How the list is computed belongs in `influence`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class ReportPart(BaseModel):
    """Base class of the parts of the report."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingRow(ReportPart):
    """A training row, identified by its place in its source."""

    sha256: str
    """SHA-256 of the source."""
    source: str | None
    """Name of the source as declared; None if no record contains it."""
    record: int
    """Number of the record in the source, from 1."""
    lines: tuple[int, int] | None
    """First and last line of the record; None if they are unknown."""
    label: str | None
    """The row's target value; None if the target is sensitive."""
    score: float
    """For a prediction: by how much the row raised it. Otherwise: how suspicious the row is."""


class InfluenceReport(ReportPart):
    """Training rows, ordered by the size of their score."""

    format: Literal["factory.influence"] = "factory.influence"
    version: Literal[1] = 1
    model: str
    about: str
    """The row whose prediction is explained, or the training rows themselves."""
    said: str | None
    """The class that the model considers most likely, or the predicted number."""
    unit: str
    """Unit of the scores."""
    lds: float
    ceiling: float
    at_least: float
    """The LDS below which no list is given."""
    reach: str
    training_rows: int
    claim: str
    """What is claimed, and what is not."""
    rows: tuple[TrainingRow, ...]
