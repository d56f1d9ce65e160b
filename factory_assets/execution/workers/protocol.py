"""What a run and the processes that work for it tell each other: one line of JSON a message.

Requests name what they are about; rows are in files. Nothing is pickled.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from factory_assets.data.contract.table_checks import TableError
from factory_assets.execution.workers.room import Needs
from factory_assets.results.base import KeyComponents
from factory_assets.results.checks import TableCheck
from factory_assets.results.stages import Stage
from factory_resources import errors
from factory_resources.errors import FactoryError
from factory_resources.metering.meter import Cost


class Message(BaseModel):
    """What a run and a process tell each other."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class WorkerSetup(Message):
    """What all requests to a worker have in common; it comes first."""

    path: tuple[str, ...]
    """Where modules are found."""
    folder: Path
    """That of the declaration."""
    declaration: str
    """Its SHA-256, defaults included."""
    home: Path
    scratch: Path
    """A folder on the home's file system, which the run removes."""
    run_id: str
    reuse: bool
    tags: dict[str, str]
    scheduled: str | None
    workers: int
    """How many work at a time."""
    hashing: float
    """Bytes that are hashed although their digest is known."""
    objects: bool
    """Whether objects of a storage are fetched again."""
    environment: dict[str, str | None] = {}
    """Variables that the process has beside those with which it was started; None removes one."""


class StageCall(Message):
    """Ask for one stage of one partition."""

    kind: Literal["stage"] = "stage"
    stage: Stage
    partition: str
    """Its key."""
    resources: Needs = Needs()
    """What a process needs for it, as declared."""


class FitCall(Message):
    """Ask for one of the independent fits of a stage, whose kinds belong in `fit_kinds`."""

    kind: Literal["fit"] = "fit"
    stage: Stage
    task: str
    """The task as JSON."""
    files: Path
    """The folder that the worker makes and writes into."""
    resources: Needs = Needs()
    """What a process needs for it, as declared."""


class TurnCall(Message):
    """Go on: the partition before this one is stored."""


class TurnMessage(Message):
    """The stage has come to where it needs the partition before this one."""

    kind: Literal["turn"] = "turn"


class StepMessage(Message):
    """A step within the stage is done."""

    kind: Literal["step"] = "step"
    message: str


class PlannedMessage(Message):
    """The stage is about to be computed."""

    kind: Literal["planned"] = "planned"
    components: KeyComponents
    inputs: dict[str, tuple[str, ...]]


class ReusableMessage(Message):
    """Nothing changed: the record with this key can be reused."""

    kind: Literal["reusable"] = "reusable"
    key: str
    warnings: tuple[str, ...]


class ComputedMessage(Message):
    """The stage is computed; its files are stored."""

    kind: Literal["computed"] = "computed"
    value: dict[str, Any]
    components: KeyComponents
    planned_key: str
    inputs: dict[str, tuple[str, ...]]
    cost: Cost
    warnings: tuple[str, ...]


class FittedMessage(Message):
    """A fit is done; its files are written."""

    kind: Literal["fitted"] = "fitted"
    loaded: dict[str, dict[str, str]]
    """What the user's code of the stage has loaded in this process so far."""
    cost: Cost
    warnings: tuple[str, ...]


class FailedMessage(Message):
    """An error that a person can act on."""

    kind: Literal["failed"] = "failed"
    error: str
    """The name of its class in `factory_resources.errors`."""
    what: str
    where: str
    remedy: str
    checks: tuple[TableCheck, ...] | None
    """What an error about a whole table tells about it."""

    @classmethod
    def of(cls, error: FactoryError) -> "FailedMessage":
        kinds = (kind.__name__ for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
        checks = error.checks if isinstance(error, TableError) else None
        return cls(
            error=next(kinds),
            what=error.what,
            where=error.where,
            remedy=error.remedy,
            checks=checks,
        )

    def rebuilt(self) -> FactoryError:
        """Return the error as the worker raised it, or as the class that it is a kind of."""
        error: FactoryError
        if self.checks is not None:
            error = TableError(self.checks, self.where)
            error.what, error.remedy = self.what, self.remedy
            return error
        error = getattr(errors, self.error)(self.what, where=self.where, remedy=self.remedy)
        return error


class FaultMessage(Message):
    """A fault of the factory or of a user's code."""

    kind: Literal["fault"] = "fault"
    traceback: str


GoodAnswer = ReusableMessage | ComputedMessage | FittedMessage
"""What was asked for."""

LastAnswer = GoodAnswer | FailedMessage | FaultMessage
"""What ends a request."""

Answer = Annotated[
    StepMessage | TurnMessage | PlannedMessage | LastAnswer, Field(discriminator="kind")
]

ANSWERS: TypeAdapter[Answer] = TypeAdapter(Answer)


def line_of(message: Message) -> bytes:
    """Return a message as it is sent."""
    return message.model_dump_json().encode() + b"\n"
