"""Whether what `evaluate` declares fits the task, which is known once the target was read."""

from __future__ import annotations

from factory_assets.ml.metrics.metrics import PRIMARY_METRIC, gate_metric_names, metric_names
from factory_assets.spec import Pipeline
from factory_assets.spec.train import Task
from factory_resources.errors import DeclarationError


def primary_metric(pipeline: Pipeline, task: Task) -> str:
    """Return the metric by which models of the pipeline are compared."""
    return pipeline.spec.evaluate.metric or PRIMARY_METRIC[task]


def require_judgeable(pipeline: Pipeline, task: Task) -> None:
    """Check that the declared metrics, and `protected`, `clip` and `asymmetry`, fit the task.

    Raises:
        DeclarationError: one does not.
    """
    where, evaluate = f"{pipeline.name}/evaluate", pipeline.spec.evaluate
    if evaluate.protected and task != "binary":
        raise DeclarationError(
            f"evaluate.protected compares decisions between two classes; this target is {task}",
            where=where,
            remedy="leave it out; evaluate.slices judges groups separately for every target",
        )
    for key in ("clip", "asymmetry") if task != "regression" else ():
        if getattr(evaluate, key) is not None:
            raise DeclarationError(
                f"evaluate.{key} is for numbers; this target is {task}",
                where=where,
                remedy="leave it out, or set train.task",
            )
    of_gates = ((gate.metric, gate_metric_names(task)) for gate in evaluate.conditions)
    for name, fitting in ((primary_metric(pipeline, task), metric_names(task)), *of_gates):
        if name not in fitting:
            raise DeclarationError(
                f"metric {name!r} does not fit a {task} target",
                where=where,
                remedy=f"choose one of {', '.join(fitting)}",
            )
