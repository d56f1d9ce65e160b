"""A dossier of a factory in which a file was changed: the rest is printed, and each gap is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from factory_assets.audit.dossier.cited import CitedValue
from factory_assets.audit.dossier.cited_home import CitedHome, chosen_version, version_documents
from factory_assets.audit.dossier.damage import RESTS_ON
from factory_assets.audit.dossier.difference import print_difference
from factory_assets.audit.dossier.dossier import Dossier, make_dossier
from factory_assets.audit.dossier.json_format import dossier_json
from factory_assets.audit.dossier.markdown import render_markdown
from factory_assets.audit.dossier.oscal import oscal_json
from factory_assets.audit.dossier.outlines import print_document
from factory_assets.audit.requirements.catalogue import catalogue
from factory_assets.cli.main import main
from factory_assets.declarations.loader import load_pipeline
from factory_assets.results.stages import STAGES
from factory_resources.home.home import Home
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger
from tests.approvals import Factory, copy_factory
from tests.pipelines import enter

pytestmark = pytest.mark.slow

VERSION = 1
"""The version whose answers were signed."""


@pytest.fixture
def copied(factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return copy_factory(factory, tmp_path / "root", monkeypatch)


@pytest.fixture(autouse=True)
def _entered(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(factory.root, monkeypatch)


def _made(factory: Factory, version: int = VERSION) -> Dossier:
    return make_dossier(load_pipeline(factory.defs / "apples"), version, factory.home)


def _record(home: Home, stage: str, version: int = VERSION) -> tuple[Path, int]:
    """Return file and entry of the record of a stage behind a version."""
    with Ledger(home).reading() as log:
        documents = version_documents(chosen_version("apples", version, home), CitedHome(home, log))
    citation = documents.stages[stage][0].citation  # type: ignore[index]
    return home.path / citation.path, citation.entry


def _change(path: Path) -> None:
    """Make the stage look ten times as fast."""
    said = json.loads(path.read_text())
    said["seconds"] = 12345.678
    path.write_text(json.dumps(said, indent=1))


def _break(path: Path) -> None:
    path.write_text("no record")


def _remove(path: Path) -> None:
    path.unlink()


def _problems_of_the_dossier(factory: Factory, text: str) -> list[str]:
    report, _ = verify_path(str(factory.home.path), Expectation(dossier=text.encode()))
    assert not report.holds
    return [str(one) for one in report.problems if one.file.startswith("--dossier")]


@pytest.mark.parametrize("stage", STAGES)
def test_the_rest_is_printed_and_nothing_of_a_changed_record(copied: Factory, stage: str) -> None:
    whole = _made(copied)
    path, entry = _record(copied.home, stage)
    _change(path)
    dossier = _made(copied)
    name = str(path.relative_to(copied.home.path))
    values = [value for table in dossier.tables for value in table.values()]
    assert len(values) > 50
    assert not [value for value in values if value.citation.path == name]
    assert 12345.678 not in {value.value for value in values}
    told = f"the record of entry {entry} is missing or was changed"
    touched = {kind for kind, origins in RESTS_ON.items() if stage in origins}
    touched &= {table.kind for table in whole.tables}
    assert touched <= dossier.damaged.keys()
    assert {one.text for one in dossier.damage(touched)} == {told}
    text = render_markdown(print_document(dossier, "dossier"))
    for kind in touched:
        assert f"Gap, {kind.replace('_', ' ')}: {told}" in text.replace("\\", "")
    assert _problems_of_the_dossier(copied, dossier_json(dossier)) == []


def test_what_kinds_rest_on_is_what_their_tables_cite(factory: Factory) -> None:
    for version in (1, 2):
        with Ledger(factory.home).reading() as log:
            cited = CitedHome(factory.home, log)
            documents = version_documents(chosen_version("apples", version, factory.home), cited)
        origins: dict[str, str] = {
            one.citation.path: stage for stage, found in documents.stages.items() for one in found
        }
        for part in ("declaration", "environment"):
            document = getattr(documents, part)
            origins[document.citation.path] = part
        for table in _made(factory, version).tables:
            read = {origins[v.citation.path] for v in table.values() if v.citation.path in origins}
            assert read <= {*RESTS_ON.get(table.kind, ())}, table.name


@pytest.mark.parametrize("damage", [_change, _break, _remove])
def test_answers_that_rest_on_it_are_stale_and_say_why(
    copied: Factory, damage: Callable[[Path], None]
) -> None:
    path, entry = _record(copied.home, "evaluate")
    damage(path)
    dossier = _made(copied)
    told = f"Gap: the record of entry {entry} is missing or was changed, on which it rests."
    text = render_markdown(print_document(dossier, "dossier")).replace("\\", "")
    resting = [
        one.id
        for one in catalogue().requirements
        if one.id in dossier.answers and {"metrics", "gates"} & {*one.evidence}
    ]
    assert resting
    for name in resting:
        assert dossier.answers[name].state == "stale"
        section = text.split(f" {name}: ")[1].split("\n#")[0]
        assert told in section
    others = {one.state for name, one in dossier.answers.items() if name not in resting}
    assert "signed" in others


def test_the_command_writes_it_and_ends_with_one(copied: Factory, tmp_path: Path) -> None:
    path, entry = _record(copied.home, "train")
    _change(path)
    told = f"the record of entry {entry} is missing or was changed"
    for form in ("md", "html", "json", "oscal"):
        out = tmp_path / f"dossier.{form}"
        # The others are what the name of the file ends with.
        named = ["--format", form] if form == "oscal" else []
        words = ["dossier", "apples@1", *named, "--out", str(out)]
        assert CliRunner().invoke(main, words).exit_code == 1
        if form == "json":
            said = json.loads(out.read_text())
            [lost] = said["damaged"]
            assert (lost["entry"], "training" in lost["evidence"]) == (entry, True)
            asked = [one for one in said["requirements"] if entry in one.get("damaged", ())]
            assert "annex-iv.2b" in {one["id"] for one in asked}
        else:
            assert told in out.read_text().replace("\\", "")
            assert out.read_text().startswith("<!") == (form == "html")
    findings = json.loads(oscal_json(_made(copied)))["assessment-results"]["results"][0]["findings"]
    lacking = [one for one in findings if told in one["description"]]
    assert {one["target"]["status"]["state"] for one in lacking} == {"not-satisfied"}
    assert told in render_markdown(print_difference(_made(copied, 2), _made(copied))).replace(
        "\\", ""
    )


def test_a_changed_provenance_is_told_too(copied: Factory) -> None:
    [path] = [
        one
        for one in copied.home.artifacts.glob("apples/*/artifacts/origin/environment.json")
        if one.parts[-4] == chosen_version("apples", 1, copied.home).run_id
    ]
    path.write_text(path.read_text().replace('"python"', '"python "'))
    dossier = _made(copied)
    assert dossier.damaged.keys() == {"environment", "hardware", "code"}
    [lost] = dossier.damage(["environment"])
    assert lost.text == f"the provenance of entry {lost.entry} is missing or was changed"
    assert _problems_of_the_dossier(copied, dossier_json(dossier)) == []


def test_a_later_record_that_was_changed_hides_what_it_was_computed_from(copied: Factory) -> None:
    """Only the record of `split` tells which clean and ingested tables it read."""
    path, entry = _record(copied.home, "split")
    path.unlink()
    dossier = _made(copied)
    assert [one.entry for one in dossier.damage(["sources"])] == [entry]
    assert dossier.of("sources") == ()
    assert dossier.of("metrics")


def test_another_pipeline_or_version_does_not_disturb(copied: Factory) -> None:
    whole = _made(copied)
    _break(_record(copied.home, "train", 2)[0])
    assert _made(copied).tables == whole.tables
    assert _made(copied).damaged == {}
    assert _made(copied).answers == whole.answers
    assert _made(copied, 2).damaged


def test_a_record_that_was_removed_by_an_entry_is_no_damage(copied: Factory) -> None:
    path, _ = _record(copied.home, "deploy")
    name = str(path.relative_to(copied.home.path))
    Ledger(copied.home).append([FilesRemoved(paths=(name,), reason="nothing needs it any more")])
    path.unlink()
    dossier = _made(copied)
    assert dossier.damaged == {}
    assert [table.name for table in dossier.of("interface")] == ["request"]


def _claimed(content: dict[str, Any]) -> None:
    """Claim that a record was changed, which was not."""
    source = next(one for one in content["sources"] if one["path"].startswith("records/"))
    content["damaged"] = [{"path": source["path"], "entry": source["entry"], "evidence": []}]


def _by_another_entry(content: dict[str, Any]) -> None:
    """Claim it by an entry that names no file."""
    _claimed(content)
    content["damaged"][0]["entry"] = 0


def _elsewhere(content: dict[str, Any]) -> None:
    """Claim that a file is missing which no entry names."""
    [source] = [one for one in content["sources"] if one["path"].endswith("/environment.json")]
    path = source["path"].replace("/artifacts/origin/", "0/artifacts/origin/")
    content["damaged"] = [{"path": path, "entry": source["entry"], "evidence": []}]


def _unsaid(content: dict[str, Any]) -> None:
    """Say of no requirement that it lacks something."""
    content["damaged"][0]["evidence"] = ["metrics"]


def test_the_verifier_finds_damage_that_is_none_or_is_not_said(copied: Factory) -> None:
    whole = dossier_json(_made(copied))
    for change, told in (
        (_claimed, "and was not changed"),
        (_by_another_entry, "an entry of kind 'ledger' names no such file"),
        (_elsewhere, "is not in the folder of the provenance"),
    ):
        content = json.loads(whole)
        change(content)
        problems = _problems_of_the_dossier(copied, json.dumps(content))
        assert any(told in one for one in problems), (told, problems)
    _change(_record(copied.home, "train")[0])
    content = json.loads(dossier_json(_made(copied)))
    _unsaid(content)
    problems = _problems_of_the_dossier(copied, json.dumps(content))
    assert any("the damage is" in one for one in problems), problems


def test_a_value_of_a_changed_record_is_found(copied: Factory) -> None:
    """A dossier from before the change does not pass as one from after it."""
    before = dossier_json(_made(copied))
    _change(_record(copied.home, "evaluate")[0])
    assert any("was changed" in one for one in _problems_of_the_dossier(copied, before))
    values = [v for t in _made(copied).tables for v in t.values()]
    assert all(isinstance(value, CitedValue) for value in values)
    shutil.rmtree(copied.home.records)
    assert _made(copied).damaged
