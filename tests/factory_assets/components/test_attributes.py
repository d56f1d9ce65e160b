"""A training that may use a GPU waits for the pool's slot; others do not wait. Owners are shown."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from factory_assets.components.attributes import POOL
from factory_assets.components.model_pipeline import build_pipeline
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.pipelines import APPLES, declare

NETWORK = {"kind": "mlp", "epochs": 1}


def pools(folder: Path, model: dict[str, Any], **trainer: Any) -> set[str]:
    train = {**APPLES["train"], "model": model}
    if trainer:
        train["trainer"] = trainer
    made = build_pipeline(declare(folder / "apples", {**APPLES, "train": train}))
    assets = [asset for asset in made.assets or () if isinstance(asset, dg.AssetsDefinition)]
    return {asset.op.pool for asset in assets if asset.op.pool}


@pytest.mark.parametrize("accelerator", ["cuda", "mps"])
def test_a_training_on_a_gpu_needs_the_slot(accelerator: str, tmp_path: Path) -> None:
    assert pools(tmp_path, NETWORK, accelerator=accelerator) == {POOL}


def test_a_training_without_a_gpu_needs_no_slot(tmp_path: Path) -> None:
    assert pools(tmp_path, NETWORK, accelerator="cpu") == set()
    assert pools(tmp_path, {"kind": "linear"}) == set()


def test_an_owner_whose_address_dagster_does_not_take_is_in_the_description(tmp_path: Path) -> None:
    owners = ["ann@plant.technology", "jane@example.org", "o'neil@example.org", "team:plant"]
    made = build_pipeline(declare(tmp_path / "apples", {**APPLES, "owners": owners, "watch": {}}))
    assets = [asset for asset in made.assets or () if isinstance(asset, dg.AssetsDefinition)]
    specs = [spec for asset in assets for spec in asset.specs]
    assert len(specs) == 7
    for spec in specs:
        assert [*spec.owners] == ["jane@example.org", "team:plant"]
        named = "\n\nOwners: ann@plant.technology, o'neil@example.org"
        assert (spec.description or "").endswith(named)
    with pytest.raises(DeclarationError, match="neither an e-mail address"):
        declare(tmp_path / "apples", {**APPLES, "owners": ["jane@example.org\n"]})


def test_what_looks_like_a_tag_in_a_purpose_is_shown(tmp_path: Path) -> None:
    purpose = "Price <b>fairly</b>, below <limit>"
    made = build_pipeline(declare(tmp_path / "apples", {**APPLES, "purpose": purpose}))
    [job] = made.jobs or ()
    assets = [asset for asset in made.assets or () if isinstance(asset, dg.AssetsDefinition)]
    shown = [spec.description or "" for asset in assets for spec in asset.specs]
    for text in (job.description or "", *shown):
        paragraph = MarkdownIt("commonmark").parse(text)[-2].children or []
        assert "".join(part.content for part in paragraph) == purpose
        assert {part.type for part in paragraph} == {"text"}


def test_the_pool_has_one_slot_and_a_dead_run_frees_it(home: Home) -> None:
    prepare(home)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        storage = instance.event_log_storage
        storage.initialize_concurrency_limit_to_default(POOL)
        first, second = (storage.claim_concurrency_slot(POOL, run, "train") for run in "ab")
        assert (first.is_claimed, second.is_claimed) == (True, False)
        storage.free_concurrency_slots_for_run("a")
        assert storage.claim_concurrency_slot(POOL, "b", "train").is_claimed
