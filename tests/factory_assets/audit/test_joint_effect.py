"""The joint effect of training rows, compared with training again without them."""

import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from factory_assets.audit.influence import attribution_context
from factory_assets.audit.joint_effect import joint_effect
from factory_assets.audit.references import ModelName
from factory_assets.cli.main import main
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import SplitResult
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.cli.test_influence import STAGES, WRONG, attributes, write
from tests.pipelines import declare, enter

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


def places_of(rows: pa.Array, made: tuple[Pipeline, Home]) -> dict[str, list[int]]:
    """Return where rows of the only source are in the files that the version learned from."""
    context = attribution_context(made[0], NAME, RecordGraph.of(made[1]))
    split = cast(SplitResult, value_in(context.split))
    return {
        part.files[0].sha256: pc.indices_nonzero(
            pc.is_in(read_arrow(part, made[1])["_row"], rows)
        ).to_pylist()
        for part in (split.train, split.validation)
    }


@pytest.mark.parametrize("many", [1, 12])
def test_it_is_what_training_without_the_rows_changes(
    made: tuple[Pipeline, Home], many: int
) -> None:
    pipeline, home = made
    context = attribution_context(pipeline, NAME, RecordGraph.of(home))
    learner, rows = context.learner, context.training.num_rows
    gone = np.random.default_rng(many).choice(rows, many, replace=False)
    found = joint_effect(pipeline, NAME, places_of(context.training["_row"].take(gone), made), home)
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
    assert joint_effect(made[0], NAME, places_of(pa.array(WRONG), made), made[1]).times > 2


def test_rows_that_it_did_not_learn_from_have_none(made: tuple[Pipeline, Home]) -> None:
    assert joint_effect(made[0], NAME, {"0" * 64: [0]}, made[1]).largest == 0


def test_a_validation_row_that_it_learned_from_in_the_end_has_one(
    made: tuple[Pipeline, Home],
) -> None:
    split = value_in(attribution_context(made[0], NAME, RecordGraph.of(made[1])).split)
    [file] = cast(SplitResult, split).validation.files
    assert joint_effect(made[0], NAME, {file.sha256: [0]}, made[1]).largest > 0


def test_rows_in_a_member_of_a_zip_have_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    folder = tmp_path / "defs" / "fruit"
    folder.mkdir(parents=True)
    write(folder)
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("notes.csv", "note\n1\n")
        archive.write(folder / "data.csv", "data.csv")
    declared = attributes()
    declared["ingest"]["source"] = {"files": "export.zip", "member": "data.csv"}
    pipeline = declare(folder, declared)
    for stage in (*STAGES, "deploy"):
        run_stage(StageRequest(pipeline, stage, Home(tmp_path / "home"), "run"))
    done = CliRunner().invoke(main, ["forget", "--where", "size > 2", "--preview"])
    [line] = [one for one in done.output.splitlines() if "fruit@1 would differ" in one]
    assert " by about 0 " not in line, done.output
