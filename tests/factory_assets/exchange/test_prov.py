"""`factory trace NAME --prov FILE`, read by the package `prov`."""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prov.model import ProvActivity, ProvAgent, ProvDocument, ProvEntity
from prov.serializers.provjson import ProvJSONSerializer

from factory_assets.audit.trace.report import Trace
from factory_assets.cli.main import main
from factory_assets.exchange.prov import ProvFacts, prov_document
from factory_assets.results.stages import STAGES
from factory_resources.ledger.entries import CandidateDecided, RunStarted
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.tracking.records import Records
from tests.approvals import Factory, declare_factory
from tests.pipelines import enter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Factory, str]]:
    """A factory in which jane approved version 1, and the id of an answer of it."""
    root = tmp_path_factory.mktemp("made") / "root"
    factory = declare_factory(root)
    factory.declare(importances=0, bootstrap=0)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        factory.run()
        factory.approve()
        out = root / "scored.csv"
        code, text = factory.factory("predict", "apples", factory.data, "--out", str(out))
        assert code == 0, text
        with out.open() as file:
            yield factory, next(csv.DictReader(file))["id"]


def _written(name: str, file: Path) -> tuple[ProvDocument, dict[str, Any]]:
    """Write a trace; return it as the package reads it, and as it is."""
    result = CliRunner().invoke(main, ["trace", name, "--prov", str(file)])
    assert result.exit_code == 0, result.output
    return _read(file.read_text()), json.loads(file.read_text())


def _read(text: str) -> ProvDocument:
    # Not by `ProvDocument.deserialize`, which imports lxml.
    return ProvJSONSerializer().deserialize(StringIO(text))


def test_each_kind_of_trace_is_the_same_after_the_package_wrote_it_again(
    made: tuple[Factory, str], tmp_path: Path
) -> None:
    for name in ("apples@1", "apples/clean", "apples/split.train", made[1]):
        document, content = _written(name, tmp_path / "prov.json")
        again = StringIO()
        ProvJSONSerializer(document).serialize(again)
        assert _read(again.getvalue()) == document
        relations = {*content} - {"prefix", "entity", "activity", "agent"}
        counted = sum(len(content[kind]) for kind in relations)
        assert len([one for one in document.get_records() if one.is_relation()]) == counted
        for kind, read in (("entity", ProvEntity), ("activity", ProvActivity)):
            named = {str(one.identifier) for one in document.get_records(read)}
            assert named == {*content[kind]}


def test_every_element_that_a_relation_names_is_there(
    made: tuple[Factory, str], tmp_path: Path
) -> None:
    _, content = _written(made[1], tmp_path / "prov.json")
    known = {kind: {*content[kind]} for kind in ("entity", "activity", "agent")}
    for kind in ("used", "wasGeneratedBy", "wasAssociatedWith"):
        assert content[kind]
        for relation in content[kind].values():
            for end, name in relation.items():
                assert name in known[end.removeprefix("prov:")]


def test_what_a_trace_says_twice_is_one_relation(made: tuple[Factory, str]) -> None:
    result = CliRunner().invoke(main, ["trace", "apples@1", "--json"])
    once = Trace.model_validate_json(result.output)
    twice = once.model_copy(update={"sources": once.sources * 2, "steps": once.steps * 2})
    facts = ProvFacts({}, {})
    assert prov_document(twice, facts) == prov_document(once, facts)


def test_a_model_follows_from_its_source_by_six_stages_with_their_times(
    made: tuple[Factory, str], tmp_path: Path
) -> None:
    document, content = _written("apples@1", tmp_path / "prov.json")
    stages = {
        one["factory:stage"]: (name, one)
        for name, one in content["activity"].items()
        if "factory:stage" in one
    }
    assert {*stages} == {*STAGES}
    activities = {str(one.identifier): one for one in document.get_records(ProvActivity)}
    for stage, (name, _) in stages.items():
        record = Records(made[0].home).latest("apples", stage)
        assert record is not None
        read = activities[name]
        assert isinstance(read, ProvActivity)
        taken = read.get_endTime() - read.get_startTime()
        assert taken.total_seconds() == pytest.approx(record.seconds, abs=1e-5)
    generated = {one["prov:entity"]: one["prov:activity"] for one in _all(content, "wasGenerated")}
    assert generated["factory:model/apples@1"] == stages["train"][0]
    reached, waiting = set(), ["factory:model/apples@1"]
    while waiting:
        entity = waiting.pop()
        reached.add(entity)
        used = [
            one["prov:entity"]
            for one in _all(content, "used")
            if one["prov:activity"] == generated.get(entity)
        ]
        waiting += [one for one in used if one not in reached]
    [source] = [one for one in reached if "source/" in one]
    assert content["entity"][source]["factory:name"] == "data.csv"


def _all(content: dict[str, Any], beginning: str) -> list[dict[str, str]]:
    return [one for kind in content if kind.startswith(beginning) for one in content[kind].values()]


def test_agents_are_code_account_and_the_person_who_approved(
    made: tuple[Factory, str], tmp_path: Path
) -> None:
    document, content = _written("apples@1", tmp_path / "prov.json")
    agents = {str(one.identifier): one for one in document.get_records(ProvAgent)}
    with Ledger(made[0].home).reading() as log:
        subject = CandidateDecided.subject_of(pipeline="apples", version=1)
        found = latest_in(log, CandidateDecided, subject)
        train = Records(made[0].home).latest("apples", "train")
        assert found is not None
        assert train is not None
        run = latest_in(log, RunStarted, RunStarted.subject_of(run=train.run_id))
    assert run is not None
    person, account = f"factory:person/{found[1].person}", f"factory:account/{run[1].account}"
    code = f"factory:code/{train.parts['code']}"
    assert {person, account, code} <= {*agents}
    associated = {(a["prov:activity"], a["prov:agent"]) for a in _all(content, "wasAssociated")}
    assert (f"factory:decision/{found[0]}", person) in associated
    decision = content["activity"][f"factory:decision/{found[0]}"]
    assert decision["factory:decision"] == "approved"
    assert "jane" not in json.dumps(content)


def test_an_answer_was_generated_by_the_model_without_its_values(
    made: tuple[Factory, str], tmp_path: Path
) -> None:
    _, content = _written(made[1], tmp_path / "prov.json")
    answering = f"factory:answering/{made[1]}"
    used = [a["prov:entity"] for a in _all(content, "used") if a["prov:activity"] == answering]
    assert used == ["factory:model/apples@1"]
    assert {*content["entity"][f"factory:answer/{made[1]}"]} == {
        "factory:protocol",
        "factory:status",
    }


def test_a_source_is_traced_forward_and_has_no_document(
    made: tuple[Factory, str], tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["trace", made[0].data, "--prov", str(tmp_path / "p.json")])
    assert result.exit_code == 2
    assert "leave --prov out" in result.output
    assert not (tmp_path / "p.json").exists()
