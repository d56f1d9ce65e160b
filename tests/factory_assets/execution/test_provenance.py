"""How a version was trained is kept with it, whole, and nobody changes it unseen."""

import json
from pathlib import Path

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution import code_version
from factory_assets.execution.provenance import FOLDER, environment, read_provenance
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.errors import ModelError
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.tracking.registry import Registry
from tests.pipelines import APPLES, declare, write_apples

DECLARED = sorted(
    path.parent
    for folder in ("examples", "factory_assets/defs")
    for path in (PROJECT / folder).glob("*/defs.yaml")
)

STAGES: tuple[Stage, ...] = ("ingest", "clean", "split", "train")


@pytest.mark.parametrize("folder", DECLARED, ids=[path.name for path in DECLARED])
def test_a_declaration_comes_back_as_it_was(folder: Path) -> None:
    spec = load_pipeline(folder).spec
    assert PipelineSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


def test_every_file_that_trains_is_named() -> None:
    files = code_version.stage_files("train")
    assert {
        "factory_assets/stages/train.py",
        "factory_assets/ml/models/networks/modules/mlp.py",
    } <= set(files)
    assert not any("stages/evaluate" in name for name in files)
    assert all(len(digest) == 64 for digest in files.values())


class Made:
    """A version, and the outcomes of its stages."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        (folder / "apples").mkdir()
        write_apples(folder / "apples")
        prepare(self.home)
        self.pipeline: Pipeline = declare(folder / "apples", APPLES)
        self.outcomes: dict[Stage, StageRun] = {
            stage: run_stage(StageRequest(self.pipeline, stage, self.home, "r")) for stage in STAGES
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("origin"))


@pytest.mark.slow
def test_all_that_made_a_version_is_kept(made: Made) -> None:
    origin = read_provenance(Registry(made.home).version("apples", 1), made.home)
    assert origin.declaration == made.pipeline.spec
    parts = made.outcomes["split"].value
    assert isinstance(parts, SplitResult)
    assert (origin.rows.train, origin.rows.validation) == (parts.train, parts.validation)
    assert origin.environment == environment(made.pipeline)
    assert origin.environment.libraries["scikit-learn"]
    assert origin.environment.threads >= 1


@pytest.mark.slow
def test_who_changes_it_is_noticed(made: Made) -> None:
    candidate = made.outcomes["train"].value
    assert isinstance(candidate, Candidate)
    registry = Registry(made.home)
    version = registry.version("apples", 1)
    path = registry.run_files("apples", candidate.run_id) / FOLDER / "declaration.json"
    before = path.read_text()
    declared = json.loads(before)
    declared["train"]["seed"] = 99
    path.write_text(json.dumps(declared))
    with pytest.raises(ModelError, match=r"apples@1: file declaration\.json is not the one"):
        read_provenance(version, made.home)
    path.write_text(before)
    unknown = type(version)("apples", 9, version.run_id, version.files, {})
    with pytest.raises(ModelError, match="it is not recorded how this version was trained"):
        read_provenance(unknown, made.home)
