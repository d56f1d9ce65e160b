"""The checks of each stage: which there are, and those of its data, from its stored result."""

from collections.abc import Iterator
from datetime import UTC, datetime

from factory_assets.data.contract.table_checks import checks_of_result, declared_checks
from factory_assets.data.leakage.policy import leak_check
from factory_assets.data.split_checks import declared_split_checks, split_checks
from factory_assets.execution.requests import StageRequest
from factory_assets.results.base import StageResult
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import IngestResult, SplitResult
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.evaluate import CHAMPION_GATE

DeclaredChecks = dict[str, tuple[str, bool]]
"""Each check by name: its description, and whether it blocks later stages of the same run."""

_BLOCKING: dict[Stage, dict[str, str]] = {
    "ingest": {"contract": "The share of rows that break the contract is within its limit."},
    "clean": {"conservation": "Every row is clean, in quarantine, or counted as a duplicate."},
    "split": {"no_overlap": "The parts add up to the clean rows, and none is empty."},
    "deploy": {"parity": "The exported model predicts the same as the trained one."},
}
"""The checks that every pipeline has."""


def declared_stage_checks(pipeline: Pipeline, stage: Stage) -> DeclaredChecks:
    """Return the checks of a stage; those of `evaluate` are its gates."""
    checks = {name: (what, True) for name, what in _BLOCKING.get(stage, {}).items()}
    match stage:
        case "ingest":
            checks |= declared_checks(pipeline.spec.ingest)
        case "split":
            checks |= declared_split_checks(pipeline)
        case "train":
            checks |= _training_checks(pipeline)
        case "evaluate":
            checks |= {f"gate_{name}": (what, True) for name, what in gates_of(pipeline).items()}
        case "deploy":
            checks |= _deployment_checks(pipeline)
    return checks


def gates_of(pipeline: Pipeline) -> dict[str, str]:
    """Return the gates by name, each with its description."""
    evaluate = pipeline.spec.evaluate
    gates = {
        gate.name: f"{gate.measured} on the {'folds' if gate.of == 'folds' else 'test rows'}"
        for gate in evaluate.conditions
    }
    if evaluate.guards_champion:
        what = "the primary metric on the test rows, compared with the champion's; by default"
        gates[CHAMPION_GATE] = what
    return gates


def _training_checks(pipeline: Pipeline) -> DeclaredChecks:
    checks: DeclaredChecks = {}
    if pipeline.spec.training.budget:
        checks["budget"] = ("Training finished before its budget was spent.", False)
    if pipeline.spec.training.uncertainty:
        checks["uncertainty"] = ("Enough rows were held out for the declared coverage.", False)
    if (action := pipeline.spec.training.leaks.action) != "off":
        what = "No input reveals the target, and test rows are unrelated to training rows."
        checks["leaks"] = (what, action == "block")
    return checks


def _deployment_checks(pipeline: Pipeline) -> DeclaredChecks:
    checks: DeclaredChecks = {}
    if pipeline.spec.deploy.approval:
        checks["approval"] = ("A person has approved the version that was exported.", False)
    if pipeline.spec.deploy.rollout:
        what = "The version that was exported is not worse than the champion."
        checks["rollout"] = (what, False)
    return checks


def stage_checks(call: StageRequest, value: StageResult) -> Iterator[TableCheck]:
    """Yield the result of each check; those of `train` judge the leaks that `split` measured."""
    match value:
        case IngestResult():
            contract, now = call.pipeline.spec.ingest.contract, datetime.now(UTC)
            yield from checks_of_result(contract, value, now)
        case SplitResult():
            yield from split_checks(call.pipeline, value)
        case Candidate():
            check = leak_check(call.pipeline, split_result(call).leaks)
            yield from [check] if check else []


def split_result(call: StageRequest) -> SplitResult:
    """Return the result of `split` that the request reads."""
    value = latest_result(ResultQuery(call.pipeline, "split", call.home, call.run_id))
    assert isinstance(value, SplitResult)
    return value
