"""What an engineer may write through MLflow's UI: notes that the factory does not read.

Tags that the factory or MLflow itself reads, such as `factory.onnx_sha256`, are refused.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from factory_assets.web.mlflow.endpoints import OperationRefusedError

_NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run or an experiment."""

_READ_BY_SOFTWARE = ("dagster.", "factory.", "mlflow.")


def _free(key: str) -> str:
    if key != _NOTE and key.strip().casefold().startswith(_READ_BY_SOFTWARE):
        raise ValueError(f"the tag {key} is not for people to write")
    return key


_Text = Annotated[str, Field(max_length=5_000)]
_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Key = Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_free)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def about(self) -> tuple[str, ...]:
        """Return what is written to, for the ledger."""
        return tuple(
            f"{name}={value}"
            for name, value in self.model_dump(exclude_none=True).items()
            if name not in ("value", "description", "run_uuid")
        )


class _RunTag(_Body):
    run_id: _Name
    run_uuid: _Name | None = None
    key: _Key


class _SetRunTag(_RunTag):
    value: _Text


class _ExperimentTag(_Body):
    experiment_id: _Name
    key: _Key


class _SetExperimentTag(_ExperimentTag):
    value: _Text


class _ModelTag(_Body):
    name: _Name
    key: _Key


class _SetModelTag(_ModelTag):
    value: _Text


class _VersionTag(_ModelTag):
    version: _Name


class _SetVersionTag(_VersionTag):
    value: _Text


class _DescribeModel(_Body):
    name: _Name
    description: _Text


class _DescribeVersion(_DescribeModel):
    version: _Name


_BODIES: dict[str, type[_Body]] = {
    "runs/set-tag": _SetRunTag,
    "runs/delete-tag": _RunTag,
    "experiments/set-experiment-tag": _SetExperimentTag,
    "experiments/delete-experiment-tag": _ExperimentTag,
    "registered-models/set-tag": _SetModelTag,
    "registered-models/delete-tag": _ModelTag,
    "registered-models/update": _DescribeModel,
    "model-versions/set-tag": _SetVersionTag,
    "model-versions/delete-tag": _VersionTag,
    "model-versions/update": _DescribeVersion,
}


def checked_write(route: str, body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a body that says the same in one way only, and what it is about.

    MLflow must not read another key than the one that was checked, so it gets this new body.

    Raises:
        OperationRefusedError: the body is malformed, or it would write what software reads.
    """
    kind = _BODIES[route.removeprefix("/ajax-api/2.0/mlflow/")]
    try:
        write = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        where = ".".join(map(str, first["loc"]))
        raise OperationRefusedError(said, where=where, remedy="write a note") from error
    return write.model_dump_json(exclude={"run_uuid"}).encode(), write.about()
