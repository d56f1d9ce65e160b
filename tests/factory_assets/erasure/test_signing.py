"""The statement of an erasure holds for one home, one manifest and one moment."""

import shutil
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_assets.declarations.people import add_person
from factory_assets.erasure.signing import ErasureDecision, begun_entry, require_signer
from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.people import enter_people
from factory_resources.erasure.manifest import manifest_file
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureDone
from factory_resources.ledger.factory_verify import parse_statement
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.statements import ERASURES, statement_file
from factory_resources.security.personal_keys import create_key, load_key
from tests.erasures import note_erased
from tests.ledger import problems


def _begun(home: Home) -> ErasureBegun:
    begin_ledger(home)
    decision = ErasureDecision("request 117", None)
    with Ledger(home).reading() as log:
        require_signer(decision, home, log)
    return begun_entry(note_erased(home, {"0" * 64: [1]}), 1, decision, home)


def _enter(entry: ErasureBegun, home: Home, **changed: Any) -> list[str]:
    erasure = entry.subject.partition("/")[2]
    done = ErasureDone(
        subject=ErasureDone.subject_of(erasure=erasure), searched=0, not_searched=0, found=0
    )
    Ledger(home).append([entry.model_copy(update=changed), done])
    return problems(home)


def test_it_holds_where_it_was_made(home: Home) -> None:
    assert _enter(_begun(home), home) == []


def test_it_does_not_hold_in_another_home(home: Home, tmp_path: Path) -> None:
    entry = _begun(home)
    other = Home(tmp_path / "other")
    begin_ledger(other)
    erasure = entry.subject.partition("/")[2]
    for path in (statement_file(home, ERASURES, entry.statement), manifest_file(home, erasure)):
        target = other.path / path.relative_to(home.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    [problem] = _enter(entry, other)
    assert "what the statement is about" in problem


def test_it_does_not_hold_of_another_manifest(home: Home) -> None:
    entry = _begun(home)
    other = note_erased(home, {"1" * 64: [2]})
    content = manifest_file(home, other.id).read_bytes()
    manifest_file(home, entry.subject.partition("/")[2]).write_bytes(content)
    changed, without = _enter(entry, home)
    assert "was changed" in changed
    assert other.id in without


def test_a_manifest_that_no_entry_names_is_told(home: Home) -> None:
    begin_ledger(home)
    manifest = note_erased(home, {"0" * 64: [1]})
    told = "has no entry, yet runs leave out the rows that it lists"
    assert problems(home) == [f"erasures/{manifest.id}.json: {told}"]


@pytest.mark.parametrize(
    ("later", "holds"), [(3_600, True), (3_601, False), (-300, True), (-301, False)]
)
def test_it_does_not_hold_at_another_time(later: int, holds: bool, home: Home) -> None:
    entry = _begun(home)
    content = statement_file(home, ERASURES, entry.statement).read_bytes()
    signed = datetime.fromisoformat(parse_statement(content, None)["predicate"]["time"][:19])
    time = f"{(signed + timedelta(seconds=later)).isoformat(timespec='microseconds')}Z"
    problems = _enter(entry, home, time=time)
    assert any("signed at another time" in problem for problem in problems) != holds


@pytest.fixture
def _defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `people.yaml` be in a folder of its own."""
    (tmp_path / "defs").mkdir()
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))


@pytest.mark.usefixtures("_defs")
@pytest.mark.parametrize(
    ("role", "signs", "problem"),
    [
        ("engineer", True, None),
        ("approver", True, None),
        ("auditor", True, "was signed by a person who was not allowed to"),
        ("engineer", False, "was signed by nobody, and the factory has people"),
    ],
)
def test_it_holds_if_a_person_signed_who_may_erase(
    role: str,
    signs: bool,
    problem: str | None,
    home: Home,
    tmp_path: Path,
) -> None:
    add_person("jane", [role], create_key(tmp_path / "jane", b"secret"))
    key = load_key(tmp_path / "jane", lambda: b"secret") if signs else None
    begin_ledger(home)
    enter_people(home)
    manifest = note_erased(home, {"0" * 64: [1]})
    entry = begun_entry(manifest, 1, ErasureDecision("request 117", key), home)
    assert [str(problem) in one for one in _enter(entry, home)] == [True] * bool(problem)


@pytest.mark.usefixtures("_defs")
@pytest.mark.parametrize(
    ("role", "signs", "refused"),
    [
        ("engineer", "jane", None),
        ("approver", "jane", None),
        ("auditor", "jane", "jane may not erase anybody"),
        ("engineer", "stranger", "nobody in people.yaml has the key"),
        ("engineer", None, "people.yaml names people, so one of them must sign this"),
        (None, None, None),
    ],
)
def test_nobody_erases_who_may_not(
    role: str | None,
    signs: str | None,
    refused: str | None,
    home: Home,
    tmp_path: Path,
) -> None:
    lines = {name: create_key(tmp_path / name, b"secret") for name in ("jane", "stranger")}
    if role:
        add_person("jane", [role], lines["jane"])
    begin_ledger(home)
    enter_people(home)
    key = load_key(tmp_path / signs, lambda: b"secret") if signs else None
    expected = pytest.raises(RefusedError, match=refused) if refused else nullcontext()
    with Ledger(home).reading() as log, expected:
        require_signer(ErasureDecision("request 117", key), home, log)
