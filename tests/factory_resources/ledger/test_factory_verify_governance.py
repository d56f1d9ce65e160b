"""The verifier finds a signed answer that says, or rests on, something else than was signed."""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.security.personal_keys import load_key
from tests.approvals import PASSPHRASE, Factory, copy_factory, make_factory
from tests.factory_resources.ledger.homes import problems_with, read_entries, state_anew
from tests.pipelines import write_governance

pytestmark = pytest.mark.slow

Entries = list[dict[str, Any]]

Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """A factory in which jane signed two answers."""
    made = make_factory(tmp_path_factory.mktemp("made") / "root")
    with pytest.MonkeyPatch.context() as patch:
        factory = copy_factory(made, tmp_path_factory.mktemp("signed") / "root", patch)
        answers = {"annex-iv.2g": "Good enough", "annex-iv.7": "None"}
        write_governance(factory.defs / "apples", statements=answers)
        code, text = factory.factory("governance", "sign", "apples", by="jane")
        assert code == 0, text
        yield factory


@pytest.fixture
def home(signed: Factory, tmp_path: Path) -> Path:
    copied = Path(shutil.copytree(signed.home.path, tmp_path / "home"))
    # MLflow's alias is compared elsewhere, and takes most of the time.
    (copied / "mlflow.db").unlink()
    return copied


def _first(entries: Entries) -> dict[str, Any]:
    return next(entry for entry in entries if entry["kind"] == "governance")


def _state_anew(signed: Factory, home: Path, change: Change, *, by: str) -> Entries:
    """Return the entries after the first statement was changed, and signed by somebody's key."""
    entries = read_entries(signed.home)
    state_anew(home, _first(entries), change, load_key(signed.key(by), PASSPHRASE.encode))
    return entries


def _told(home: Path, entries: Entries) -> str:
    return "\n".join(problems_with(home, entries))


def test_what_was_signed_holds_and_is_counted(signed: Factory, home: Path) -> None:
    assert problems_with(home, read_entries(signed.home)) == []
    report, _ = verify_path(str(home), Expectation())
    assert report.checked["signed answers to requirements"] == 2


def test_the_archive_of_a_version_has_its_signed_answers(signed: Factory, tmp_path: Path) -> None:
    out = tmp_path / "the evidence.zip"
    code, text = signed.factory("evidence", "apples@1", "--out", str(out))
    assert code == 0, text
    assert "python factory_verify.py 'the evidence.zip'" in text
    report, _ = verify_path(str(out), Expectation())
    assert [str(problem) for problem in report.problems] == []
    assert report.checked["signed answers to requirements"] == 2


def test_a_changed_file_of_a_statement_is_found(signed: Factory, home: Path) -> None:
    entries = read_entries(signed.home)
    file = home / "statements" / "apples" / f"{_first(entries)['statement']}.json"
    file.write_bytes(file.read_bytes() + b" ")
    assert "was changed: its SHA-256 is" in _told(home, entries)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"evidence": {"metrics": "0" * 64}}, "what it rests on"),
        ({"requirement": "annex-iv.2a"}, "the subject"),
        ({"requirement": "annex-iv.2a", "subject": "governance/apples/annex-iv.2a"}, "about"),
        ({"version": 2}, "what the statement is about"),
        ({"signed": "2020-01-01T00:00:00Z"}, "the time of the signature"),
        ({"person": "0" * 64}, "the person"),
        ({"key": None}, "has no valid 'key'"),
        ({"person": None}, "has no valid 'person'"),
    ],
)
def test_an_entry_that_says_something_else_is_found(
    signed: Factory, home: Path, changed: dict[str, Any], told: str
) -> None:
    entries = read_entries(signed.home)
    entry = _first(entries)
    entry |= changed
    for name in [name for name, value in changed.items() if value is None]:
        del entry[name]
    assert told in _told(home, entries)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one["predicate"].update(text="Perfect"), "the digests of the statement"),
        (lambda one: one["predicate"].update(text="\ud800"), "the digests of the statement"),
        (lambda one: one["predicate"].update(text=5), "has no valid 'text'"),
        (lambda one: one["predicate"].update(log="other.example"), "what the statement is about"),
        (lambda one: one.update(predicateType="urn:x"), "has a statement of another type"),
        (lambda one: one["subject"].pop(), "the digests of the statement"),
        (lambda one: one["subject"].append(one["subject"][0]), "is about one name twice"),
    ],
)
def test_a_statement_that_was_signed_to_say_something_else_is_found(
    signed: Factory, home: Path, change: Change, told: str
) -> None:
    assert told in _told(home, _state_anew(signed, home, change, by="jane"))


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_signature_after_its_entry_is_found(signed: Factory, home: Path, beyond: int) -> None:
    entered = datetime.fromisoformat(_first(read_entries(signed.home))["time"][:19])
    # By so much, two clocks may differ.
    later = f"{(entered + timedelta(seconds=300 + beyond)).isoformat()}Z"
    entries = _state_anew(signed, home, lambda one: one["predicate"].update(time=later), by="jane")
    _first(entries)["signed"] = later
    assert ("was signed after it was entered" in _told(home, entries)) == bool(beyond)


@pytest.mark.parametrize("by", ["bob", "stranger"])
def test_the_key_of_another_is_found(signed: Factory, home: Path, by: str) -> None:
    told = _told(home, _state_anew(signed, home, lambda _: None, by=by))
    assert "was signed by a key that was not the person's then" in told


def test_a_key_that_was_given_later_is_found(signed: Factory, home: Path) -> None:
    entries = read_entries(signed.home)
    people = [entry for entry in entries if entry["kind"] == "person"]
    others = [entry for entry in entries if entry["kind"] != "person"]
    assert "was signed by a key that was not the person's then" in _told(home, [*others, *people])


def test_a_statement_that_is_used_twice_is_found(signed: Factory, home: Path) -> None:
    entries = read_entries(signed.home)
    again = [*entries, dict(_first(entries))]
    assert "has the statement that entry" in _told(home, again)
