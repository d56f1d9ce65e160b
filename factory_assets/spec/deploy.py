"""The `deploy` section: the export, who must approve a candidate, what is logged of its answers.

Exporting belongs in `stages.deploy`, approving in `execution.decisions`, answering in `serving`.
How a new version is rolled out belongs in `rollout`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from factory_assets.spec.base import Columns, Spec, is_unset
from factory_assets.spec.contract import Duration
from factory_assets.spec.people import Role
from factory_assets.spec.rollout import Canary, Shadow


def _none(value: Any) -> Any:
    return None if value == "none" else value


def _shadow(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


def _keeps(value: Any) -> bool:
    return bool(value == "keep")


def _is_default(value: Any) -> bool:
    """Leave out what a declaration without it means: it changes no result."""
    return bool(value == AnswerLog())


class Approval(Spec):
    """People must approve a candidate that passed its gates before it serves."""

    by: Role = "approver"
    """The role that may approve, as given in `people.yaml`."""
    signatures: Annotated[int, Field(ge=1, le=9)] = 1
    """How many people must approve."""
    valid: Duration = "14d"
    """How long an approval counts, until the candidate serves."""
    four_eyes: bool = False
    """Whether a person is refused who started the run that trained the candidate. It needs the
    `account` of each approver in `people.yaml`."""


Retention = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,3}(d|w|m|y)$", examples=["10y"])]
"""How long something is kept: a whole number and `d`, `w`, `m` (30 days) or `y` (365 days)."""

_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


def days_of(text: Retention) -> int:
    """Return how many days such a time has."""
    return int(text[:-1]) * _DAYS[text[-1]]


SCORED_COLUMNS = frozenset(
    {"model", "version", "joined", "prediction", "low", "high", "abstained", "reason", "id"}
)
"""The columns of a scored file that are not named after a class."""

LEAST_KEPT = 180
"""Days for which the answers of every pipeline are kept at least."""


class AnswerLog(Spec):
    """What is kept of the champion's answers, and for how long."""

    keep: Retention | None = None
    """How long answers are kept, such as `2y`; never less than 6 months. Default: 10 years for risk
    tier `high`, else 2 years."""
    sensitive: Literal["commit", "encrypt"] = "commit"
    """How the values of sensitive columns are kept. `commit`: only as salted commitments, by which
    a known value is compared. `encrypt`: encrypted, readable until the key is destroyed."""
    keys: Annotated[Columns, Field(exclude_if=is_unset)] = ()
    """Columns of the source by which outcomes find their answers, such as a case number. The model
    need not read them: rows may bring them beside its inputs, and they are logged with the answer.
    Default: none, only what the model reads is logged."""

    @property
    def days(self) -> int | None:
        """How many days answers are kept, if declared."""
        return days_of(self.keep) if self.keep else None

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        if self.days is not None and self.days < LEAST_KEPT:
            raise ValueError(f"log.keep {self.keep} is less than 6 months; write at least 6m")
        return self

    @model_validator(mode="after")
    def _keys_can_be_written(self) -> Self:
        for name in self.keys:
            if name in SCORED_COLUMNS:
                raise ValueError(
                    f"log.keys: scored files have a column {name!r} of their own; give the key "
                    f"another name in the contract, as {{name: my_{name}, from: {name}}}"
                )
        return self


class Deploy(Spec):
    """Export the candidate to ONNX, prove that it computes the same, and make it the champion."""

    max_difference: Annotated[float, Field(gt=0)] = 1e-4
    """The largest allowed difference between the outputs of the exported and the trained model on
    the test rows, or the candidate is not deployed. It is a difference of probabilities, or of
    predictions in standard deviations of the target."""
    approval: Annotated[
        Approval | None,
        BeforeValidator(_none, json_schema_input_type=Approval | None),
        Field(exclude_if=is_unset),
    ] = None
    """Who must approve a candidate before it serves; `{}` asks for one approver. Required for risk
    tier `high`. Default: nobody, the gates alone decide."""
    canary: Annotated[Canary | None, Field(exclude_if=is_unset)] = None
    """Give a new version to a share of the callers first, and roll back if it is worse. Default: it
    serves everybody at once."""
    shadow: Annotated[
        Shadow | None,
        BeforeValidator(_shadow, json_schema_input_type=bool | Shadow | None),
        Field(exclude_if=is_unset),
    ] = None
    """Let a new version also answer what the champion is asked, without anybody getting its
    answers; `true` takes the defaults below. Default: it serves at once."""
    log: Annotated[AnswerLog, Field(exclude_if=_is_default)] = AnswerLog()
    """What is kept of the champion's answers, and for how long."""
    after_erasure: Annotated[Literal["keep", "stop"], Field(exclude_if=_keeps)] = "keep"
    """What becomes of the champion if rows that it learned from are erased. `keep`: it serves until
    a version trained without them does. `stop`: nothing is answered until a person resumes it."""

    @property
    def rollout(self) -> Canary | Shadow | None:
        """How a new version is rolled out; None if it serves at once."""
        return self.canary or self.shadow

    @model_validator(mode="after")
    def _has_one_rollout(self) -> Self:
        if self.canary and self.shadow:
            raise ValueError("shadow and canary are both declared; keep one of them")
        return self
