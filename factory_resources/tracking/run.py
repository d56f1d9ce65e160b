"""An open MLflow run: log its parameters, metrics and dataset, and register its model version."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, Literal

from factory_resources.home.home import storage_errors
from factory_resources.home.processes import is_alive, own_identity
from factory_resources.narrow_names import narrow_name
from factory_resources.tracking.version_numbers import continue_numbers

if TYPE_CHECKING:
    from factory_resources.tracking.registry import Registry


Status = Literal["FINISHED", "FAILED", "KILLED"]

_PROCESS_TAG = "factory.process"

_PARENT_TAG = "mlflow.parentRunId"

_BATCH, _LONGEST, _DIGEST = 1000, 250, 36
"""Limits of MLflow: metrics per call, characters of a metric's name and of a dataset's digest."""


@dataclass(frozen=True)
class Signature:
    """What a model reads and returns, as MLflow shows it."""

    inputs: Mapping[str, str]
    """Column to `float`, `double` or `string`, in order."""
    output: str
    width: int | None
    """Numbers per row; None for one plain number."""


@dataclass(frozen=True)
class RegistryRun:
    """A started run."""

    registry: Registry
    model: str
    run_id: str
    experiment_id: str

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)) for key, value in parameters.items()]
        self.registry.client.log_batch(self.run_id, params=params)

    def log_metrics(self, metrics: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log steps with their metrics, many per call."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        rows = [Metric(k, v, now, step) for step, values in metrics for k, v in values.items()]
        for start in range(0, len(rows), _BATCH):
            self.registry.client.log_batch(self.run_id, metrics=rows[start : start + _BATCH])

    def tag(self, tags: Mapping[str, object]) -> None:
        for key, value in tags.items():
            self.registry.client.set_tag(self.run_id, key, str(value))

    def end(self, status: Status) -> None:
        self.registry.client.set_terminated(self.run_id, status)

    def adopt(self, run_id: str, status: Status) -> None:
        """Show a run below this one because its parent has died, and set its final status."""
        self.registry.client.set_tag(run_id, _PARENT_TAG, self.run_id)
        self.registry.client.set_terminated(run_id, status)

    def log_dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Log the data that the run read; a tag of the input contains the complete digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name, digest[:_DIGEST], source_type="local", source=json.dumps({"uri": source})
        )
        tags = [InputTag("mlflow.data.context", context), InputTag("factory.sha256", digest)]
        self.registry.client.log_inputs(self.run_id, [DatasetInput(dataset, tags)])

    def register(
        self,
        files: Path,
        signature: Signature,
        example: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> int:
        """Store the files as a logged model and make it the model's next version.

        The MLmodel file describes the model to MLflow's UI. It has no flavour until the version
        is deployed (see `onnx_flavour`): no model can be loaded through it, and the factory does
        not read it.

        Raises:
            StorageError: the files cannot be written; no version is created.
        """
        from mlflow.entities import LoggedModelOutput

        client = self.registry.client
        logged = client.create_logged_model(
            self.experiment_id, name="model", source_run_id=self.run_id, tags=dict(tags)
        )
        with storage_errors(self.registry.home.artifacts):
            _describe(files, self.run_id, logged.model_id, signature, example)
        self.registry.add_model_files(self.model, logged, files)
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(self.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        _ensure_model(client, self.model)
        continue_numbers(self.registry, self.model)
        version = client.create_model_version(
            self.model,
            source=logged.artifact_location,
            run_id=self.run_id,
            tags=dict(tags),
            model_id=logged.model_id,
            await_creation_for=0,
        )
        return int(version.version)


def metric_name(name: str) -> str:
    """Return the name of a metric in MLflow: one of ours may contain a value of the data."""
    slash = "/" if normpath(name) == name else ""
    return narrow_name(name, rf"[^{slash}\w.\- :]", _LONGEST)


@contextmanager
def open_run(
    registry: Registry, model: str, name: str, tags: Mapping[str, str], *, started: int
) -> Iterator[RegistryRun]:
    """Open a run in the model's experiment; it ends with the block, as failed if that raises.

    Args:
        started: when the work began, in milliseconds since 1970.
    """
    run = _start_run(registry, model, name, tags, started)
    with registry.home.lock(_lock_of(run.run_id)):
        try:
            yield run
        except BaseException:
            run.end("FAILED")
            raise
        run.end("FINISHED")
        registry.home.forget_lock(_lock_of(run.run_id))


@contextmanager
def open_child(parent: RegistryRun, name: str) -> Iterator[RegistryRun]:
    """Open a run that MLflow shows below another; the block ends it, unless it raises."""
    tags, now = {_PARENT_TAG: parent.run_id}, time.time_ns() // 1_000_000
    run = _start(parent.registry, parent.model, parent.experiment_id, name, tags, now)
    try:
        yield run
    except BaseException:
        run.end("FAILED")
        raise


def _start_run(
    registry: Registry, model: str, name: str, tags: Mapping[str, str], started: int
) -> RegistryRun:
    """Start a run, after ending those that dead processes left running."""
    client = registry.client
    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        location = registry.artifacts(model).as_uri()
        experiment_id = client.create_experiment(model, artifact_location=location)
    else:
        experiment_id = experiment.experiment_id
    end_dead_runs(registry, experiment_id)
    return _start(registry, model, experiment_id, name, tags, started)


def _start(
    registry: Registry,
    model: str,
    experiment_id: str,
    name: str,
    tags: Mapping[str, str],
    started: int,
) -> RegistryRun:
    run = registry.client.create_run(
        experiment_id,
        start_time=started,
        run_name=name,
        tags={**tags, _PROCESS_TAG: own_identity()},
    )
    return RegistryRun(registry, model, run.info.run_id, experiment_id)


def end_dead_runs(registry: Registry, experiment_id: str) -> None:
    """Mark every run of the experiment as failed whose process has ended.

    Inside a boundary no other process is seen, but whether it still holds its lock is.
    """
    client = registry.client
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        owner = run.data.tags.get(_PROCESS_TAG)
        lock = _lock_of(run.data.tags.get(_PARENT_TAG) or run.info.run_id)
        if owner and (not is_alive(owner) or registry.home.is_left(lock)):
            client.set_terminated(run.info.run_id, "FAILED")
            registry.home.forget_lock(lock)


def _lock_of(run_id: str) -> str:
    return f"mlflow.{run_id}"


def _ensure_model(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _describe(
    files: Path, run_id: str, model_id: str, signature: Signature, example: Mapping[str, object]
) -> None:
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    columns: list[Any] = [
        ColSpec(kind, name, required=False) for name, kind in signature.inputs.items()
    ]
    shape = (-1,) if signature.width is None else (-1, signature.width)
    outputs = Schema([TensorSpec(np.dtype("float32"), shape, signature.output)])
    content = {"columns": list(example), "data": [list(example.values())]}
    (files / "input_example.json").write_text(json.dumps(content), encoding="utf-8")
    Model(
        run_id=run_id,
        model_id=model_id,
        model_uuid=model_id,
        signature=ModelSignature(inputs=Schema(columns), outputs=outputs),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
    ).save(str(files / "MLmodel"))
