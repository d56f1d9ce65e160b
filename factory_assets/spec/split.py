"""The `split` section: which rows are for training, validation and test.

Assigning the rows belongs in `stages.split`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from factory_assets.spec.base import STORED, ColumnName, Seed, Spec, Strings

Share = Annotated[float, Field(ge=0, lt=1)]

_MERGE = (
    "merge rare classes by a CASE in clean.derive and predict that column, or give more rows of "
    "each class"
)

_FEWEST = 3
"""Rows of one value that some shares divide into three parts."""


class Given(Spec):
    """Parts that the data itself marks, such as rows from a separate test file."""

    column: ColumnName
    """The column that says which part a row belongs to; never an input."""
    test: Strings
    """The values of the column that mark test rows. All other rows are for training and
    validation."""
    validation: Strings = ()
    """The values of the column that mark validation rows. Default: `split.validation` is drawn from
    the rows that are not test rows."""


class SplitRule(Spec):
    """Which rows are for training, validation and test: shares of the rows, drawn at random.

    The draw is reproducible: the same rows and seed give the same parts. Choose at most one of
    `stratify`, `time` and `given`; `group` goes together with `given` only.
    """

    test: Annotated[Share, Field(gt=0)] = 0.2
    """The share of rows (or of groups) that evaluates the candidate; they are used for nothing
    else. For example, 0.2 is 20 %."""
    validation: Annotated[Share, Field(gt=0)] = 0.1
    """The share of rows (or of groups) for early stopping, thresholds and the search for settings;
    in the end the model learns from them too. They are never used in the final evaluation."""
    stratify: ColumnName | None = None
    """Keep the shares within each value of this column, such as the target."""
    group: ColumnName | None = None
    """A column, such as the patient, whose rows with the same value stay in one part. The shares
    are then shares of groups."""
    time: ColumnName | None = None
    """A column that orders the rows: the latest are the test rows, those before them the validation
    rows. Nothing is drawn at random."""
    given: Given | None = None
    """Use the parts that the data itself marks. Default: the parts are drawn."""
    window: Annotated[int, Field(ge=1)] | None = None
    """With partitions of time: how many of the newest are read, such as 90 for the last 90 days.
    Default: all."""
    seed: Seed = 0
    """The seed of the draw; another seed draws other rows."""

    def instead(self, way: Literal["group", "time"]) -> str:
        """Return " instead of …" with the keys that cannot stand beside this one, for advice."""
        excluded = {"group": ("stratify", "time"), "time": ("stratify", "group", "given")}[way]
        declared = [f"split.{key}" for key in excluded if getattr(self, key)]
        return f" instead of {' and '.join(declared)}" if declared else ""

    def remedy_for_classes(self, target: str, largest: int | None = None) -> str:
        """Return how each class of the target gets into the training rows, as this rule allows.

        Args:
            target: the column.
            largest: how many rows the most frequent class has, if that is known.
        """
        if self.given:
            return f"mark rows of the class for training in column {self.given.column!r}"
        if self.time:
            return "give earlier rows of the class, or lower split.test"
        if self.group:
            return f"give the class in more groups of {self.group!r}"
        if largest is not None and not self._divides(largest):
            return _MERGE
        return (
            "give more rows of the class"
            if self.stratify == target
            else (f"set split.stratify to {target}, or give more rows of the class")
        )

    def remedy_for_judged_classes(self, target: str) -> str:
        """Return how each class of the target gets into the test rows, as this rule allows."""
        if self.given:
            return f"mark test rows of the class in column {self.given.column!r}"
        if self.time:
            return "give later rows of the class, or raise split.test"
        return self.remedy_for_classes(target)

    def remedy_for_parts(self, classes: str | None, largest: int | None) -> str:
        """Return how each part gets a row.

        Args:
            classes: the column that is predicted; None if it has numbers.
            largest: how many rows have the most frequent value of `stratify`; None without it.
        """
        if largest is None:
            return "give more rows, groups or moments, or change the shares of split"
        shares = "change the shares of split, or " * (largest >= _FEWEST)
        others = "stratify by a column with fewer values, or by none"
        return f"{shares}{_MERGE if self.stratify == classes else others}"

    def _divides(self, rows: int) -> bool:
        """Whether so many rows of one value, if `stratify` names it, give each part a row."""
        return all(int(share * rows + 0.5) for share in (self.test, self.validation))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.test + self.validation >= 1:
            raise ValueError(
                "test and validation leave no row to train on; let them add up to less than 1"
            )
        ways = [w for w in ("stratify", "time", "given") if getattr(self, w) is not None]
        if len(ways) > 1 or (self.group and self.time):
            names = ways if len(ways) > 1 else ["time", "group"]
            raise ValueError(f"{' and '.join(names)} cannot be combined; keep one")
        if self.stratify and self.group:
            raise ValueError("stratify and group cannot be combined; keep one")
        return self

    @model_validator(mode="after")
    def _given_parts_are_clear(self, info: ValidationInfo) -> Self:
        # What was stored before this was refused is still read.
        if self.given is None or info.context == STORED:
            return self
        marked = {"test": self.given.test, "validation": self.given.validation}
        for part, values in marked.items():
            # Compare with the default: what is written out again has every key.
            if values and getattr(self, part) != type(self).model_fields[part].default:
                raise ValueError(
                    f"{part} is a share, and `given` marks the {part} rows; keep one of them"
                )
        if not self.given.test:
            raise ValueError("given: no value marks test rows; name at least one in given.test")
        for value in self.given.test:
            if value in self.given.validation:
                raise ValueError(
                    f"given: {value!r} marks both test and validation rows; keep it in one list"
                )
        return self
