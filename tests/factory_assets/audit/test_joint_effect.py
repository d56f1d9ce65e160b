"""The joint effect of training rows, compared with training again without them."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from factory_assets.audit.influence import attribution_context
from factory_assets.audit.joint_effect import joint_effect
from factory_assets.audit.references import ModelName
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import SplitResult
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.cli.test_influence import STAGES, WRONG, attributes, write
from tests.pipelines import declare

pytestmark = pytest.mark.slow

NAME = ModelName("fruit", 1)


def _made(folder: Path, at_least: float = 0.0) -> tuple[Pipeline, Home]:
    folder.mkdir(parents=True)
    write(folder)
    pipeline, home = declare(folder, attributes(at_least)), Home(folder.parent / "home")
    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, home, "run"))
    return pipeline, home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Home]:
    return _made(tmp_path_factory.mktemp("joint") / "fruit")


@pytest.mark.parametrize("many", [1, 4, 12])
def test_it_is_what_training_without_the_rows_changes(
    made: tuple[Pipeline, Home], many: int
) -> None:
    pipeline, home = made
    context = attribution_context(pipeline, NAME, RecordGraph.of(home))
    learner, rows = context.learner, context.training.num_rows
    gone = np.random.default_rng(many).choice(rows, many, replace=False)
    files, numbers = (context.training[name].to_pylist() for name in ("_file", "_row"))
    sources: dict[str, set[int]] = {}
    for place in gone:
        sources.setdefault(files[place], set()).add(numbers[place])
    found = joint_effect(pipeline, NAME, sources, home)
    test = read_arrow(cast(SplitResult, value_in(context.split)).test, home)
    inputs = context.trained.features.arrays(test, scaled=learner.trained.model.scaled)
    rest = np.setdiff1d(np.arange(rows), gone)
    chances = (learner.fit(some, learner.own).outputs(inputs) for some in (None, rest))
    before, after = (np.log(chance[:, 1] / chance[:, 0]) for chance in chances)
    change = np.abs(before - after)
    assert (found.rows, found.unit) == (test.num_rows, "of log-odds")
    # The order of such estimates is measured; damping makes them smaller than the truth.
    assert change.mean() / 2.5 < found.mean < change.mean() * 1.2
    assert change.max() / 2.5 < found.largest < change.max() * 1.2


def test_wrong_labels_matter_more_than_other_rows(made: tuple[Pipeline, Home]) -> None:
    pipeline, home = made
    context = attribution_context(pipeline, NAME, RecordGraph.of(home))
    [digest] = set(context.training["_file"].to_pylist())
    assert joint_effect(pipeline, NAME, {digest: WRONG}, home).times > 2


def test_rows_that_it_did_not_learn_from_have_none(made: tuple[Pipeline, Home]) -> None:
    assert joint_effect(made[0], NAME, {"0" * 64: [1]}, made[1]).largest == 0


def test_unreliable_estimates_are_not_told(tmp_path: Path) -> None:
    pipeline, home = _made(tmp_path / "fruit", at_least=0.999)
    with pytest.raises(ModelError, match="too unreliable"):
        joint_effect(pipeline, NAME, {}, home)
