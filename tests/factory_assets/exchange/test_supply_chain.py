"""What comes with a version is valid and true; once it is entered, nothing of it changes unseen."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from factory_assets.audit.requirements.version_records import VersionRecords, version_records
from factory_assets.declarations.loader import load_pipeline
from factory_assets.exchange.described_version import describe_version
from factory_assets.exchange.installed_facts import installed_facts
from factory_assets.execution.installed import installed_distributions
from factory_assets.execution.provenance import FOLDER
from factory_assets.execution.supply_chain import (
    SupplyDocuments,
    record_supply_chain,
    require_unchanged,
)
from factory_assets.serving.http.champions import Champions
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelTrained
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.supply_entries import SupplyChainRecorded
from factory_resources.tracking.registry import Registry, Version
from tests.approvals import Factory, declare_factory
from tests.factory_resources.ledger.homes import problems_with, read_entries
from tests.pipelines import RESPONSIBLE, enter, write_apples, write_governance
from tests.recorded_home.make import unpack

pytestmark = pytest.mark.slow

STATEMENTS = {
    "annex-iv.1a": "To sort apples",
    "annex-iv.3": "Pears are taken for apples",
    "annex-iv.7": "None was applied",
    "annex-iv.4": "Nobody has signed this",
}

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_7)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """Version 1 serves; jane signed three of four statements; its documents were entered."""
    factory = declare_factory(tmp_path_factory.mktemp("supply") / "root")
    with pytest.MonkeyPatch.context() as patch:
        enter(factory.root, patch)
        write_apples(factory.defs / "apples", 1000)
        factory.declare(slices=["colour"])
        factory.run()
        factory.approve()
        write_governance(factory.defs / "apples", statements=STATEMENTS)
        signed = [one for one in STATEMENTS if one != "annex-iv.4"]
        code, text = factory.factory("governance", "sign", "apples", *signed, by="jane")
        assert code == 0, text
        code, text = factory.factory("sbom", "apples", "--record")
        assert (code, text.splitlines()[0].partition(" (")[0]) == (
            0,
            "entered SBOM, ML-BOM and statement of apples@1",
        )
    return factory


@pytest.fixture(autouse=True)
def _entered(made: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(made.root, monkeypatch)


@pytest.fixture
def copied(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    factory = Factory(Path(shutil.copytree(made.root, tmp_path / "root")))
    enter(factory.root, monkeypatch)
    return factory


def _entry(home: Home) -> SupplyChainRecorded:
    subject = SupplyChainRecorded.subject_of(pipeline="apples", version=1)
    found = Ledger(home).latest(SupplyChainRecorded, subject)
    assert found
    return found[1]


def _document(made: Factory, digest: str) -> dict[str, Any]:
    content = (made.home.path / "supply" / "apples" / f"{digest}.json").read_bytes()
    assert sha256(content).hexdigest() == digest
    read: dict[str, Any] = json.loads(content)
    return read


@pytest.fixture
def sbom(made: Factory) -> dict[str, Any]:
    return _document(made, _entry(made.home).sbom)


@pytest.fixture
def ml_bom(made: Factory) -> dict[str, Any]:
    return _document(made, _entry(made.home).ml_bom)


def _version(home: Home) -> Version:
    return Registry(home).version("apples", 1)


def _records(made: Factory) -> VersionRecords:
    return version_records(load_pipeline(made.defs / "apples"), 1, made.home)


def _hash(component: dict[str, Any]) -> str:
    [one] = component["hashes"]
    assert one["alg"] == "SHA-256"
    return str(one["content"])


def test_both_are_valid_by_the_schema_of_others(
    sbom: dict[str, Any], ml_bom: dict[str, Any]
) -> None:
    for document in (sbom, ml_bom):
        assert VALIDATOR.validate_str(json.dumps(document)) is None
        assert VALIDATOR.validate_str(json.dumps({**document, "made_up": 1})) is not None
        references = {
            document["metadata"]["component"]["bom-ref"],
            *(one["bom-ref"] for one in document["components"]),
        }
        named = [one for d in document["dependencies"] for one in (d["ref"], *d["dependsOn"])]
        assert {*named} == references
        assert len(references) == len(document["components"]) + 1


def test_the_same_version_is_the_same_bytes(made: Factory, tmp_path: Path) -> None:
    for kind, digest in (("sbom", _entry(made.home).sbom), ("ml-bom", _entry(made.home).ml_bom)):
        out = tmp_path / f"{kind}.json"
        code, text = made.factory("sbom", "apples@1", "--as", kind, "--out", str(out))
        assert (code, text.startswith(f"wrote {out}: {kind} of apples@1, ")) == (0, True), text
        assert sha256(out.read_bytes()).hexdigest() == digest
    before = Ledger(made.home).latest(
        SupplyChainRecorded, SupplyChainRecorded.subject_of(pipeline="apples", version=1)
    )
    code, text = made.factory("sbom", "apples", "--record")
    assert before
    assert (code, text) == (
        0,
        f"entry {before[0]} has the same SBOM, ML-BOM and statement of apples@1 already\n",
    )


def test_the_sbom_lists_the_lock_of_the_training(made: Factory, sbom: dict[str, Any]) -> None:
    libraries = {one["name"]: one for one in sbom["components"] if one["type"] == "library"}
    assert {name: one["version"] for name, one in libraries.items()} == installed_distributions()
    assert len(libraries) > 100
    assert libraries["duckdb"]["purl"] == f"pkg:pypi/duckdb@{libraries['duckdb']['version']}"
    assert libraries["torch"]["purl"].partition("+")[1] == ""
    assert libraries["sovereign-ai-factory"]["purl"].startswith("pkg:generic/")
    assert libraries["msgspec"]["licenses"]
    [code] = [one for one in sbom["components"] if "components" in one]
    files = {one["name"]: _hash(one) for one in code["components"]}
    described = describe_version(load_pipeline(made.defs / "apples"), 1, made.home)
    assert files == described.environment.code
    assert sbom["metadata"]["timestamp"] == described.trained.finished


def _install(folder: Path, name: str, metadata: str, **files: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n"
    for file, content in {"METADATA": head + metadata, **files}.items():
        (info / file.replace("_json", ".json")).write_text(content)


def test_licence_and_hash_are_those_of_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    address = {"url": "file:///a.whl", "archive_info": {"hashes": {"sha256": "a" * 64}}}
    _install(tmp_path, "made_a", "License: MIT\nLicense-Expression: MIT OR ISC\n")
    _install(tmp_path, "made_b", "License: BSD\n", direct_url_json=json.dumps(address))
    _install(tmp_path, "made_c", "Classifier: License :: OSI Approved :: MIT License\n")
    _install(tmp_path, "made_d", f"License: {'All rights ' * 50}\n", direct_url_json="[")
    assert installed_facts("made-a", "1.0").licences == ({"expression": "MIT OR ISC"},)
    assert installed_facts("made-b", "1.0").licences == ({"license": {"name": "BSD"}},)
    assert installed_facts("made-b", "1.0").sha256 == "a" * 64
    assert installed_facts("made-c", "1.0").licences == ({"license": {"name": "MIT License"}},)
    for name, version in (("made-a", "1.1"), ("made-d", "1.0"), ("made-e", "1.0")):
        assert (installed_facts(name, version).licences, installed_facts(name, version).sha256) == (
            (),
            None,
        )
    assert installed_distributions()["made-a"] == "1.0"


def test_the_model_card_has_the_recorded_figures(made: Factory, ml_bom: dict[str, Any]) -> None:
    [model] = [one for one in ml_bom["components"] if one["type"] == "machine-learning-model"]
    records = _records(made)
    evaluated = records.evaluation
    assert evaluated
    card = model["modelCard"]
    told = card["quantitativeAnalysis"]["performanceMetrics"]
    whole = {one["type"]: one for one in told if "slice" not in one}
    assert {name: float(one["value"]) for name, one in whole.items()} == evaluated.metrics
    ends = {
        name: tuple(float(one["confidenceInterval"][end]) for end in ("lowerBound", "upperBound"))
        for name, one in whole.items()
        if "confidenceInterval" in one
    }
    assert ends == evaluated.intervals
    assert ends
    slices = {(one["slice"], one["type"]): float(one["value"]) for one in told if "slice" in one}
    assert slices == {
        (f"{one.column} = {one.value}", name): value
        for one in evaluated.slices
        for name, value in one.metrics.items()
    }
    assert slices
    spent = card["considerations"]["environmentalConsiderations"]["energyConsumptions"]
    [trained] = [one for one in spent if one["activity"] == "training"]
    [record] = records.by_stage["train"]
    assert trained["activityEnergyCost"] == {"value": record.wh / 1000, "unit": "kWh"}
    assert trained["co2CostEquivalent"]["value"] == pytest.approx((record.co2e or 0) / 1e6)
    assert card["modelParameters"]["task"] == "binary"


def test_the_model_card_has_what_people_signed_and_nothing_else(ml_bom: dict[str, Any]) -> None:
    [model] = [one for one in ml_bom["components"] if one["type"] == "machine-learning-model"]
    card = model["modelCard"]
    considered = card["considerations"]
    assert considered["useCases"] == [STATEMENTS["annex-iv.1a"]]
    assert considered["technicalLimitations"] == [STATEMENTS["annex-iv.3"]]
    [risk] = RESPONSIBLE["risks"]
    assert considered["ethicalConsiderations"] == [
        {"name": risk["what"], "mitigationStrategy": risk["measure"]}
    ]
    told = {one["name"]: one["value"] for one in card["properties"]}
    assert told["sovereign-ai-factory:signed:annex-iv.7"] == STATEMENTS["annex-iv.7"]
    assert STATEMENTS["annex-iv.4"] not in json.dumps(ml_bom)


def test_the_ml_bom_names_files_and_data_by_their_digests(
    made: Factory, sbom: dict[str, Any], ml_bom: dict[str, Any]
) -> None:
    parts = {one["bom-ref"]: one for one in ml_bom["components"]}
    model = parts["model/apples@1"]
    version = _version(made.home)
    for one in model["components"]:
        folder = version.files
        if one["name"] == "model.onnx":
            folder = Registry(made.home).run_files("apples", version.run_id) / "onnx"
        assert sha256((folder / one["name"]).read_bytes()).hexdigest() == _hash(one)
    assert len(model["components"]) > 2
    assert _hash(model) == sha256((version.files / "manifest.json").read_bytes()).hexdigest()
    assert _hash(parts["source/1"]) == sha256(Path(made.data).read_bytes()).hexdigest()
    for role in ("train", "validation", "test"):
        snapshot = parts[f"snapshot/{role}"]
        assert snapshot["name"] == f"apples/split_{role}"
        [file] = snapshot["components"]
        path = made.home.tables / snapshot["name"] / file["name"]
        assert sha256(path.read_bytes()).hexdigest() == _hash(file) == snapshot["version"]
    [link] = model["externalReferences"]
    serial = sbom["serialNumber"].removeprefix("urn:uuid:")
    assert link == {"type": "bom", "url": f"urn:cdx:{serial}/1"}


def test_a_document_that_is_another_one_is_entered_anew(home: Home) -> None:
    Ledger(home).begin()
    documents, entered = SupplyDocuments(b"1", b"2", b"3"), []
    for changed in ({}, {}, {"sbom": b"4"}, {"ml_bom": b"5"}, {"statement": b"6"}, {}):
        documents = replace(documents, **changed)
        entered.append(record_supply_chain("apples", 1, documents, home)[1])
    assert entered == [True, False, True, True, True, False]


def test_others_verify_the_statement_that_was_entered(made: Factory) -> None:
    envelope = _document(made, _entry(made.home).statement)
    [signature] = envelope["signatures"]
    public = LogKey.load(made.home).verifier.public.hex()
    key = SSlibKey(signature["keyid"], "ed25519", "ed25519", {"public": public})
    read = Envelope.from_dict(envelope)
    assert read.verify([key], 1)
    named = {one["name"].rpartition("/")[2] for one in json.loads(read.payload)["subject"]}
    assert {"weights.safetensors", "model.onnx", "environment.json"} <= named


def test_the_ledger_binds_the_lock_of_a_training(copied: Factory) -> None:
    home, version = copied.home, _version(copied.home)
    folder = Registry(home).run_files("apples", version.run_id) / FOLDER
    trained = Ledger(home).latest(
        ModelTrained, ModelTrained.subject_of(pipeline="apples", version=1)
    )
    assert trained
    manifest = (folder / "manifest.json").read_bytes()
    assert trained[1].provenance == sha256(manifest).hexdigest()
    environment = folder / "environment.json"
    assert json.loads(manifest)[environment.name] == sha256(environment.read_bytes()).hexdigest()
    lock = json.loads(environment.read_bytes())["distributions"]
    assert lock == installed_distributions()
    environment.write_text(environment.read_text().replace(lock["numpy"], "0.0.1"))
    code, text = copied.factory("sbom", "apples", "--out", str(copied.root / "sbom.json"))
    assert (code, text.count("\n")) == (2, 1)
    assert "environment.json is not the one that was stored with it" in text
    report, _ = verify_path(str(home.path), Expectation())
    assert any("environment.json" in str(one) for one in report.problems)


def _files(home: Home) -> Iterator[tuple[str, Path]]:
    version, entry = _version(home), _entry(home)
    run = Registry(home).run_files("apples", version.run_id)
    folder = home.path / "supply" / "apples"
    yield "its SBOM", folder / f"{entry.sbom}.json"
    yield "its ML-BOM", folder / f"{entry.ml_bom}.json"
    yield "its statement", folder / f"{entry.statement}.json"
    yield "weights.safetensors", version.files / "weights.safetensors"
    yield "manifest.json", version.files / "manifest.json"
    yield "model.onnx", run / "onnx" / "model.onnx"
    yield "declaration.json", run / FOLDER / "declaration.json"


def test_a_version_of_which_a_file_was_changed_does_not_serve(copied: Factory) -> None:
    home = copied.home
    assert copied.factory("predict", "apples", copied.data)[0] == 0
    for name, path in _files(home):
        content = path.read_bytes()
        for changed, told in ((content + b" ", "was changed"), (None, "is missing")):
            path.unlink()
            if changed:
                path.write_bytes(changed)
            with pytest.raises(ModelError, match=f"^apples@1: {name} {told}"):
                require_unchanged(_version(home), home)
            code, text = copied.factory("predict", "apples", copied.data)
            assert (code, text.count("\n")) == (2, 1), (name, text)
            served = Champions(home, ["apples"])
            served.refresh()
            assert (served.state("apples"), [*served.faults]) == ("failed", ["apples"]), name
            served.close()
            path.write_bytes(content)
    assert copied.factory("predict", "apples", copied.data)[0] == 0
    code, text = copied.factory("pack", "--edge", "apples", "--out", str(copied.root / "pack"))
    assert code == 0, text
    entry = _entry(home)
    (home.path / "supply" / "apples" / f"{entry.sbom}.json").unlink()
    code, text = copied.factory("pack", "--edge", "apples", "--out", str(copied.root / "pack2"))
    assert (code, text.count("\n")) == (2, 1)
    assert "its SBOM is missing" in text


def test_changed_files_are_not_signed(copied: Factory) -> None:
    weights = _version(copied.home).files / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    code, text = copied.factory("sbom", "apples", "--record")
    assert (code, text.count("\n")) == (2, 1)
    assert "weights.safetensors was changed" in text


def test_the_verifier_compares_what_was_entered(copied: Factory) -> None:
    report, _ = verify_path(str(copied.home.path), Expectation())
    assert (report.problems, report.checked["supply chains"]) == ([], 1)
    entries = read_entries(copied.home)
    [said] = [one for one in entries if one["kind"] == "supply_chain"]
    for change, told in (
        ({"sbom": "0" * 64}, "is missing"),
        ({"ml_bom": None}, "has no valid 'ml_bom'"),
        ({"version": 2, "subject": "supply/apples@2"}, "has no entry of a model version"),
        ({"subject": "supply/apples@2"}, "the subject is not what the entry says"),
        ({"pipeline": "../apples", "subject": "supply/../apples@1"}, "no entry of a model"),
    ):
        changed = [{**one, **change} if one is said else one for one in entries]
        problems = "\n".join(problems_with(copied.home.path, changed))
        assert told in problems, (change, problems)
    path = copied.home.path / "supply" / "apples" / f"{said['statement']}.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert "was changed" in "\n".join(problems_with(copied.home.path, entries))


def test_the_evidence_contains_what_was_entered(made: Factory, tmp_path: Path) -> None:
    out = tmp_path / "evidence.zip"
    code, text = made.factory("evidence", "apples@1", "--out", str(out))
    assert code == 0, text
    report, _ = verify_path(str(out), Expectation())
    assert [str(one) for one in report.problems] == []
    assert report.checked["supply chains"] == 1


def test_a_version_from_before_the_lock_was_stored_lists_what_computed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(tmp_path)
    enter(tmp_path, monkeypatch)
    factory, out = Factory(tmp_path), tmp_path / "sbom.json"
    code, text = factory.factory("sbom", "apples", "--out", str(out))
    assert code == 0, text
    assert VALIDATOR.validate_str(out.read_text()) is None
    document = json.loads(out.read_text())
    told = {one["name"]: one["value"] for one in document["metadata"]["component"]["properties"]}
    assert told["sovereign-ai-factory:distributions"] == "those that train"
    libraries = {one["name"] for one in document["components"] if one["type"] == "library"}
    assert {"scikit-learn", "torch"} <= libraries
    assert len(libraries) < 20
    code, text = factory.factory("sbom", "apples", "--record")
    assert code == 0, text


def test_the_command_says_what_it_needs(made: Factory) -> None:
    code, text = made.factory("sbom", "apples")
    assert (code, "name a file: --out sbom.json" in text) == (2, True)
    code, text = made.factory("sbom", "apples@7", "--out", "sbom.json")
    assert (code, text.count("\n")) == (2, 1)


def test_the_lock_of_a_version_is_compared_with_advisories(made: Factory, tmp_path: Path) -> None:
    record = {
        "id": "PYSEC-1",
        "modified": "2026-11-20T10:00:00Z",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "numpy"},
                "versions": [installed_distributions()["numpy"]],
            }
        ],
    }
    (tmp_path / "osv").mkdir()
    (tmp_path / "osv" / "a.json").write_text(json.dumps(record))
    code, text = made.factory("audit-deps", "apples@1", "--advisories", str(tmp_path / "osv"))
    assert code == 1
    assert "affected by PYSEC-1" in text
    assert text.splitlines()[-1].startswith("apples@1: ")
