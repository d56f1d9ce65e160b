"""People approve, refuse, roll back and stop through the real commands, and what is refused."""

import io
import json
import os
import pwd
import re
import signal
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import dagster as dg
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from factory_assets.cli.key import keys_folder
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution import standing
from factory_assets.execution.governance_signing import GOVERNANCE
from factory_assets.execution.ledger_entries import champion_entry
from factory_assets.execution.standing import approvals_that_count, decisions_in
from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.monitoring.champion import watched_champion
from factory_assets.results.base import result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Champion
from factory_assets.spec import Approval
from factory_assets.spec.watch import Watching
from factory_resources.errors import ModelError
from factory_resources.home.home import PROJECT
from factory_resources.ledger.entries import (
    CandidateDecided,
    ChampionMade,
    PersonChanged,
    ServingChanged,
)
from factory_resources.ledger.factory_verify import (
    STATEMENT_PAYLOAD,
    pre_authentication_encoding,
)
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.ledger.statements import store_statement
from factory_resources.security.personal_keys import create_key, load_key, public_file
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.approvals import PASSPHRASE, Factory, copy_factory, make_another, make_factory
from tests.ledger import ledger_entries, problems
from tests.long_run import in_long
from tests.pipelines import write_governance

pytestmark = pytest.mark.slow

_README = str(PROJECT / "README.md")

_ACCOUNT = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 1 waits."""
    return make_factory(tmp_path_factory.mktemp("made") / "root")


@pytest.fixture(scope="module")
def served(made: Factory, tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 2 serves, after version 1, both approved."""
    with pytest.MonkeyPatch.context() as patch:
        factory = copy_factory(made, tmp_path_factory.mktemp("served") / "root", patch)
        factory.approve()
        factory.declare(seed=11)
        factory.run()
        factory.approve("apples@2", by="bob")
    return factory


@pytest.fixture
def waiting(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return copy_factory(made, tmp_path / "root", monkeypatch)


@pytest.fixture
def serving(served: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    return copy_factory(served, tmp_path / "root", monkeypatch)


def _kinds(factory: Factory) -> list[str]:
    with Ledger(factory.home).reading() as log:
        return [json.loads(body)["kind"] for _, body in log.bodies()]


def _champion(factory: Factory) -> int | None:
    return Registry(factory.home).champion("apples")


def _check() -> dg.AssetCheckEvaluation:
    """Return what the page of `deploy` shows of the check `approval`."""
    key = dg.AssetCheckKey(dg.AssetKey(["apples", "deploy"]), "approval")
    with dg.DagsterInstance.get() as instance:
        [record] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert record.event
        return record.event.dagster_event.asset_check_evaluation_data


# ------------------------------------------------------------------------------------- Approving


def test_a_candidate_waits_and_nothing_is_red(waiting: Factory) -> None:
    text = waiting.run()
    assert "apples@1 waits for 1 approver since" in text
    assert "factory approve apples@1" in text
    assert _champion(waiting) is None
    code, text = waiting.factory("predict", "apples", waiting.data)
    assert code == 2
    assert "has no champion yet" in text
    check = _check()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.description
    assert "waits for 1 approver" in check.description
    assert problems(waiting.home) == []


def test_what_needs_a_champion_says_for_which_approvals_it_waits(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 2})
    waits = re.compile(
        "'apples' has no champion yet; .*apples@1 waits for 2 approvers since .* UTC: "
        "factory approve apples@1"
    )
    pack = str(waiting.root / "pack")
    for arguments in (
        ("predict", "apples", waiting.data),
        ("pack", "apples", "--edge", "--out", pack),
    ):
        code, text = waiting.factory(*arguments)
        assert (code, bool(waits.search(text))) == (2, True), text
    server = waiting.start("serve", "apples", "--port", "0")
    text, _ = server.communicate(timeout=60)
    assert (server.returncode, bool(waits.search(text))) == (2, True), text
    pipeline = load_pipeline(waiting.defs / "apples")
    spec = pipeline.spec.model_copy(update={"watch": Watching()})
    with pytest.raises(ModelError, match=waits):
        watched_champion(replace(pipeline, spec=spec), waiting.home)


def test_an_approved_candidate_serves_and_the_page_shows_why(waiting: Factory) -> None:
    text = waiting.approve()
    for shown in ("apples@1 is the first", "gates:", "roc_auc", "leaks:", "warnings:", "slices:"):
        assert shown in text
    assert "apples@1 was approved by jane (entry" in text
    assert _champion(waiting) == Registry(waiting.home).alias("apples") == 1
    check = _check()
    assert check.passed
    assert check.description
    assert check.description.endswith("it is better")
    assert "apples@1 serves, approved by jane (entry" in check.description
    assert waiting.factory("predict", "apples", waiting.data)[0] == 0
    assert "nothing changed since" in waiting.run()
    assert problems(waiting.home) == []


def test_an_approval_counts_although_dagster_cannot_show_it(
    waiting: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("factory_assets.components.approval_event.report_approval", fail)
    text = waiting.approve()
    assert "warning: the UI does not show it yet (RuntimeError)" in text
    assert "Traceback" not in text
    assert _champion(waiting) == 1


def test_the_second_version_is_shown_with_its_difference_to_the_champion(serving: Factory) -> None:
    serving.declare(seed=12)
    assert "apples@3 waits for 1 approver" in serving.run()
    assert _champion(serving) == 2
    text = serving.approve()
    assert "apples@3 would replace version 2" in text
    assert "differences from version 2:\n" in text
    assert "seed" in text
    assert _champion(serving) == 3
    assert problems(serving.home) == []


def test_two_signatures_are_of_two_people(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 2})
    assert "1 more approval is needed" in waiting.approve()
    assert _champion(waiting) is None
    assert "waits for 1 approver" in waiting.run()
    code, text = waiting.factory("approve", "apples", "--reason", "again", by="jane")
    assert (code, "jane has approved it already" in text) == (1, True), text
    assert "serves" in waiting.approve(by="bob")
    assert problems(waiting.home) == []


def test_a_refused_candidate_never_serves(waiting: Factory) -> None:
    code, text = waiting.factory("refuse", "apples@1", "--reason", "biased", by="jane")
    assert (code, "apples@1 was refused by jane" in text) == (0, True), text
    assert "apples@1 was refused by jane" in waiting.run()
    code, text = waiting.factory("approve", "apples", "--reason", "no", by="bob")
    assert (code, "it was refused" in text) == (1, True), text
    assert _champion(waiting) is None
    assert problems(waiting.home) == []


def test_who_has_approved_may_still_refuse(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 2})
    waiting.approve()
    code, text = waiting.factory("refuse", "apples@1", "--reason", "a fault", by="jane")
    assert (code, "it will never serve" in text) == (0, True), text
    code, text = waiting.factory("approve", "apples", "--reason", "fine", by="bob")
    assert (code, "it was refused" in text) == (1, True), text
    assert _champion(waiting) is None
    assert problems(waiting.home) == []


def test_after_a_refusal_no_approval_is_needed(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 3})
    waiting.approve()
    code, text = waiting.factory("refuse", "apples@1", "--reason", "biased", by="bob")
    assert code == 0, text
    said = text.splitlines()[-1]
    assert re.fullmatch(r"apples@1 was refused by bob \(entry \d+\); it will never serve", said)


def test_which_key_signs_must_be_clear(
    waiting: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    code, text = waiting.factory("approve", "apples", "--reason", "x")
    assert (code, "there is no key to sign with; name one with --key" in text) == (2, True)
    keys_folder().mkdir(parents=True)
    (keys_folder() / ".DS_Store").touch()
    code, text = waiting.factory("approve", "apples", "--reason", "x")
    assert (code, "there is no key to sign with; name one with --key" in text) == (2, True)
    for name in ("jane", "bob"):
        create_key(keys_folder() / name, PASSPHRASE.encode())
    code, text = waiting.factory("approve", "apples", "--reason", "x")
    assert (code, "there are several keys to sign with: bob, jane" in text) == (2, True)


def test_a_statement_that_was_signed_elsewhere_counts_once(waiting: Factory) -> None:
    file = waiting.root / "statement.json"
    before = _kinds(waiting)
    arguments = ("approve", "apples", "--reason", "good", "--save", str(file))
    assert waiting.factory(*arguments, by="jane")[0] == 0
    assert _kinds(waiting) == before
    code, text = waiting.factory("approve", "apples", "--statement", str(file))
    assert (code, "approved by jane" in text) == (0, True), text
    code, text = waiting.factory("approve", "apples", "--statement", str(file))
    assert (code, "it serves already" in text) == (1, True), text
    assert "to train a new version: factory run apples --no-reuse" in text
    code, text = waiting.factory("refuse", "apples", "--reason", "odd", by="jane")
    ends = "factory rollback apples or factory stop apples ends that; to train a new version: "
    assert (code, ends in text) == (1, True), text
    assert waiting.factory("stop", "apples", "--reason", "odd", by="jane")[0] == 0
    code, text = waiting.factory("refuse", "apples", "--reason", "odd", by="jane")
    assert (code, "; factory resume apples lets it serve again; " in text) == (1, True), text


# --------------------------------------------------------------------------------- What is refused


def _no_rights(factory: Factory) -> None:
    factory.people()


def _withdrawn(factory: Factory) -> None:
    factory.people(jane=None)


def _other_key(factory: Factory) -> None:
    stranger = factory.key("stranger").with_name("stranger.pub").read_text().strip()
    factory.people(jane={"keys": [stranger]})


def _own_training(factory: Factory) -> None:
    factory.people(jane={"account": _ACCOUNT})
    factory.declare(approval={"four_eyes": True})


def _unknown_account(factory: Factory) -> None:
    factory.declare(approval={"four_eyes": True})


def _broken_people(factory: Factory) -> None:
    (factory.defs / "people.yaml").write_text("jane: {roles: [aprover]}\n")


def _same_key_twice(factory: Factory) -> None:
    jane = factory.key("jane").with_name("jane.pub").read_text().strip()
    factory.people(bob={"keys": [jane]})


@pytest.mark.parametrize(
    ("prepare", "by", "code", "why"),
    [
        (_no_rights, "stranger", 1, "nobody in people.yaml has the key"),
        (_no_rights, "eve", 1, "eve does not have the role approver"),
        (_no_rights, "nobody", 2, "the key cannot be read"),
        (_withdrawn, "jane", 1, "nobody in people.yaml has the key"),
        (_other_key, "jane", 1, "nobody in people.yaml has the key"),
        (_own_training, "jane", 1, "jane started the run that trained it, and four_eyes is"),
        (_unknown_account, "jane", 1, "jane has no `account` in people.yaml, and four_eyes is"),
        (_broken_people, "jane", 2, "did you mean 'approver'? valid: engineer, approver, auditor"),
        (_same_key_twice, "jane", 2, "bob and jane have the same key"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_an_approval_is_refused(
    waiting: Factory, prepare: Callable[[Factory], None], by: str, code: int, why: str
) -> None:
    prepare(waiting)
    found, text = waiting.factory("approve", "apples", "--reason", "good", by=by)
    assert (found, why in text) == (code, True), text
    assert "Traceback" not in text
    assert _champion(waiting) is None
    assert not {"approval", "champion"} & set(_kinds(waiting))
    assert problems(waiting.home) == []


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("approve", "apples@7", "--reason", "x"), 2, "apples@7 does not exist"),
        (("approve", "apples@x", "--reason", "x"), 2, "'apples@x' is not a model version"),
        (("approve", "appels", "--reason", "x"), 2, "did you mean 'apples'?"),
        (("approve", "apples", "--reason", " "), 2, "the reason has 0 characters"),
        (("approve", "apples"), 2, "the reason has 0 characters"),
        (("approve", "apples", "--statement", "x", "--reason", "x"), 2, "has its reason and"),
        (("approve", "apples", "--statement", "x", "--save", "x"), 2, "has its reason and"),
        (("refuse", "apples", "--statement", "x", "--key", "x"), 2, "has its reason and"),
        (("approve", "apples", "--statement", "missing"), 2, "cannot be read"),
        (("approve", "apples", "--statement", _README), 1, "nobody in people.yaml signed it"),
        (("rollback", "apples", "--reason", "x"), 2, "no version serves"),
        (("stop", "apples", "--reason", "x"), 1, "no version serves"),
        (("resume", "apples", "--reason", "x"), 1, "no version serves"),
        (("key", "new", "jane", "--out", _README), 2, "this file exists already"),
    ],
)
def test_a_mistake_in_the_call_is_one_line(
    waiting: Factory, arguments: tuple[str, ...], code: int, why: str
) -> None:
    before = _kinds(waiting)
    found, text = waiting.factory(*arguments, by="jane")
    assert (found, why in text) == (code, True), text
    assert "Traceback" not in text
    assert _kinds(waiting) == before


def test_a_wrong_passphrase_signs_nothing(
    waiting: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.approvals.PASSPHRASE", "wrong")
    code, text = waiting.factory("approve", "apples", "--reason", "x", by="jane")
    assert (code, "the passphrase is wrong" in text) == (2, True), text


def _signed(factory: Factory, change: Callable[[dict[str, Any]], None]) -> Path:
    """Let jane sign a statement that was changed before."""
    file = factory.root / "statement.json"
    arguments = ("approve", "apples", "--reason", "good", "--save", str(file))
    assert factory.factory(*arguments, by="jane")[0] == 0
    envelope = json.loads(file.read_bytes())
    statement = json.loads(b64decode(envelope["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    key = load_key(factory.key("jane"), PASSPHRASE.encode)
    signature = key.sign(pre_authentication_encoding(STATEMENT_PAYLOAD, payload))
    envelope["payload"] = b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = b64encode(signature).decode()
    file.write_text(json.dumps(envelope))
    return file


def _old(statement: dict[str, Any]) -> None:
    past = datetime.now(UTC) - timedelta(days=15)
    statement["predicate"]["time"] = past.strftime("%Y-%m-%dT%H:%M:%SZ")


def _future(statement: dict[str, Any]) -> None:
    statement["predicate"]["time"] = "2999-01-01T00:00:00Z"


def _other_verdict(statement: dict[str, Any]) -> None:
    statement["predicate"]["verdict"]["sha256"] = "0" * 64


def _other_version(statement: dict[str, Any]) -> None:
    statement["predicate"]["version"] = 2


def _other_files(statement: dict[str, Any]) -> None:
    statement["subject"][1]["digest"]["sha256"] = "0" * 64


def _other_champion(statement: dict[str, Any]) -> None:
    statement["predicate"]["replaces"] = 3


def _other_name(statement: dict[str, Any]) -> None:
    statement["predicate"]["person"]["name"] = "bob"


def _refusal(statement: dict[str, Any]) -> None:
    statement["predicate"]["decision"] = "refused"


def _other_salt(statement: dict[str, Any]) -> None:
    statement["predicate"]["person"]["salt"] = "00"


def _other_type(statement: dict[str, Any]) -> None:
    statement["predicateType"] = GOVERNANCE


def _long(statement: dict[str, Any]) -> None:
    statement["predicate"]["shown"] = "x" * 200_000


def _unpadded(statement: dict[str, Any]) -> None:
    statement["predicate"]["time"] = "2026-1-2T03:04:05Z"


def _no_predicate(statement: dict[str, Any]) -> None:
    del statement["predicate"]["reason"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_old, "was signed 15 days ago, and counts for 14d"),
        (_future, "dated in the future"),
        (_other_verdict, "it is about verdict"),
        (_other_version, "it is about version 2, not 1"),
        (_other_files, "it is about other files"),
        (_other_champion, "it is about replaces 3, not None"),
        (_other_name, "it names another person than jane"),
        (_other_salt, "it names another person than jane"),
        (_other_type, "it is not a decision about a model version"),
        (_long, "bytes, and may have 262,144"),
        (_refusal, "it is about decision refused, not approved"),
        (_unpadded, "it is not a decision about a model version"),
        (_no_predicate, "it is not a decision about a model version"),
    ],
)
def test_a_statement_about_something_else_is_refused(
    waiting: Factory, change: Callable[[dict[str, Any]], None], why: str
) -> None:
    file = _signed(waiting, change)
    code, text = waiting.factory("approve", "apples", "--statement", str(file))
    assert (code, why in text) == (1, True), text
    assert "approval" not in _kinds(waiting)


def test_a_stolen_statement_does_not_count_for_another_version_or_home(
    waiting: Factory, made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _signed(waiting, lambda statement: None)
    waiting.declare(seed=11)
    waiting.run()
    code, text = waiting.factory("approve", "apples@2", "--statement", str(file))
    assert (code, "the statement does not count" in text) == (1, True), text
    other = make_another(tmp_path / "other")
    monkeypatch.setenv("FACTORY_HOME", str(other.home.path))
    monkeypatch.setenv("FACTORY_DEFS", str(other.defs))
    other.people(jane={"keys": [waiting.key("jane").with_name("jane.pub").read_text().strip()]})
    code, text = other.factory("approve", "apples@1", "--statement", str(file))
    assert (code, "it is about log factory.local/" in text) == (1, True), text


def test_a_spent_approval_does_not_count_again(
    waiting: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting.declare(approval={"signatures": 2})
    file = _signed(waiting, lambda statement: None)
    enter_it = ("approve", "apples", "--statement", str(file))
    assert waiting.factory(*enter_it)[0] == 0
    # As after another version served, and was rolled back.
    monkeypatch.setattr(standing, "approvals_that_count", lambda *_: [])
    for content in (file.read_bytes(), file.read_bytes() + b"\n"):
        file.write_bytes(content)
        code, text = waiting.factory(*enter_it)
        assert (code, "does not count: it was entered already (entry" in text) == (1, True), text
    assert problems(waiting.home) == []
    for stored in (waiting.home.path / "statements").rglob("*.json"):
        stored.unlink()
    file.write_bytes(file.read_bytes().rstrip())
    assert waiting.factory(*enter_it)[0] == 1


def test_an_approval_of_an_earlier_verdict_does_not_count(waiting: Factory) -> None:
    file = _signed(waiting, lambda statement: None)
    waiting.declare(slices=["colour"])
    waiting.run()
    code, text = waiting.factory("approve", "apples@1", "--statement", str(file))
    assert (code, "it is about verdict" in text) == (1, True), text
    assert _champion(waiting) is None


def test_after_the_champion_changed_a_candidate_is_compared_anew(serving: Factory) -> None:
    serving.declare(seed=12)
    serving.run()
    code, text = serving.factory("rollback", "apples", "--reason", "worse", by="jane")
    assert code == 0, text
    code, text = serving.factory("approve", "apples@3", "--reason", "good", by="jane")
    assert code == 1
    assert "it was compared with version 2, and version 1 serves now" in text
    assert "apples@3 waits" in serving.run()
    assert "apples@3 would replace version 1" in serving.approve()
    assert problems(serving.home) == []


def test_a_key_withdrawn_before_the_last_signature_does_not_count(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 2})
    waiting.approve(by="jane")
    waiting.people(jane=None)
    assert "1 more approval is needed" in waiting.approve(by="bob")
    assert _champion(waiting) is None
    assert problems(waiting.home) == []


def test_a_rule_that_asks_for_fewer_lets_the_next_run_serve(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 2})
    waiting.approve()
    waiting.declare(approval={"signatures": 1})
    waiting.run()
    assert _champion(waiting) == Registry(waiting.home).alias("apples") == 1
    assert problems(waiting.home) == []


def test_nobody_approves_if_it_is_not_known_who_trained(waiting: Factory) -> None:
    """The version is older than the ledger, which began anew."""
    for name in ("ledger.db", "secrets/ledger_key"):
        (waiting.home.path / name).unlink()
    waiting.run()
    waiting.people(jane={"account": "somebody_else"})
    waiting.declare(approval={"four_eyes": True})
    code, text = waiting.factory("approve", "apples", "--reason", "good", by="jane")
    assert code == 1, text
    assert "no record says who started the run that trained it, and four_eyes" in text
    assert "factory run apples --no-reuse" in text


def test_another_person_than_who_trained_may_approve(waiting: Factory) -> None:
    waiting.people(jane={"account": "somebody_else"})
    waiting.declare(approval={"four_eyes": True})
    waiting.approve()
    assert _champion(waiting) == 1
    assert problems(waiting.home) == []


def test_four_eyes_know_who_trained_this_version(waiting: Factory) -> None:
    """The same training is computed again by a run of another account, for another version."""
    waiting.people(jane={"account": _ACCOUNT})
    waiting.declare(approval={"four_eyes": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("factory_assets.execution.people.account_name", lambda: "somebody_else")
        assert waiting.factory("run", "apples", "--no-reuse")[0] == 0
    code, text = waiting.factory("approve", "apples@1", "--reason", "good", by="jane")
    assert code == 1, text
    assert "jane started the run that trained it" in text
    waiting.approve("apples@2")
    assert problems(waiting.home) == []


def test_a_stricter_gate_that_is_taken_back_leaves_the_candidate_as_it_was(
    waiting: Factory,
) -> None:
    waiting.declare(gates=[{"metric": "roc_auc", "at_least": 0.9999}])
    code, text = waiting.factory("run", "apples")
    assert code == 1
    assert "see the evaluate asset in the UI; there is no champion yet" in " ".join(text.split())
    code, text = waiting.factory("approve", "apples", "--reason", "good", by="jane")
    assert code == 1
    assert "was evaluated again since it was exported, and failed its gates" in text
    waiting.declare()
    waiting.run()
    waiting.approve()
    assert _champion(waiting) == 1
    assert problems(waiting.home) == []


def test_a_missing_file_of_people_withdraws_nobody(waiting: Factory) -> None:
    before = _kinds(waiting)
    (waiting.defs / "people.yaml").unlink()
    waiting.declare(seed=11)
    for arguments in (("run", "apples"), ("approve", "apples", "--reason", "x")):
        code, text = waiting.factory(*arguments, by="jane")
        assert (code, "this file is missing, and the ledger has people" in text) == (2, True), text
    assert _kinds(waiting) == before


def test_an_approval_counts_as_long_as_declared(waiting: Factory) -> None:
    waiting.declare(approval={"signatures": 2})
    waiting.approve()
    record = Records(waiting.home).latest("apples", "deploy")
    assert record
    with Ledger(waiting.home).reading() as log:
        decisions, rule = decisions_in(log, "apples", 1), Approval(signatures=2)
        for days, counted in ((13, 1), (15, 0)):
            now = datetime.now(UTC) + timedelta(days=days)
            found = approvals_that_count(log, record, rule, decisions, now)
            assert len(found) == counted
        ever = rule.model_copy(update={"valid": "999999d"})
        assert len(approvals_that_count(log, record, ever, decisions)) == 1


class _Ahead(datetime):
    """A clock that is an hour ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(hours=1)


def test_an_approval_by_a_clock_that_was_ahead_does_not_count_before_its_time(
    waiting: Factory,
) -> None:
    waiting.declare(approval={"signatures": 2})
    with pytest.MonkeyPatch.context() as patch:
        for module in ("execution.signed_decision", "execution.standing"):
            patch.setattr(f"factory_assets.{module}.datetime", _Ahead)
        patch.setattr("factory_resources.ledger.entry.datetime", _Ahead)
        waiting.approve()
    assert "1 more approval is needed" in waiting.approve(by="bob")
    assert _champion(waiting) is None
    assert "serves" in waiting.approve()
    assert _champion(waiting) == 1
    assert problems(waiting.home) == []


# ------------------------------------------------------------------------------ Together, and kills


@pytest.mark.parametrize("signatures", [2, *in_long([1])])
def test_two_people_approve_at_once(waiting: Factory, signatures: int) -> None:
    waiting.declare(approval={"signatures": signatures})
    processes = [
        waiting.start("approve", "apples", "--reason", "good", by=name) for name in ("jane", "bob")
    ]
    told = [process.communicate(timeout=120)[0] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes == ([0, 1] if signatures == 1 else [0, 0]), told
    assert _kinds(waiting).count("champion") == 1
    assert _kinds(waiting).count("approval") == signatures
    assert _champion(waiting) == 1
    assert problems(waiting.home) == []


_KILLED = """
import os, signal, sys
import factory_assets.execution.decisions as decisions
from factory_resources.ledger.log import Log
from factory_resources.tracking.registry import Registry
from factory_assets.cli.main import main

place, when = sys.argv[1], sys.argv[2]
owner = {"store_statement": decisions, "append": Log, "mirror": Registry}[place]
original = getattr(owner, place)

def killed(*arguments, **options):
    acts = (b'"kind":"approval"', b'"kind":"serving"', b'"rollback":true')
    if place == "append" and not any(act in one.body for one in arguments[1] for act in acts):
        return original(*arguments, **options)
    if when == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, place, killed)
main(sys.argv[3:])
"""


@pytest.mark.parametrize(
    ("place", "when", "serves"),
    [
        ("store_statement", "before", False),
        ("append", "after", True),
        *in_long(
            [
                ("store_statement", "after", False),
                ("append", "before", False),
                ("mirror", "after", True),
            ]
        ),
    ],
)
def test_killed_while_approving(waiting: Factory, place: str, when: str, serves: bool) -> None:
    arguments = (place, when, "approve", "apples", "--reason", "good")
    process = waiting.start(*arguments, code=_KILLED, by="jane")
    text, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, text
    assert _champion(waiting) == (1 if serves else None)
    told = waiting.run()
    assert _champion(waiting) == Registry(waiting.home).alias("apples") == (1 if serves else None)
    assert ("waits for 1 approver" in told) == (not serves)
    assert problems(waiting.home) == []
    if not serves:
        waiting.approve()
        assert _champion(waiting) == 1


@pytest.mark.parametrize(
    ("command", "champion", "alias"), [("rollback", 1, 1), *in_long([("stop", 2, None)])]
)
def test_killed_between_an_act_and_the_alias(
    serving: Factory, command: str, champion: int, alias: int | None
) -> None:
    arguments = ("append", "after", command, "apples", "--reason", "odd")
    process = serving.start(*arguments, code=_KILLED, by="jane")
    text, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, text
    registry = Registry(serving.home)
    assert (registry.champion("apples"), registry.alias("apples")) == (champion, 2)
    assert "the alias was set back" in serving.run()
    assert (registry.champion("apples"), registry.alias("apples")) == (champion, alias)
    assert problems(serving.home) == []


def test_what_is_edited_in_people_yaml_is_told_and_entered(waiting: Factory) -> None:
    waiting.people(eve={"roles": ["approver"]}, bob=None)
    text = waiting.run()
    assert "people.yaml: eve changed: approver, 1 key" in text
    assert "people.yaml: bob withdrawn: engineer, approver" in text
    assert "people.yaml" not in waiting.run()
    with Ledger(waiting.home).reading() as log:
        entries = [entry_in(log, number) for number in log.numbers("people")]
    people = [entry for entry in entries if isinstance(entry, PersonChanged)]
    assert people[0].roles == people[0].keys == ()
    assert people[1].roles == ("approver",)
    # The public key itself is random, and may have any three letters.
    said = [re.sub(rb"ssh-ed25519 [\w+/]{68}", b"", one.body) for one in people]
    assert not any(name in body for body in said for name in (b"eve", b"bob"))
    assert problems(waiting.home) == []


# ----------------------------------------------------------------------------- Roll back and stop


def test_roll_back_and_forth(serving: Factory) -> None:
    registry = Registry(serving.home)
    code, text = serving.factory("rollback", "apples", "--reason", "odd", by="jane")
    assert (code, "apples@1 serves again by jane" in text) == (0, True), text
    assert registry.champion("apples") == registry.alias("apples") == 1
    assert "rolled back" in (_check().description or "")
    for _ in range(2):
        text = serving.run()
        assert registry.champion("apples") == 1, text
    assert "apples@2 was rolled back by jane" in text
    code, text = serving.factory("rollback", "apples", "--to", "2", "--reason", "fine", by="bob")
    assert (code, "apples@2 serves again by bob" in text) == (0, True), text
    serving.run()
    assert registry.champion("apples") == registry.alias("apples") == 2
    assert problems(serving.home) == []


@pytest.mark.parametrize(
    ("arguments", "by", "why"),
    [
        (("--to", "7"), "jane", "version 7 was never champion; earlier champions: 1"),
        (("--to", "2"), "jane", "version 2 serves already"),
        ((), "eve", "eve does not have the role approver"),
    ],
)
def test_a_roll_back_is_refused(
    serving: Factory, arguments: tuple[str, ...], by: str, why: str
) -> None:
    code, text = serving.factory("rollback", "apples", *arguments, "--reason", "x", by=by)
    assert (code, why in text) == (1, True), text
    assert _champion(serving) == 2


@pytest.mark.parametrize("pattern", ["artifacts/apples/*/*/onnx/model.onnx", "statements/apples/*"])
def test_no_roll_back_to_a_version_whose_files_were_changed(serving: Factory, pattern: str) -> None:
    with Ledger(serving.home).reading() as log:
        statement = decisions_in(log, "apples", 1)[0][1].statement
    run_id = Registry(serving.home).version("apples", 1).run_id
    [file] = [
        path
        for path in serving.home.path.glob(pattern)
        if path.stem == statement or run_id in path.parts
    ]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    code, text = serving.factory("rollback", "apples", "--reason", "x", by="jane")
    assert code in {1, 2}
    assert "was changed" in text
    assert _champion(serving) == 2
    assert any("was changed" in problem for problem in problems(serving.home))


def test_a_prediction_that_runs_during_a_roll_back_ends_with_its_version(serving: Factory) -> None:
    version, model = load_champion("apples", serving.home)
    assert version == 2
    assert serving.factory("rollback", "apples", "--reason", "odd", by="jane")[0] == 0
    record = Records(serving.home).latest("apples", "split")
    assert record
    rows = read_arrow(result_as(SplitResult, record).test, serving.home, None)
    assert len(model.outputs(rows)) == rows.num_rows
    assert load_champion("apples", serving.home)[0] == 1


def test_stopped_and_resumed(serving: Factory) -> None:
    registry = Registry(serving.home)
    code, text = serving.factory("stop", "apples", "--reason", "odd answers", by="jane")
    assert (code, "apples@2 was stopped by jane" in text) == (0, True), text
    assert registry.alias("apples") is None
    code, text = serving.factory("predict", "apples", serving.data)
    assert (code, "'apples' was stopped" in text) == (1, True), text
    assert "factory resume apples" in text
    text = serving.run()
    assert "is the champion, stopped by jane" in text
    assert "odd answers" in text
    assert registry.alias("apples") is None
    assert problems(serving.home) == []
    # As if the first one had been killed behind its entry: whoever repeats it mends that.
    registry.set_alias("apples", 2)
    code, text = serving.factory("stop", "apples", "--reason", "again", by="jane")
    assert (code, "it is stopped already" in text) == (1, True), text
    assert registry.alias("apples") is None
    code, text = serving.factory("rollback", "apples", "--to", "2", "--reason", "x", by="jane")
    assert (code, "version 2 was stopped already" in text) == (1, True), text
    assert "serves again by factory resume apples" in text
    code, text = serving.factory("resume", "apples", "--reason", "mended", by="bob")
    assert (code, "apples@2 was resumed by bob" in text) == (0, True), text
    assert registry.alias("apples") == 2
    assert serving.factory("predict", "apples", serving.data)[0] == 0
    assert problems(serving.home) == []


@pytest.mark.parametrize("fault", ["removed", "broken"])
def test_what_serves_is_stopped_without_its_declaration(serving: Factory, fault: str) -> None:
    [file] = serving.defs.glob("apples/defs.yaml")
    if fault == "removed":
        file.unlink()
    else:
        file.write_text("attributes: {")
    code, text = serving.factory("stop", "apples", "--reason", "odd", by="eve")
    assert (code, "eve does not have the role approver" in text) == (1, True), text
    code, text = serving.factory("stop", "apples", "--reason", "odd", by="jane")
    assert (code, "apples@2 was stopped by jane" in text) == (0, True), text
    assert "its last declaration holds" in text
    assert Registry(serving.home).alias("apples") is None
    code, text = serving.factory("resume", "apples", "--reason", "mended", by="bob")
    assert (code, "apples@2 was resumed by bob" in text) == (0, True), text
    code, text = serving.factory("rollback", "apples", "--reason", "odd", by="jane")
    assert (code, "apples@1 serves again by jane" in text) == (0, True), text
    assert serving.factory("stop", "plums", "--reason", "odd", by="jane")[0] == 2
    assert problems(serving.home) == []


def test_without_a_rule_acts_are_recorded_and_need_no_key(serving: Factory) -> None:
    serving.declare(seed=11, approval=None)
    for arguments in (("stop",), ("resume",), ("rollback",)):
        code, text = serving.factory(*arguments, "apples", "--reason", "a test")
        assert code == 0, text
    assert _champion(serving) == 1
    assert problems(serving.home) == []
    serving.run()
    assert _champion(serving) == 1


def test_without_a_rule_a_key_that_is_given_signs(serving: Factory) -> None:
    serving.declare(seed=11, approval=None)
    calls = (
        ("stop", "stopped", "bob"),
        ("resume", "resumed", "jane"),
        ("rollback", "serves", "eve"),
    )
    for command, done, name in calls:
        arguments = ("apples", "--reason", "a test", "--key", str(serving.key(name)))
        code, text = serving.factory(command, *arguments)
        assert code == 0, text
        assert re.search(rf"apples@\d (was )?{done}( again)? by {name} \(entry", text), text
    assert problems(serving.home) == []
    stopped = next(one for one in ledger_entries(serving.home) if one.kind == "serving")
    assert stopped.key in public_file(serving.key("bob")).read_text()
    before = len(ledger_entries(serving.home))
    key = ("--key", str(serving.key("stranger")))
    code, text = serving.factory("stop", "apples", "--reason", "x", *key)
    assert (code, "nobody in people.yaml has the key" in text) == (1, True), text
    assert len(ledger_entries(serving.home)) == before


# --------------------------------------------------------------------------------- The verifiers


def _forge(factory: Factory, **changed: Any) -> None:
    """Append the approval and the champion again, as the operator could, who has the key."""
    with Ledger(factory.home).reading() as log:
        [decided] = [entry for _, entry in decisions_in(log, "apples", 1)]
        champions = [entry_in(log, n) for n in reversed(log.numbers("champion/apples"))]
        first = champions[0]
    assert isinstance(first, ChampionMade)
    now = datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    forged = decided.model_copy(update={"time": now, "replaces": 2, **changed})
    champion = first.model_copy(update={"time": now, "replaced": 2})
    Ledger(factory.home).append([forged, champion])
    Registry(factory.home).mirror("apples")


def _append_again(factory: Factory, **changed: Any) -> None:
    """Let version 1 serve by its own old entry, as the operator could."""
    with Ledger(factory.home).reading() as log:
        first = entry_in(log, log.numbers("champion/apples")[-1])
    assert isinstance(first, ChampionMade)
    Ledger(factory.home).append([first.model_copy(update=changed)])
    Registry(factory.home).mirror("apples")


def test_a_replayed_statement_is_found(serving: Factory) -> None:
    _forge(serving)
    found = "\n".join(problems(serving.home))
    assert "has the statement that entry" in found
    assert "serves, and 1 of 1" not in found


def test_a_champion_that_nobody_approved_is_found(serving: Factory) -> None:
    _append_again(serving, replaced=2)
    assert any("apples@1 serves, and 0 of 1 people" in one for one in problems(serving.home))


def test_an_old_champion_entry_does_not_count_again(serving: Factory) -> None:
    _append_again(serving)
    assert any("the version that served is not" in one for one in problems(serving.home))


def test_an_approval_does_not_count_after_another_version_served(serving: Factory) -> None:
    """Version 2 is rolled back for cause; its approval, which names the same champion, is spent."""
    code, text = serving.factory("rollback", "apples", "--reason", "odd", by="jane")
    assert code == 0, text
    with Ledger(serving.home).reading() as log:
        second = next(
            entry
            for entry in (entry_in(log, n) for n in log.numbers("champion/apples"))
            if isinstance(entry, ChampionMade) and entry.version == 2
        )
    Ledger(serving.home).append([second])
    Registry(serving.home).mirror("apples")
    assert any("apples@2 serves, and 0 of 1 people" in one for one in problems(serving.home))


def test_a_statement_written_in_another_way_does_not_count_again(serving: Factory) -> None:
    for arguments in (("stop",), ("resume",), ("stop",)):
        code, text = serving.factory(*arguments, "apples", "--reason", "odd", by="jane")
        assert code == 0, text
    with Ledger(serving.home).reading() as log:
        resumed = entry_in(log, log.numbers("serving/apples")[1])
    assert isinstance(resumed, ServingChanged)
    folder = serving.home.path / "statements" / "apples"
    content = (folder / f"{resumed.statement}.json").read_bytes() + b"\n"
    forged = {"statement": store_statement(serving.home, "apples", content)}
    now = datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    Ledger(serving.home).append([resumed.model_copy(update={**forged, "time": now})])
    Registry(serving.home).mirror("apples")
    assert "has the statement that entry" in "\n".join(problems(serving.home))


def test_a_refused_version_that_serves_is_found(waiting: Factory) -> None:
    assert waiting.factory("refuse", "apples", "--reason", "biased", by="bob")[0] == 0
    record = Records(waiting.home).latest("apples", "deploy")
    assert record
    entry = champion_entry(result_as(Champion, record), record)
    Ledger(waiting.home).append([entry])
    Registry(waiting.home).mirror("apples")
    assert any("although it was refused" in one for one in problems(waiting.home))


def test_a_rule_that_was_taken_away_is_noted(serving: Factory) -> None:
    serving.declare(seed=11, approval=None)
    assert serving.factory("rollback", "apples", "--reason", "by nobody")[0] == 0
    serving.declare(seed=11)
    assert serving.factory("stop", "apples", "--reason", "odd", by="jane")[0] == 0
    assert problems(serving.home) == []
    _, text = serving.factory("verify")
    assert "changes the approval that apples asks for" in text


def test_an_approval_by_somebody_who_was_not_allowed_is_found_offline(
    waiting: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The operator takes the check out of the factory.
    monkeypatch.setattr("factory_assets.execution.decisions.require_role", lambda *_: None)
    waiting.approve(by="eve")
    assert _champion(waiting) == 1
    found = "\n".join(problems(waiting.home))
    assert "was signed by somebody without the role approver then" in found
    assert "apples@1 serves, and 0 of 1 people approved it" in found


def test_an_approval_of_ones_own_training_is_found_offline(
    waiting: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory_assets.execution.decisions.is_other_person", lambda *_: True)
    monkeypatch.setattr("factory_assets.execution.standing.is_other_person", lambda *_: True)
    _own_training(waiting)
    waiting.approve()
    assert "was signed by the person who trained the version" in "\n".join(problems(waiting.home))


def test_a_signature_by_another_key_is_found(serving: Factory) -> None:
    with Ledger(serving.home).reading() as log:
        people = [entry_in(log, number) for number in log.numbers("people")]
    [eve] = [p for p in people if isinstance(p, PersonChanged) and p.roles == ("engineer",)]
    statement = serving.root / "statement.json"
    arguments = ("stop", "apples", "--reason", "odd")
    assert serving.factory(*arguments, by="jane")[0] == 0
    with Ledger(serving.home).reading() as log:
        stopped = entry_in(log, log.numbers("serving/apples")[0])
    assert isinstance(stopped, ServingChanged)
    assert problems(serving.home) == []
    file = serving.home.path / "statements" / "apples" / f"{stopped.statement}.json"
    statement.write_bytes(file.read_bytes() + b"\n")
    digest = store_statement(serving.home, "apples", statement.read_bytes())
    forged = {"statement": digest, "person": eve.person, "key": eve.keys[0], "action": "resumed"}
    Ledger(serving.home).append([stopped.model_copy(update=forged)])
    Registry(serving.home).mirror("apples")
    assert "was not signed by the key of a person" in "\n".join(problems(serving.home))


def test_evidence_contains_people_and_approvals(serving: Factory, tmp_path: Path) -> None:
    archive = tmp_path / "evidence.zip"
    assert serving.factory("evidence", "apples@2", "--out", str(archive))[0] == 0
    code, text = serving.factory("verify", str(archive))
    assert (code, "1 decision" in text) == (0, True), text
    with ZipFile(archive) as content:
        statements = [name for name in content.namelist() if name.startswith("home/statements")]
        bodies = [content.read(n) for n in content.namelist() if n.startswith("entries/")]
        members = {name: content.read(name) for name in content.namelist()}
    assert len(statements) == 1
    kinds = [json.loads(body)["kind"] for body in bodies]
    assert kinds.count("person") == 3
    assert kinds.count("approval") == 1
    members[statements[0]] = members[statements[0]].replace(b'"sig": "', b'"sig": "A')
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as changed:
        for name, member in members.items():
            changed.writestr(name, member)
    archive.write_bytes(buffer.getvalue())
    code, text = serving.factory("verify", str(archive))
    assert (code, "was changed: its SHA-256" in text) == (1, True), text


def test_evidence_of_versions_that_were_left_and_served_again(
    serving: Factory, tmp_path: Path
) -> None:
    assert serving.factory("rollback", "apples", "--reason", "odd", by="jane")[0] == 0
    serving.run()
    for version, decisions in ((1, "2 decisions"), (2, "1 decision")):
        archive = tmp_path / f"{version}.zip"
        assert serving.factory("evidence", f"apples@{version}", "--out", str(archive))[0] == 0
        code, text = serving.factory("verify", str(archive))
        assert (code, f" {decisions}, " in text) == (0, True), text


def test_another_library_checks_the_statement(serving: Factory) -> None:
    with Ledger(serving.home).reading() as log:
        [decided] = [entry for _, entry in decisions_in(log, "apples", 2)]
    assert isinstance(decided, CandidateDecided)
    file = serving.home.path / "statements" / "apples" / f"{decided.statement}.json"
    envelope = Envelope.from_dict(json.loads(file.read_bytes()))
    key = load_ssh_public_key((decided.key or "").encode())
    public = SSlibKey.from_crypto(key, keyid=decided.key)
    assert envelope.verify([public], 1)
    statement = json.loads(envelope.payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["decision"] == "approved"


def test_a_model_that_is_not_to_be_approved_says_so(serving: Factory) -> None:
    serving.declare(seed=11, approval=None)
    code, text = serving.factory("approve", "apples", "--reason", "x", by="jane")
    assert (code, "no approval is declared" in text) == (2, True), text


def test_high_risk_needs_an_approval(waiting: Factory) -> None:
    file = waiting.defs / "apples" / "defs.yaml"
    text = file.read_text().replace("deploy:", "risk: {tier: high, area: x}\n  deploy:")
    file.write_text(text)
    write_governance(file.parent)
    assert waiting.factory("check", "apples") == (0, "1 pipeline, no problems\n")
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  deploy:"))
    file.write_text("\n".join(lines[:at]) + "\n")
    code, told = waiting.factory("check", "apples")
    assert (code, "risk tier high needs an approval by a person" in told) == (2, True), told
