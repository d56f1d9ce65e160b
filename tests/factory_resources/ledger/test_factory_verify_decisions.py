"""The verifier takes decisions from an enemy: whatever an entry or a statement says, it answers."""

import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from factory_resources.security.personal_keys import load_key
from tests.approvals import PASSPHRASE, Factory, copy_factory, make_factory
from tests.factory_resources.ledger.homes import problems_with, read_entries, state_anew

pytestmark = pytest.mark.slow

_KINDS = {"approval", "champion", "serving", "person", "declaration", "run"}

_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**53 - 1,
    "",
    "x",
    "../../etc/passwd",
    "é" * 100,
    "a" * 5_000,
    "0" * 64,
    "2026-99-99T99:99:99Z",
    [],
    ["x"] * 50,
    {},
    {"a": {"a": {}}},
)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """A factory with every kind of decision."""
    made = make_factory(tmp_path_factory.mktemp("made") / "root")
    with pytest.MonkeyPatch.context() as patch:
        factory = copy_factory(made, tmp_path_factory.mktemp("decided") / "root", patch)
        factory.approve()
        factory.declare(seed=11)
        factory.run()
        factory.approve(by="bob")
        for arguments in (("stop",), ("resume",), ("rollback",)):
            code, text = factory.factory(*arguments, "apples", "--reason", "odd", by="jane")
            assert code == 0, text
        # MLflow's alias is compared elsewhere, and takes most of the time.
        (factory.home.path / "mlflow.db").unlink()
        yield factory


@pytest.fixture
def home(decided: Factory, tmp_path: Path) -> Path:
    return Path(shutil.copytree(decided.home.path, tmp_path / "home"))


def _entries(decided: Factory) -> list[dict[str, Any]]:
    return read_entries(decided.home)


def test_the_entries_written_by_another_hand_hold(decided: Factory, home: Path) -> None:
    assert problems_with(home, _entries(decided)) == []


def _mutations(decided: Factory, count: int) -> Iterator[tuple[int, str, Any]]:
    random, entries = Random(7), _entries(decided)
    places = [
        (number, name)
        for number, entry in enumerate(entries)
        if entry["kind"] in _KINDS
        for name in entry
    ]
    for _ in range(count):
        number, name = random.choice(places)
        yield number, name, random.choice(_ODD)


@pytest.mark.parametrize(
    "count", [60, pytest.param(3_000, marks=pytest.mark.long)], ids=lambda count: f"{count}"
)
def test_no_changed_entry_makes_it_throw(decided: Factory, home: Path, count: int) -> None:
    found = 0
    for number, name, value in _mutations(decided, count):
        entries = _entries(decided)
        if value is None:
            entries[number].pop(name)
        else:
            entries[number][name] = value
        found += bool(problems_with(home, entries))
    assert found > count / 2


@pytest.mark.parametrize("kind", ["champion", "approval", "serving"])
def test_an_act_without_one_of_its_fields_is_answered(
    decided: Factory, home: Path, kind: str
) -> None:
    entries = _entries(decided)
    for number, entry in enumerate(entries):
        for name in entry if entry["kind"] == kind else ():
            lacking = _entries(decided)
            del lacking[number][name]
            # The path of the record is for people: what was decided about is named by digests.
            assert problems_with(home, lacking) or (kind, name) == ("approval", "record"), name


def _rewritten(home: Path, entries: list[dict[str, Any]], change: Callable[[Any], None]) -> None:
    """Change the statement of the first approval, with its digest, but without its signature."""
    entry = next(entry for entry in entries if entry["kind"] == "approval")
    folder = home / "statements" / "apples"
    envelope = json.loads((folder / f"{entry['statement']}.json").read_bytes())
    statement = json.loads(b64decode(envelope["payload"]))
    change(statement)
    envelope["payload"] = b64encode(json.dumps(statement).encode()).decode()
    content = json.dumps(envelope).encode()
    entry["statement"] = sha256(content).hexdigest()
    (folder / f"{entry['statement']}.json").write_bytes(content)


def test_no_changed_statement_makes_it_throw_or_is_believed(decided: Factory, home: Path) -> None:
    names = ("decision", "log", "pipeline", "version", "verdict", "replaces", "person", "time")
    for name in names:
        # The first version replaced none.
        for value in _ODD[1:]:
            entries = _entries(decided)
            _rewritten(home, entries, lambda one, n=name, v=value: one["predicate"].update({n: v}))  # type: ignore[misc]
            assert any("was not signed by the key" in one for one in problems_with(home, entries))


def test_what_a_person_signed_is_what_the_entry_says(decided: Factory, home: Path) -> None:
    key = load_key(decided.key("jane"), PASSPHRASE.encode)

    def told(kind: str, change: Callable[[Any, Any], object], resigned: bool = True) -> list[str]:
        entries = _entries(decided)
        entry = next(one for one in entries if kind == one["kind"] or one.get(kind) is True)
        if resigned:
            state_anew(home, entry, lambda one: change(one, one["predicate"]), key)
        else:
            change(entry, None)
        return problems_with(home, entries)

    for kind, said, changed in (
        ("approval", "the verdict is not", {"verdict": {"sha256": "0" * 64}}),
        ("approval", "the version that serves is not", {"replaces": 7}),
        ("approval", "was signed at another time", {"time": "2020-01-01T00:00:00Z"}),
        ("approval", "what the statement is about", {"decision": "refused"}),
        ("approval", "what the statement is about", {"log": "another.log"}),
        ("approval", "what the statement is about", {"pipeline": "pears"}),
        ("approval", "what the statement is about", {"version": 2}),
        ("approval", "the person is not", {"person": {"salt": "00", "name": "bob"}}),
        ("approval", "a damaged salt", {"person": {"salt": "x", "name": "jane"}}),
        ("serving", "was signed at another time", {"time": "2020-01-01T00:00:00Z"}),
        ("serving", "the version that serves is not", {"replaces": 7}),
    ):
        problems = told(kind, lambda _, predicate, new=changed: predicate.update(new))
        assert any(said in one for one in problems), (changed, problems)
    for said, change in (
        ("a statement of another type", lambda one, _: one.update(predicateType="urn:x")),
        ("the files of the statement", lambda one, _: one["subject"].pop()),
    ):
        assert any(said in one for one in told("approval", change)), said
    for kind, said, changed in (
        ("approval", "the verdict is not", {"verdict": "0" * 64}),
        ("approval", "the SHA-256 of the graph is not", {"graph": "0" * 64}),
        ("approval", "the version that serves is not", {"replaces": 7}),
        ("approval", "the time of the signature is not", {"signed": "2020-01-01T00:00:00Z"}),
        ("approval", "0 of 1 people approved it", {"decision": "deferred"}),
        ("champion", "the version that served is not", {"replaced": 7}),
        ("rollback", "the version that served is not", {"replaced": 7}),
        ("serving", "the version that serves is not", {"version": 1}),
    ):
        problems = told(kind, lambda entry, _, new=changed: entry.update(new), resigned=False)
        assert any(said in one for one in problems), (changed, problems)


@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize(("age", "sign"), [(-300, -1), (3_600, 1)])
def test_an_act_is_entered_within_an_hour_and_clocks_differ_by_five_minutes(
    age: int, sign: int, beyond: int, decided: Factory, home: Path
) -> None:
    entries = _entries(decided)
    entry = next(one for one in entries if one["kind"] == "serving")
    entered = datetime.fromisoformat(entry["time"][:19])
    signed = entered - timedelta(seconds=age + sign * beyond)
    key = load_key(decided.key("jane"), PASSPHRASE.encode)
    state_anew(home, entry, lambda one: one["predicate"].update(time=f"{signed.isoformat()}Z"), key)
    problems = problems_with(home, entries)
    assert any("was signed at another time" in one for one in problems) == bool(beyond)


@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize("end", ["first", "last"])
def test_an_approval_counts_as_long_as_it_is_declared_to(
    end: str, beyond: int, decided: Factory, home: Path
) -> None:
    entries = _entries(decided)
    declared, approval, champion = (
        next(one for one in entries if one["kind"] == kind)
        for kind in ("declaration", "approval", "champion")
    )
    age = -300 - beyond if end == "first" else declared["approval"]["seconds"] + beyond
    served = datetime.fromisoformat(approval["signed"][:19]) + timedelta(seconds=age)
    champion["time"] = f"{served.isoformat()}Z"
    problems = problems_with(home, entries)
    assert any("apples@1 serves, and 0 of 1 people" in one for one in problems) == bool(beyond)


@pytest.mark.parametrize("lost", ["roles", "keys"])
def test_an_approval_counts_as_long_as_the_person_may_give_it(
    lost: str, decided: Factory, home: Path
) -> None:
    entries = _entries(decided)
    approved = next(n for n, entry in enumerate(entries) if entry["kind"] == "approval")
    known = [e for e in entries if e.get("person") == entries[approved]["person"]]
    person = next(entry for entry in known if entry["kind"] == "person")
    entries.insert(approved + 1, {**person, lost: []})
    problems = problems_with(home, entries)
    assert any("apples@1 serves, and 0 of 1 people" in one for one in problems)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 60_000, b"\xff", b'{"payload": 5}'])
def test_a_damaged_statement_is_told(decided: Factory, home: Path, content: bytes) -> None:
    entries = _entries(decided)
    entry = next(entry for entry in entries if entry["kind"] == "serving")
    entry["statement"] = sha256(content).hexdigest()
    (home / "statements" / "apples" / f"{entry['statement']}.json").write_bytes(content)
    assert problems_with(home, entries)


def _without(entries: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["kind"] != kind]


def test_without_the_approvals_or_the_people_it_does_not_hold(decided: Factory, home: Path) -> None:
    entries = _entries(decided)
    assert any("0 of 1 people" in one for one in problems_with(home, _without(entries, "approval")))
    entries = _entries(decided)
    assert any(
        "without the role approver then" in one
        for one in problems_with(home, _without(entries, "person"))
    )


def test_a_roll_back_to_a_version_that_never_served_is_found(decided: Factory, home: Path) -> None:
    entries = _entries(decided)
    made = [entry for entry in entries if entry["kind"] == "champion"]
    entries = [e for e in entries if e is not made[0] and e["kind"] != "approval"]
    assert any("never served before" in one for one in problems_with(home, entries))


def test_four_eyes_that_are_asked_for_when_a_version_serves_are_required_then(
    decided: Factory, home: Path
) -> None:
    """Whoever trained it could approve it while the declaration did not ask for four eyes."""
    entries = _entries(decided)
    approved = next(n for n, entry in enumerate(entries) if entry["kind"] == "approval")
    [declared, *_] = [entry for entry in entries if entry["kind"] == "declaration"]
    stricter = {**declared["approval"], "four_eyes": True}
    changed = {**declared, "sha256": "0" * 64, "approval": stricter}
    back = {**changed, "sha256": "1" * 64, "approval": declared["approval"]}
    assert entries[approved + 1]["kind"] == "champion"
    entries[approved + 1 : approved + 2] = [changed, entries[approved + 1], back]
    [problem] = problems_with(home, entries)
    assert "apples@1 serves, and 0 of 1 people approved it" in problem


def test_an_approval_counts_once_and_not_again_after_a_roll_back(
    decided: Factory, home: Path
) -> None:
    """Version 2 was approved in place of version 1, which serves again: nobody approved that."""
    entries = _entries(decided)
    withdrawn = next(e for e in entries if e["kind"] == "champion" and e["version"] == 2)
    problems = problems_with(home, [*entries, withdrawn])
    assert any("apples@2 serves, and 0 of 1 people approved it" in one for one in problems)


def test_one_declaration_asks_for_one_approval(decided: Factory, home: Path) -> None:
    entries = _entries(decided)
    number, declared = next((n, e) for n, e in enumerate(entries) if e["kind"] == "declaration")
    weaker = {**declared, "approval": {**declared["approval"], "four_eyes": False, "signatures": 9}}
    entries.insert(number + 1, weaker)
    problems = problems_with(home, entries)
    assert any("has another 'approval' than an entry of the same" in one for one in problems)
