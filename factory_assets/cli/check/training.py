"""Check what is learned and how it is judged, as far as the contract tells without data.

Training checks it again on the rows.
"""

from collections.abc import Iterator
from dataclasses import replace

from pydantic import ValidationError

from factory_assets.declarations.messages import Mistake, mistakes
from factory_assets.declarations.yaml_document import At
from factory_assets.ml.features.columns import input_columns
from factory_assets.ml.metrics.metrics import gate_metric_names, metric_names
from factory_assets.spec import Column, Gate, ModelSpec, Pipeline
from factory_assets.spec.base import suggest
from factory_assets.spec.contract import TIMES
from factory_assets.spec.models import Auto, Boosting
from factory_assets.spec.train import Task, Train


def metric_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield metrics that the task does not have, if it is declared or the target's type tells."""
    train, evaluate = pipeline.spec.train, pipeline.spec.evaluate
    if train is None or not (tasks := _tasks(train, _target(pipeline))):
        return
    named = " or ".join(tasks)
    if evaluate.protected and "binary" not in tasks:
        yield Mistake(
            ("evaluate", "protected"),
            f"protected groups need a task with two classes; the task is {named}",
        )
    for name in ("clip", "asymmetry") if "regression" not in tasks else ():
        if getattr(evaluate, name) is not None:
            yield Mistake(("evaluate", name), f"{name} is for numbers; the task is {named}", True)
    valid = dict.fromkeys(name for task in tasks for name in metric_names(task))
    of_gates = {name for task in tasks for name in gate_metric_names(task)}
    metrics: list[tuple[At, str | None]] = [(("evaluate", "metric"), evaluate.metric)]
    metrics += [
        (("evaluate", "gates", i, "metric"), gate.metric)
        for i, gate in enumerate(evaluate.gates)
        if isinstance(gate, Gate) and gate.metric not in of_gates
    ]
    metrics.append((("train", "tune", "metric"), train.tune.metric if train.tune else None))
    for at, metric in metrics:
        if metric is not None and metric not in valid:
            yield Mistake(at, f"{metric!r} is not a metric of {named}; {suggest(metric, valid)}")


def training_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield keys that do not fit the target, groups of numbers, and a lack of inputs."""
    train, columns = pipeline.spec.train, pipeline.spec.ingest.contract.columns
    if train is None:
        return
    yield from _task_mistakes(train, _target(pipeline))
    classes = _classes(_target(pipeline))
    positive = train.positive
    named = str(positive).lower() if isinstance(positive, bool) else str(positive)
    if positive is not None and classes and named not in classes:
        what = f"{named!r} is not a class of target {train.target!r}"
        yield Mistake(("train", "positive"), f"{what}; {suggest(named, classes)}")
    by = train.uncertainty.by if train.uncertainty else None
    kinds = {one.name: one.type for one in columns if one.name not in train.categorical}
    kind = kinds.get(by or "") if by != train.target else None
    if by and kind in ("int64", "float64", "bool"):
        read, may_be = (
            ("read as 0 and 1", "") if kind == "bool" else ("a number", " if its values are names")
        )
        what = f"{by!r} is {read}, and groups need names; list it in train.categorical{may_be}"
        yield Mistake(("train", "uncertainty", "by"), what)
    for name in train.trend:
        if kinds.get(name) not in (None, *TIMES):
            what = f"{name!r} is {kinds[name]}, not a date or timestamp; take it out"
            yield Mistake(("train", "trend"), what)
    added = (*pipeline.spec.ingest.labels, *pipeline.spec.partitions, *pipeline.spec.clean.columns)
    if columns and not input_columns(pipeline, [*(one.name for one in columns), *added]):
        yield Mistake(("train", "exclude"), "no input is left to learn from; name fewer columns")


def _task_mistakes(train: Train, target: Column | None) -> Iterator[Mistake]:
    """Yield a target that cannot be predicted, and what the task that its type tells has not."""
    if target and target.type in TIMES:
        what = f"{target.name!r} is a {target.type}, not a number or a class"
        remedy = "predict a number that clean.derive makes of it"
        yield Mistake(("train", "target"), f"{what}; {remedy}")
        return
    tasks = _tasks(train, target)
    if tasks == ("regression",) and not train.task:
        declared = train.model_dump(by_alias=True) | {"task": "regression"}
        try:
            Train.model_validate(declared)
        except ValidationError as error:
            for one in mistakes(error, declared, Train):
                yield replace(one, at=("train", *one.at))
    for at, loss in _losses(train.model) if tasks and "regression" not in tasks else ():
        if loss == "absolute_error":
            what = f"loss {loss} is for numbers; the task is {' or '.join(tasks)}; leave it out"
            yield Mistake(("train", "model", *at), what)


def _losses(model: ModelSpec) -> Iterator[tuple[At, str | None]]:
    """Yield what the model, and each member of it, lowers, with the place in `model`."""
    members = (model.members or ()) if isinstance(model, Auto) else ()
    named: list[tuple[At, ModelSpec]] = [((), model)]
    named += [(("members", i), member) for i, member in enumerate(members)]
    for at, one in named:
        if isinstance(one, Auto | Boosting):
            yield (*at, "loss"), one.loss


def _target(pipeline: Pipeline) -> Column | None:
    """Return what the contract says of the target, unless cleaning changes or derives it."""
    train, clean = pipeline.spec.train, pipeline.spec.clean
    if train is None or train.target in (*clean.unify, *clean.columns):
        return None
    columns = pipeline.spec.ingest.contract.columns
    return next((column for column in columns if column.name == train.target), None)


def _tasks(train: Train, target: Column | None) -> tuple[Task, ...]:
    """Return the tasks that are possible; none if only the data tells."""
    if train.task:
        return (train.task,)
    match target.type if target else None:
        case "bool":
            return ("binary",)
        case "string":
            return ("binary", "multiclass")
        case "float64":
            return ("regression",)
    return ()


def _classes(target: Column | None) -> tuple[str, ...]:
    """Return the classes of the target; none if only the data tells."""
    if target is None:
        return ()
    if target.type == "bool":
        return ("false", "true")
    return tuple(str(value) for value in target.values or ()) if target.type == "string" else ()
