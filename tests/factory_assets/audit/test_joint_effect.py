"""The joint effect of training rows, compared with training again without them."""

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
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.cli.test_influence import STAGES, WRONG, attributes, write
from tests.pipelines import declare

pytestmark = pytest.mark.slow

NAME = ModelName("fruit", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Home]:
    """A pipeline that has run up to evaluate, and its home."""
    folder = tmp_path_factory.mktemp("joint") / "fruit"
    folder.mkdir()
    write(folder)
    declared = {**attributes(), "train": {"target": "label", "model": {"kind": "linear"}}}
    pipeline, home = declare(folder, declared), Home(folder.parent / "home")
    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, home, "run"))
    return pipeline, home


@pytest.mark.parametrize("many", [1, 12])
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
