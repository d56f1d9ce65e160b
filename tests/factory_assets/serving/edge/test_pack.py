"""A champion is packed whole or not at all, and what cannot be packed is named."""

import base64
import json
import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_champion
from factory_assets.serving.edge import score as program
from factory_assets.serving.edge.contract import edge_contract
from factory_assets.serving.edge.pack import write_pack
from factory_assets.spec import Clean, Ingest
from factory_resources.errors import ModelError, RefusedError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import EdgePacked, ModelExported
from factory_resources.ledger.ledger import Ledger
from tests.factory_assets.serving.edge.cases import PUMP, Factory
from tests.ledger import problems

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def champion(factory: Factory) -> OnnxModel:
    return load_champion("pump", factory.home)[1]


def test_a_pack_has_four_files_and_an_entry(factory: Factory, tmp_path: Path) -> None:
    pack = write_pack("pump", tmp_path / "a" / "pack", factory.home)
    files = {path.name: path for path in pack.folder.iterdir()}
    assert files.keys() == {"model.onnx", "contract.json", "score.py", "key"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files.values())
    assert pack.bytes == sum(path.stat().st_size for path in files.values())
    content = files["contract.json"].read_bytes()
    assert pack.identity == sha256(content).hexdigest()
    found = Ledger(factory.home).latest(EdgePacked, f"edge/{pack.identity}")
    exported = Ledger(factory.home).latest(ModelExported, "export/pump@1")
    assert found is not None
    assert exported is not None
    entry, contract = found[1], json.loads(content)
    graph = sha256(files["model.onnx"].read_bytes()).hexdigest()
    assert entry.graph == exported[1].graph == contract["graph"] == graph
    assert entry.program == sha256(files["score.py"].read_bytes()).hexdigest()
    public = program.public_key(files["key"].read_bytes())
    assert base64.b64decode(entry.key) == base64.b64decode(contract["key"]) == public
    assert problems(factory.home) == []


def test_every_pack_has_a_key_of_its_own(factory: Factory, tmp_path: Path) -> None:
    one, other = (write_pack("pump", tmp_path / name, factory.home) for name in "ab")
    assert one.identity != other.identity
    assert (one.folder / "key").read_bytes() != (other.folder / "key").read_bytes()


def test_the_contract_names_what_a_person_needs(champion: OnnxModel) -> None:
    columns = {column["name"]: column for column in edge_contract("pump", champion)["columns"]}
    size = columns["size"]
    assert (size["source"], size["type"], size["unit"]) == ("Size [mm]", "float64", "mm")
    assert (size["nullable"], size["range"]) == (False, [0.0, 100.5])
    assert columns["starts"]["missing"] == {"tokens": ["", "-1", "n/a"], "numbers": [-1.0]}
    assert columns["code"]["pattern"] == "[A-Z]{2}-[0-9]+"
    assert columns["owner"]["sensitive"]


def test_a_folder_that_is_not_empty_is_left_alone(factory: Factory, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(StorageError, match="something exists here already; name a new folder"):
        write_pack("pump", tmp_path / "full", factory.home)
    assert os.listdir(tmp_path) == ["full"]


def test_nothing_is_packed_without_a_champion(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no champion yet"):
        write_pack("pump", tmp_path / "pack", Home(tmp_path / "home"))


def test_a_failed_entry_leaves_no_folder(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("the disk is full", remedy="free space")

    monkeypatch.setattr(Ledger, "append", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_pack("pump", tmp_path / "pack", factory.home)
    assert os.listdir(tmp_path) == []


def declared(champion: OnnxModel, clean: dict[str, Any], **columns: dict[str, Any]) -> OnnxModel:
    """Return the champion as if it were trained under another declaration."""
    ingest = {
        **PUMP["ingest"],
        "contract": [
            {**column, **columns.get(str(column["name"]), {})}
            for column in PUMP["ingest"]["contract"]
        ],
    }
    return OnnxModel(
        **{
            **vars(champion),
            "ingest": Ingest.model_validate(ingest),
            "clean": Clean.model_validate({**PUMP["clean"], **clean}),
        }
    )


DERIVE = PUMP["clean"]["derive"]


@pytest.mark.parametrize(
    ("clean", "columns", "reason"),
    [
        (
            {"derive": {**DERIVE, "tone": "regexp_replace(code, '[0-9]', '')"}},
            {},
            "clean.derive.tone needs the SQL engine: regexp_replace(code, '[0-9]', '')",
        ),
        (
            {"where": {"odd": "hash(size) > 0"}},
            {},
            "clean.where.odd needs the SQL engine: hash(size) > 0",
        ),
        ({"unify": ["colour"]}, {}, "clean.unify maps spellings of colour"),
        (
            {},
            {"code": {"pattern": "([A-Z]+)+-[0-9]"}},
            "the pattern '([A-Z]+)+-[0-9]' needs the SQL engine",
        ),
        (
            {},
            {"owner": {"type": None, "timezone": "Europe/Berlin"}},
            "column 'owner' needs a declared type",
        ),
        ({}, {"owner": {"type": "date"}}, "column 'owner' needs the SQL engine: it is a date"),
    ],
)
def test_what_needs_the_engine_is_refused_by_name(
    clean: dict[str, Any], columns: dict[str, Any], reason: str, champion: OnnxModel
) -> None:
    with pytest.raises(RefusedError) as refused:
        edge_contract("pump", declared(champion, clean, **columns))
    assert str(refused.value) == (
        f"pump: cannot be packed: {reason}; score it with factory predict or factory serve"
    )


def test_an_input_without_a_declared_type_has_that_of_training(champion: OnnxModel) -> None:
    untyped = {name: {"type": None} for name in ("size", "colour", "running")}
    found = edge_contract("pump", declared(champion, {}, **untyped))
    assert found == edge_contract("pump", champion)


def test_a_rule_on_columns_that_are_not_needed_is_no_obstacle(champion: OnnxModel) -> None:
    contract = edge_contract("pump", declared(champion, {"where": {"odd": "hash(failed) > 0"}}))
    assert contract["rules"] == []
