"""Decide whether a stage must be computed: its cache key, and the record that has it, if any.

Nothing is imported here that only a computation needs: most runs find everything unchanged. How a
stage is computed belongs in `computation`; what is stored afterwards, in `runner`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from factory_assets.data.sources.partition_patterns import bind
from factory_assets.execution.cache_key import cache_key_components
from factory_assets.execution.loaded_components import expected_components
from factory_assets.execution.new_answers import new_answers
from factory_assets.execution.requests import Inputs, StagePlan, StageRequest
from factory_assets.execution.standing import standing
from factory_assets.results.base import KeyComponents, digest, expect, result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import PARTITIONED, ResultQuery, require_records, value_of
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import tables_of
from factory_assets.results.stages import UPSTREAM, Stage
from factory_resources.erasure.manifest import is_gone
from factory_resources.ledger.ledger import Ledger
from factory_resources.tables.snapshot import exists
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.version_numbers import is_lost

if TYPE_CHECKING:
    from factory_assets.data.labelled_answers import ChosenAnswers


@contextmanager
def plan_stage(call: StageRequest) -> Iterator[StagePlan]:
    """Decide whether the request must compute. Fetched sources exist until the block ends.

    Raises:
        FactoryError: an input has no result yet, or a source cannot be read.
    """
    upstream = {stage: latest_records(call, stage) for stage in UPSTREAM[call.stage]}
    inputs = {stage: value_of(records) for stage, records in upstream.items()}
    keys: dict[str, tuple[str, ...]] = {
        stage: tuple(record.key for record in records) for stage, records in upstream.items()
    }
    if call.stage == "train":
        from factory_assets.data.leakage.policy import require_no_leaks

        require_no_leaks(call.pipeline, expect(SplitResult, inputs["split"]).leaks)
    if call.stage != "ingest":
        champion = champion_to_beat(call, inputs) if call.stage == "evaluate" else None
        answers = answers_to_judge(call, inputs)
        parts = cache_key_components(
            call.pipeline,
            call.stage,
            inputs,
            partition=call.partition,
            champion=champion,
            answers=answers.digest if answers else None,
        )
        parts = expected_components(call, parts)
        yield StagePlan(parts, _reusable(call, parts), inputs, keys)
        return
    from factory_assets.data.sources.discovery import discover_sources, sources_key

    with call.home.perhaps_scratch(call.engines.folder) as scratch:
        sources = discover_sources(
            bind(call.pipeline, call.partition), call.home, scratch, call.hashing
        )
        if call.partition:
            labels = call.partition.keys
            sources = tuple(replace(one, labels={**one.labels, **labels}) for one in sources)
        parts = cache_key_components(
            call.pipeline,
            "ingest",
            inputs,
            partition=call.partition,
            source=sources_key(sources),
        )
        parts = expected_components(call, parts)
        yield StagePlan(parts, _reusable(call, parts), inputs, keys, sources, scratch)


def latest_records(call: StageRequest, stage: Stage) -> list[Record]:
    partition = call.partition if stage in PARTITIONED else None
    return require_records(ResultQuery(call.pipeline, stage, call.home, call.run_id, partition))


def _reusable(call: StageRequest, parts: KeyComponents) -> Record | None:
    """Return the record with this key, if every file and version that it names still exists."""
    record = Records(call.home).find(call.pipeline.name, call.stage, digest(parts))
    if record is None:
        return None
    value = value_of([record])
    complete = all(exists(snapshot, call.home) for snapshot in tables_of(value).values())
    if isinstance(value, Champion):
        complete = _is_deployed(call, record, value)
    elif isinstance(value, Candidate):
        complete = Registry(call.home).has_version(value.model, value.version, value.run_id)
    elif isinstance(value, EvaluationResult):
        pictures = (call.home.pictures / path for path in value.pictures.values())
        complete = complete and all(path.is_file() for path in pictures)
    return record if complete else None


def _is_deployed(call: StageRequest, record: Record, value: Champion) -> bool:
    """Whether it is exported, and serves, or does not for a reason that an export cannot change."""
    from factory_assets.ml.artifacts.onnx_model import FILE, FOLDER

    registry = Registry(call.home)
    graph = registry.run_files(value.model, value.run_id) / FOLDER / FILE
    if not graph.is_file():
        return False
    if registry.champion(value.model) == value.version:
        return True
    if not Ledger(call.home).exists or standing(call.pipeline, record, call.home).status == "free":
        return False
    return registry.has_version(value.model, value.version)


def answers_to_judge(call: StageRequest, inputs: Inputs) -> "ChosenAnswers | None":
    """Return the answers on which candidate and champion are compared; None without any."""
    if call.stage != "evaluate":
        return None
    candidate, champion = expect(Candidate, inputs["train"]), champion_to_beat(call, inputs)
    training = latest_records(call, "train")
    return new_answers(call.pipeline, candidate, champion, training, call.home)


def champion_to_beat(call: StageRequest, inputs: Inputs) -> int | None:
    """Return the champion's version; its predecessor's if the candidate is the champion already.

    None without one, or if an erasure took its files, or if it was lost with MLflow's database.
    """
    candidate = expect(Candidate, inputs["train"])
    champion = _champion_before(call, candidate)
    if champion is None or is_gone(call.home, candidate.model, champion):
        return None
    return None if is_lost(Registry(call.home), candidate.model, champion) else champion


def _champion_before(call: StageRequest, candidate: Candidate) -> int | None:
    champion = Registry(call.home).champion(candidate.model)
    if champion != candidate.version:
        return champion
    deployed = Records(call.home).latest(call.pipeline.name, "deploy")
    value = result_as(Champion, deployed) if deployed else None
    return value.replaced if value and value.version == champion else None
