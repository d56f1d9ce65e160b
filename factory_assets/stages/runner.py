"""One stage of a pipeline, computed or reused: the same however a run was started. No Dagster.

A stage is computed again exactly when its key changed: the digest of its code, the parts of the
declaration that it reads, what came in, and the libraries it computes with.
"""

import gc
import json
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from factory_assets.spec import OwnModule, Pipeline, PythonSource
from factory_assets.stages import code
from factory_assets.stages.values import (
    Candidate,
    Champion,
    Cleaned,
    Ingested,
    Parts,
    Value,
    Verdict,
)
from factory_resources.errors import DataError
from factory_resources.home import Home
from factory_resources.records import Record, Records
from factory_resources.snapshot import Snapshot, exists

if TYPE_CHECKING:
    from factory_resources.registry import Registry

Stage = Literal["ingest", "clean", "split", "train", "evaluate", "deploy"]
STAGES: tuple[Stage, ...] = get_args(Stage)
VALUES: Mapping[Stage, type[Value]] = {
    "ingest": Ingested,
    "clean": Cleaned,
    "split": Parts,
    "train": Candidate,
    "evaluate": Verdict,
    "deploy": Champion,
}
UPSTREAM: Mapping[Stage, tuple[Stage, ...]] = {
    "ingest": (),
    "clean": ("ingest",),
    "split": ("clean",),
    "train": ("split",),
    "evaluate": ("split", "train"),
    "deploy": ("split", "train", "evaluate"),
}
Inputs = Mapping[Stage, Value]
V = TypeVar("V", bound=Value)


@dataclass(frozen=True)
class Call:
    """One request to have a stage's value."""

    pipeline: Pipeline
    stage: Stage
    home: Home
    run_id: str
    reuse: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Outcome:
    """A stage's value and where it came from."""

    value: Value
    record: Record
    reused: bool


def run_stage(call: Call) -> Outcome:
    """Compute the stage from its inputs' latest values, or find that nothing changed.

    Raises:
        FactoryError: whatever the stage says of the user's data or declaration.
    """
    # A second run of the same pipeline waits, and then finds what the first has computed.
    with call.home.lock(f"{call.pipeline.name}.{call.stage}"):
        return _run_alone(call)


def _run_alone(call: Call) -> Outcome:
    if call.stage != "ingest":
        return _settle(call, lambda inputs: _compute(call, inputs))
    from factory_assets.stages.fetch import find, sources_key
    from factory_assets.stages.ingest import ingest_found

    with call.home.scratch() as scratch:
        found = find(call.pipeline, call.home, scratch)
        return _settle(
            call,
            lambda _: ingest_found(call.pipeline, found, call.home, scratch),
            sources_key(found),
        )


def _settle(call: Call, compute: Callable[[Inputs], Value], source: str | None = None) -> Outcome:
    records = Records(call.home)
    inputs = {stage: _latest(records, call, stage) for stage in UPSTREAM[call.stage]}
    key = stage_key(call, inputs, source)
    if call.reuse and (record := _reusable(call, key)):
        records.point(record, call.run_id)
        return Outcome(VALUES[call.stage].model_validate(record.value), record, reused=True)
    gc.enable()
    started = time.perf_counter()
    value = compute(inputs)
    record = Record(
        pipeline=call.pipeline.name,
        stage=call.stage,
        key=key,
        value=value.model_dump(mode="json"),
        data_version=value.data_version,
        run_id=call.run_id,
        seconds=time.perf_counter() - started,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    records.save(record)
    records.point(record, call.run_id)
    return Outcome(value, record, reused=False)


def stage_key(call: Call, inputs: Inputs, source: str | None) -> str:
    """Digest of everything that could change the result.

    Args:
        call: what is asked for.
        inputs: the upstream values by stage.
        source: of ingest, the digest of what its sources hold.
    """
    parts: dict[str, Any] = {
        "code": code.stage_code(call.stage),
        "spec": _spec_part(call),
        "inputs": {stage: value.data_version for stage, value in inputs.items()},
        "source": source,
    }
    if call.stage == "evaluate":
        parts["champion"] = _rival(call, _as(Candidate, inputs["train"]))
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_version(pipeline: Pipeline, stage: Stage) -> str:
    """The part of the key that is known without data, short.

    Dagster's code version of the asset.
    """
    call = Call(pipeline, stage, Home.from_env(), run_id="")
    parts = {"code": code.stage_code(stage), "spec": _spec_part(call)}
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _spec_part(call: Call) -> dict[str, Any]:
    spec, folder = call.pipeline.spec, call.pipeline.folder
    match call.stage:
        case "ingest":
            part = spec.ingest.model_dump(mode="json")
            for column in part["contract"]:
                # Words about the data and who may see it; the data stays the same.
                for words in ("description", "unit", "sensitive"):
                    column.pop(words)
            if isinstance(spec.ingest.source, PythonSource):
                part["user_code"] = code.user_code(spec.ingest.source.python, folder)
        case "clean":
            part = spec.clean.model_dump(mode="json")
        case "split":
            part = {"split": spec.split.model_dump(mode="json"), "target": spec.train.target}
        case "train":
            part = spec.train.model_dump(mode="json")
            if isinstance(spec.train.model, OwnModule):
                part["user_code"] = code.user_code(spec.train.model.python, folder)
        case "evaluate":
            part = spec.evaluate.model_dump(mode="json")
        case "deploy":
            part = spec.deploy.model_dump(mode="json")
    return {"pipeline": call.pipeline.name, **part}


def _latest(records: Records, call: Call, stage: Stage) -> Value:
    """The value of this very run, where it has one: another run may have made a newer one."""
    pipeline = call.pipeline.name
    key = records.used(pipeline, call.run_id).get(stage)
    record = records.find(pipeline, stage, key) if key else records.latest(pipeline, stage)
    if record is None:
        raise DataError(
            f"there is no result of {stage} yet",
            where=pipeline,
            remedy=f"run it first: factory run {pipeline} --stages {stage}",
        )
    return VALUES[stage].model_validate(record.value)


def _reusable(call: Call, key: str) -> Record | None:
    """The record of the key, if what it speaks of is still there."""
    record = Records(call.home).find(call.pipeline.name, call.stage, key)
    if record is None:
        return None
    value = VALUES[call.stage].model_validate(record.value)
    tables = [v for v in dict(value).values() if isinstance(v, Snapshot)]
    whole = all(exists(snapshot, call.home) for snapshot in tables)
    if isinstance(value, Champion):
        whole = _registry(call).champion(value.model) == value.version
    elif isinstance(value, Candidate):
        whole = _registry(call).has_version(value.model, value.version)
    elif isinstance(value, Verdict):
        whole = whole and all((call.home.pictures / p).is_file() for p in value.pictures.values())
    return record if whole else None


def _rival(call: Call, candidate: Candidate) -> int | None:
    """The champion to compare the candidate with: its predecessor, once it is champion itself."""
    champion = _registry(call).champion(candidate.model)
    if champion != candidate.version:
        return champion
    deployed = Records(call.home).latest(call.pipeline.name, "deploy")
    value = Champion.model_validate(deployed.value) if deployed else None
    return value.replaced if value and value.version == champion else None


def _registry(call: Call) -> "Registry":
    from factory_resources.registry import Registry

    return Registry(call.home)


def _as(kind: type[V], value: Value) -> V:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _compute(call: Call, inputs: Inputs) -> Value:
    pipeline, home = call.pipeline, call.home
    match call.stage:
        case "clean":
            from factory_assets.stages.clean import clean

            return clean(pipeline, _as(Ingested, inputs["ingest"]), home)
        case "split":
            from factory_assets.stages.split import split

            return split(pipeline, _as(Cleaned, inputs["clean"]), home)
        case "train":
            from factory_assets.stages.train import train

            parts = _as(Parts, inputs["split"])
            return train(pipeline, parts, home, tags=_lineage(call, inputs), progress=call.progress)
        case "evaluate":
            from factory_assets.stages.evaluate import evaluate

            candidate = _as(Candidate, inputs["train"])
            rival = _rival(call, candidate)
            return evaluate(pipeline, _as(Parts, inputs["split"]), candidate, home, champion=rival)
        case "deploy":
            from factory_assets.stages.deploy import deploy

            verdict = _as(Verdict, inputs["evaluate"])
            candidate = _as(Candidate, inputs["train"])
            return deploy(pipeline, _as(Parts, inputs["split"]), candidate, verdict, home)
        case _:
            raise TypeError(f"{call.stage} is not computed from inputs alone")


def _lineage(call: Call, inputs: Inputs) -> dict[str, str]:
    """The tags that lead from a model version back to its run, its data and its code."""
    records = Records(call.home)
    before: tuple[Stage, ...] = ("ingest", "clean")
    versions = {stage: _latest(records, call, stage).data_version for stage in before}
    versions |= {stage: value.data_version for stage, value in inputs.items()}
    return {
        **call.tags,
        "factory.pipeline": call.pipeline.name,
        "factory.run_id": call.run_id,
        "factory.code_version": code_version(call.pipeline, "train"),
        "factory.spec_sha256": sha256(call.pipeline.spec.model_dump_json().encode()).hexdigest(),
        **{f"factory.data_version.{stage}": version for stage, version in versions.items()},
    }
