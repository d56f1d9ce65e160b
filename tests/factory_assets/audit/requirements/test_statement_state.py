"""People sign statements by the real commands: what becomes stale of what, and what is refused."""

import json
import re
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.requirements import statement_state
from factory_assets.audit.requirements.catalogue import EVIDENCE_KINDS, catalogue
from factory_assets.audit.requirements.evidence_digests import evidence_digests
from factory_assets.audit.requirements.statement_state import StatementState, governance_state
from factory_assets.audit.requirements.version_records import version_records
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.governance_signing import enter_statements, sign_statements
from factory_assets.execution.people import enter_people
from factory_assets.results.base import digest
from factory_resources.errors import RefusedError
from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.statements import statement_file
from factory_resources.security.personal_keys import load_key
from tests.approvals import PASSPHRASE, Factory, copy_factory
from tests.factory_assets.audit.requirements.conftest import STATEMENTS
from tests.ledger import problems
from tests.pipelines import RESPONSIBLE, write_governance

pytestmark = pytest.mark.slow


@pytest.fixture
def apples(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return copy_factory(made, tmp_path / "root", monkeypatch)


def _states(factory: Factory, version: int = 1) -> dict[str, StatementState]:
    pipeline = load_pipeline(factory.defs / "apples")
    states = governance_state(pipeline, factory.home, version)
    return {state.requirement.id: state for state in states}


def _stale(factory: Factory, version: int = 1) -> dict[str, tuple[str, ...]]:
    states = _states(factory, version).values()
    return {one.requirement.id: one.changed for one in states if one.state == "stale"}


def _state(factory: Factory, changed: dict[str, Any]) -> None:
    write_governance(factory.defs / "apples", statements=STATEMENTS | changed)


# -------------------------------------------------------------------------------------- Signing


def test_a_signed_statement_says_who_signed_it_and_the_others_are_open(apples: Factory) -> None:
    states = _states(apples)
    signed = states["annex-iv.2g"]
    assert (signed.state, signed.person, signed.changed) == ("signed", "jane", ())
    assert "metrics" in signed.statement.evidence
    assert {name for name, one in states.items() if one.state == "signed"} == {
        name for name in STATEMENTS if name != "article.12.1"
    }
    assert states["article.12.1"].state == "open"
    assert states["annex-iv.2a"].state == "open"


def test_whoever_signs_is_shown_question_text_and_what_it_rests_on(apples: Factory) -> None:
    code, text = apples.factory("governance", "sign", "apples", "--as", "bob", by="bob")
    assert code == 0, text
    assert "Which events of the use matter that the factory does not see?" in text
    assert "  | Apples that fell from the belt\n  rests on: ledger, prediction_log\n" in text
    assert "article.12.1 was signed by bob (entry" in text
    assert _states(apples)["article.12.1"].person == "bob"
    code, text = apples.factory("governance", "sign", "apples", by="bob")
    assert (code, "there is nothing to sign" in text) == (2, True), text
    assert problems(apples.home) == []


def test_what_cannot_be_seen_is_shown_to_whoever_signs(apples: Factory) -> None:
    _state(apples, {"article.12.1": "Apples\u2028that\tfell\u200b"})
    code, text = apples.factory("governance", "sign", "apples", "article.12.1", by="bob")
    assert (code, r"  | Apples\u2028that\tfell\u200b" in text) == (0, True), text


def test_the_ledger_has_neither_the_name_nor_the_text(apples: Factory) -> None:
    subject = GovernanceSigned.subject_of(pipeline="apples", requirement="annex-iv.7")
    found = Ledger(apples.home).latest(GovernanceSigned, subject)
    assert found
    body = found[1].body
    assert b"jane" not in body
    assert b"None was applied" not in body
    file = statement_file(apples.home, "apples", found[1].statement or "")
    predicate = json.loads(b64decode(json.loads(file.read_bytes())["payload"]))["predicate"]
    assert (predicate["person"]["name"], predicate["text"]) == ("jane", "None was applied")


def test_show_prints_the_state_of_each_statement(apples: Factory) -> None:
    _state(apples, {"annex-iv.7": "ISO 1234"})
    code, text = apples.factory("governance", "show", "apples")
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert (code, lines["apples@1:"]) == (0, "apples@1: 0 signed, 0 stale, 1 open")
    assert lines["others,"] == "others, for products or another risk tier than minimal: 76"
    assert "stale: text changed since it was signed by jane 20" in lines["annex-iv.7"]
    assert lines["article.12.1"].endswith("open: not signed yet")
    assert lines["annex-iv.2a"].endswith("open: no answer")


# -------------------------------------------------------------------------------------- Staleness


def test_a_changed_text_makes_that_statement_stale_until_it_is_signed_again(
    apples: Factory,
) -> None:
    _state(apples, {"annex-iv.1a": "To sort pears"})
    assert _stale(apples) == {"annex-iv.1a": ("text",)}
    code, text = apples.factory("governance", "sign", "apples", "annex-iv.1a", by="bob")
    assert code == 0, text
    assert _stale(apples) == {}
    _state(apples, {})
    assert _stale(apples) == {"annex-iv.1a": ("text",)}, "bob replaced what jane had signed"
    assert _states(apples)["annex-iv.1a"].person == "bob"


def test_a_signed_answer_whose_text_is_removed_is_stale(apples: Factory) -> None:
    _state(apples, {"annex-iv.7": None})
    assert _stale(apples) == {"annex-iv.7": ("text",)}
    code, text = apples.factory("governance", "show", "apples")
    assert code == 0, text
    [line] = [line for line in text.splitlines() if line.split()[0] == "annex-iv.7"]
    assert re.search(r"stale: signed by jane \S+ \(entry \d+\), removed since$", line)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_statement_file_is_not_taken_for_another_text(
    apples: Factory, damage: str
) -> None:
    subject = GovernanceSigned.subject_of(pipeline="apples", requirement="annex-iv.7")
    found = Ledger(apples.home).latest(GovernanceSigned, subject)
    assert found
    file = statement_file(apples.home, "apples", found[1].statement or "")
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + b" ")
    assert _stale(apples) == {"annex-iv.7": ("statement_file",)}
    code, text = apples.factory("governance", "show", "apples")
    told = f"the statement of entry {found[0]} is missing or was changed; factory verify shows more"
    assert (code, told in text) == (0, True), text
    code, text = apples.factory("dossier", "apples")
    told = "Stale: what was signed is missing or was changed; see factory verify."
    assert (code, told in text) == (0, True), text


def test_an_answer_to_another_question_is_stale(
    apples: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = catalogue()
    sources = tuple(
        source.model_copy(
            update={
                "requirements": tuple(
                    one.model_copy(update={"person": f"{one.person} And children?"})
                    if one.id == "annex-iv.7"
                    else one
                    for one in source.requirements
                )
            }
        )
        for source in known.sources
    )
    other = known.model_copy(update={"sources": sources})
    monkeypatch.setattr(statement_state, "catalogue", lambda: other)
    assert _stale(apples) == {"annex-iv.7": ("question",)}


def test_a_changed_risk_concerns_what_rests_on_the_register(apples: Factory) -> None:
    risk = {**RESPONSIBLE["risks"][0], "likelihood": "frequent"}
    write_governance(apples.defs / "apples", statements=STATEMENTS, risks=[risk])
    assert _stale(apples) == {"article.9": ("risks",)}


def test_another_evaluation_concerns_what_rests_on_its_figures(apples: Factory) -> None:
    apples.declare(slices=["colour"])
    apples.run()
    assert _stale(apples) == {"annex-iv.2g": ("slices",), "article.9": ("slices",)}


def test_another_version_has_its_own_states_and_the_first_keeps_those_it_had(
    apples: Factory,
) -> None:
    apples.declare(seed=11)
    apples.run()
    stale = _stale(apples, 2)
    assert stale["annex-iv.1a"] == ("version_chain",)
    assert "annex-iv.7" not in stale, "it rests on nothing of the version"
    assert _states(apples, 2)["annex-iv.7"].signed_version == 1
    shown = apples.factory("governance", "show", "apples")[1]
    [line] = [line for line in shown.splitlines() if line.split()[:1] == ["annex-iv.7"]]
    assert line.endswith(", about version 1)"), shown
    code, text = apples.factory("governance", "sign", "apples", by="jane")
    assert code == 0, text
    assert _stale(apples, 2) == {}
    assert _states(apples)["annex-iv.1a"].state == "signed"
    code, text = apples.factory("governance", "show", "apples@3")
    assert (code, "apples@3 does not exist" in text) == (2, True), text
    assert problems(apples.home) == []


def test_each_kind_of_evidence_has_a_digest_that_does_not_depend_on_the_moment(
    apples: Factory,
) -> None:
    pipeline = load_pipeline(apples.defs / "apples")
    first, second = (
        evidence_digests(EVIDENCE_KINDS, version_records(pipeline, 1, apples.home))
        for _ in range(2)
    )
    assert first == second
    assert [*first] == [*EVIDENCE_KINDS]
    absent = {kind for kind in EVIDENCE_KINDS if first[kind] == digest(None)}
    assert absent == {"version_difference", "search"}


# ------------------------------------------------------------------------------- What is refused


def test_whoever_has_no_key_in_people_yaml_may_not_sign(apples: Factory) -> None:
    code, text = apples.factory("governance", "sign", "apples", by="stranger")
    assert (code, "nobody in people.yaml has the key" in text) == (1, True), text


def test_nobody_signs_as_another(apples: Factory) -> None:
    code, text = apples.factory("governance", "sign", "apples", "--as", "bob", by="jane")
    assert (code, "the key is that of jane, not of bob" in text) == (1, True), text


def test_a_key_that_the_ledger_does_not_have_yet_does_not_count(apples: Factory) -> None:
    statement = _states(apples)["annex-iv.7"].statement
    key = load_key(apples.key("stranger"), PASSPHRASE.encode)
    apples.people(zoe={"roles": ["auditor"], "keys": [key.public]})
    [content] = sign_statements([statement], key, "zoe", apples.home)
    with pytest.raises(RefusedError, match="the ledger does not have the key of zoe"):
        enter_statements([(statement, content)], apples.home)
    enter_people(apples.home)
    [(_, person)] = enter_statements([(statement, content)], apples.home)
    assert person == "zoe"


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("annex-iv.2z", "no requirement 'annex-iv.2z' asks a person; did you mean"),
        ("annex-iv.2a", "the statement annex-iv.2a is empty"),
    ],
)
def test_only_an_answer_is_signed(apples: Factory, requirement: str, told: str) -> None:
    code, text = apples.factory("governance", "sign", "apples", requirement, by="jane")
    assert (code, told in text) == (2, True), text


def test_without_a_version_there_is_nothing_to_rest_on(
    apples: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "empty"))
    code, text = apples.factory("governance", "show", "apples")
    assert (code, "there is no model version yet" in text) == (2, True), text


# ------------------------------------------------------------------------------------ Two machines


def _saved(apples: Factory) -> Path:
    folder = apples.root / "signed"
    code, text = apples.factory("governance", "sign", "apples", "--save", str(folder), by="bob")
    assert (code, "nothing was entered" in text) == (0, True), text
    return folder / "article.12.1.json"


def test_a_statement_is_signed_elsewhere_and_entered_later_once(apples: Factory) -> None:
    file = _saved(apples)
    assert _states(apples)["article.12.1"].state == "open"
    code, text = apples.factory("governance", "sign", "apples", "--statement", str(file))
    assert (code, "article.12.1 was signed by bob" in text) == (0, True), text
    assert _states(apples)["article.12.1"].state == "signed"
    # The envelope may be written in another way: only its payload is signed.
    for content in (file.read_bytes(), file.read_bytes() + b"\n"):
        file.write_bytes(content)
        code, text = apples.factory("governance", "sign", "apples", "--statement", str(file))
        assert (code, "it was entered already (entry" in text) == (1, True), text
    assert problems(apples.home) == []


def test_a_statement_that_is_given_twice_is_not_entered(apples: Factory) -> None:
    given = ["--statement", str(_saved(apples))] * 2
    code, text = apples.factory("governance", "sign", "apples", *given)
    assert (code, "a statement is given twice; give each once" in text) == (1, True), text
    assert _states(apples)["article.12.1"].state == "open"


def test_a_statement_that_no_longer_holds_is_not_entered(apples: Factory) -> None:
    file = _saved(apples)
    _state(apples, {"article.12.1": "Something else"})
    code, text = apples.factory("governance", "sign", "apples", "--statement", str(file))
    assert (code, "it was signed with another text" in text) == (1, True), text


def test_a_statement_that_was_changed_is_not_entered(apples: Factory) -> None:
    file = _saved(apples)
    envelope = json.loads(file.read_text())
    payload = b64decode(envelope["payload"]).replace(b"the belt", b"the roof")
    file.write_text(json.dumps({**envelope, "payload": b64encode(payload).decode()}))
    code, text = apples.factory("governance", "sign", "apples", "--statement", str(file))
    assert (code, "nobody in people.yaml signed it" in text) == (1, True), text


def test_what_is_no_statement_is_not_entered(apples: Factory) -> None:
    code, text = apples.factory("governance", "sign", "apples", "--statement", apples.data)
    assert (code, "it is about no requirement" in text) == (1, True), text
