"""Roll-outs of the second version of a home beside the first, for tests of servers."""

from typing import Any, Literal

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.deployed_version import deployed_version
from factory_assets.execution.rollout import Rollout, begin_serving, ongoing_rollout
from factory_assets.execution.serving_acts import roll_back
from factory_assets.spec import Pipeline
from factory_assets.spec.rollout import Canary, Shadow
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, Kind
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted
from tests.approvals import Factory


def begin_rollout(
    made: Factory,
    mode: Literal["canary", "shadow"] = "canary",
    *,
    share: str = "50%",
    seconds: int = 3600,
    answers: int = 100,
) -> Rollout:
    """Let version 1 serve, and version 2 roll out beside it, in a home that has both."""
    pipeline = load_pipeline(made.defs / "apples")
    if champion(made.home) != 1:
        roll_back(pipeline, 1, "a test", None, made.home)
    declared = declaring(pipeline, mode, share, answers)

    def decide(log: Log) -> list[Kind]:
        version = deployed_version(log, "apples", 2, made.home)
        [begun] = begin_serving(log, declared, version.value, version.record)
        assert isinstance(begun, RolloutStarted)
        return [begun.model_copy(update={"seconds": seconds})]

    Ledger(made.home).append_decided(decide)
    found = goes_on(made.home)
    assert found is not None
    return found


def declaring(
    pipeline: Pipeline, mode: Literal["canary", "shadow"], share: str, answers: int
) -> Pipeline:
    """Return the pipeline with a roll-out declared."""
    kinds: dict[str, Any] = {
        "canary": {"canary": Canary(share=share, answers=answers, **{"for": "1h"})},
        "shadow": {"shadow": Shadow(answers=answers, **{"for": "1h"})},
    }
    deploy = pipeline.spec.deploy.model_copy(update=kinds[mode])
    spec = pipeline.spec.model_copy(update={"deploy": deploy})
    return Pipeline(pipeline.name, spec, pipeline.folder)


def goes_on(home: Home) -> Rollout | None:
    """Return the roll-out that goes on."""
    with Ledger(home).reading() as log:
        return ongoing_rollout(log, "apples")


def champion(home: Home) -> int:
    """Return the version that serves by the ledger."""
    made = Ledger(home).latest(ChampionMade, ChampionMade.subject_of(pipeline="apples"))
    assert made is not None
    return made[1].version


def endings(home: Home, rollout: Rollout) -> list[RolloutEnded]:
    """Return the entries that end a roll-out: at most one."""
    with Ledger(home).reading() as log:
        subject = RolloutEnded.subject_of(pipeline="apples")
        found = [RolloutEnded.model_validate_json(log.body(n)) for n in log.numbers(subject)]
    return [one for one in found if one.started == rollout.number]
