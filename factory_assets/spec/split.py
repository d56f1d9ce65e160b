"""Which rows train, validate and test."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import ColumnName, Spec, Strings

Share = Annotated[float, Field(ge=0, lt=1)]


class Given(Spec):
    """The parts that the data itself names, such as a test file of its own."""

    column: ColumnName
    """The column that says which part a row is in; never an input."""
    test: Strings
    """The values of the column that mark test rows; the others train (and validate)."""
    validation: Strings = ()
    """The values that mark validation rows; without them `split.validation` is drawn from the
    rest."""


class SplitRule(Spec):
    """Shares of the rows, drawn at random but always the same way for the same rows and seed."""

    test: Annotated[Share, Field(gt=0)] = 0.2
    """The share of rows (or of groups) that judges the candidate, and does nothing else."""
    validation: Annotated[Share, Field(gt=0)] = 0.1
    """Drawn for early stopping and thresholds; never part of the final judgement."""
    stratify: ColumnName | None = None
    """Keep the shares within each value of this column."""
    group: ColumnName | None = None
    """Keep all rows of one value, such as a patient, in one part."""
    time: ColumnName | None = None
    """Order by this column: the latest rows test, those before them validate."""
    given: Given | None = None
    """The parts are in the data already."""
    window: Annotated[int, Field(ge=1)] | None = None
    """How many of the newest partitions of time are read; all of them where left out."""
    seed: int = 0
    """Another seed draws other rows."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.test + self.validation >= 1:
            raise ValueError("test and validation leave no row to train on")
        ways = [w for w in ("stratify", "time", "given") if getattr(self, w) is not None]
        if len(ways) > 1 or (self.group and self.time):
            raise ValueError(f"{' and '.join(ways)} cannot be combined; keep one")
        if self.stratify and self.group:
            raise ValueError("stratify and group cannot be combined; keep one")
        return self
