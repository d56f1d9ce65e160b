"""What a list of training rows says: the shape of `factory influence --json`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingRow(Part):
    """A training row, by its place in its source."""

    sha256: str
    """Of the source."""
    source: str | None
    """Its name as declared; None where no record tells it."""
    record: int
    """Which of its records, from 1."""
    lines: tuple[int, int] | None
    """First and last line of the record; None where they cannot be told."""
    label: str | None
    """What it says of the target; None where that is sensitive."""
    score: float
    """Of a prediction, how much the row's presence raised what was said; else how suspicious it
    is."""


class Listing(Part):
    """Training rows in the order of their weight."""

    format: Literal["factory.influence"] = "factory.influence"
    version: Literal[1] = 1
    model: str
    about: str
    """The row in question; or the training rows themselves."""
    said: str | None
    """The class that the model finds likeliest for it, or the number."""
    unit: str
    """Of the scores."""
    lds: float
    ceiling: float
    at_least: float
    """The LDS below which nothing is listed."""
    reach: str
    training_rows: int
    claim: str
    """What is claimed, and what is not."""
    rows: tuple[TrainingRow, ...]
