"""The verifier compares a dossier with the home or archive: every value, file and entry."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.dossier.dossier import make_dossier
from factory_assets.audit.dossier.json_format import dossier_json
from factory_assets.cli.evidence import write_evidence
from factory_assets.declarations.loader import load_pipeline
from factory_resources.home.home import Home
from factory_resources.ledger.connection import new_sqlite
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.factory_verify import (
    Expectation,
    HomeFolder,
    LedgerDatabase,
    VerificationReport,
    verify_dossier,
    verify_path,
)
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log, NewEntry
from factory_resources.ledger.proofs import inclusion_proof
from tests.approvals import Factory, copy_factory, make_factory
from tests.factory_assets.audit.dossier.homes import RISK
from tests.pipelines import enter, write_governance

pytestmark = pytest.mark.slow

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    made = make_factory(tmp_path_factory.mktemp("verified") / "root")
    statements = {"annex-iv.7": "None was applied", "article.9": "See the risk register"}
    write_governance(made.defs / "apples", statements=statements, risks=[RISK])
    with pytest.MonkeyPatch.context() as patch:
        enter(made.root, patch)
        code, text = made.factory("governance", "sign", "apples", by="jane")
        assert code == 0, text
    return made


@pytest.fixture(scope="module")
def archive(factory: Factory) -> Path:
    out = factory.root / "evidence.zip"
    with pytest.MonkeyPatch.context() as patch:
        enter(factory.root, patch)
        write_evidence("apples@1", out, None, with_rows=False)
    return out


@pytest.fixture(scope="module")
def written(factory: Factory) -> str:
    return _written(factory, factory.home)


def _written(factory: Factory, home: Home) -> str:
    return dossier_json(make_dossier(load_pipeline(factory.defs / "apples"), 1, home))


def _verified(path: Path, dossier: bytes) -> VerificationReport:
    return verify_path(str(path), Expectation(dossier=dossier))[0]


def _problems(path: Path, written: str, change: Change) -> list[str]:
    content = json.loads(written)
    change(content)
    return [str(one) for one in _verified(path, json.dumps(content).encode()).problems]


def test_every_value_is_compared(factory: Factory, archive: Path, written: str) -> None:
    tables = json.loads(written)["facts"]
    cells = [cell for table in tables for row in table["rows"] for cell in row]
    values = sum(isinstance(cell, dict) for cell in cells)
    assert values > 100
    for path in (factory.home.path, archive):
        report = _verified(path, written.encode())
        assert report.holds, [str(one) for one in report.problems]
        assert report.checked["values of the dossier"] == values
        assert report.checked["answers in the dossier"] == 2


def test_a_name_that_stands_twice_is_found(archive: Path, written: str) -> None:
    """Of two values of one name, programs of others read the first, and the verifier the last."""
    twice = written.replace('"value": ', '"value": 0.99, "value": ', 1)
    assert twice != written
    [problem] = _verified(archive, twice.encode()).problems
    assert str(problem) == "--dossier: has the name 'value' twice in one object"


def _first_value(content: dict[str, Any]) -> dict[str, Any]:
    return next(c for t in content["facts"] for row in t["rows"] for c in row if type(c) is dict)


def _other_value(content: dict[str, Any]) -> None:
    _first_value(content)["value"] = "something else"


def _equal_of_another_type(content: dict[str, Any]) -> None:
    cells = [c for t in content["facts"] for row in t["rows"] for c in row if type(c) is dict]
    next(cell for cell in cells if cell["value"] is True)["value"] = 1


def _no_place(content: dict[str, Any]) -> None:
    _first_value(content)["pointer"] = "/nowhere"


def _other_digest(content: dict[str, Any]) -> None:
    content["sources"][0]["sha256"] = "0" * 64


def _outside(content: dict[str, Any]) -> None:
    content["sources"][0]["path"] = "../../etc/passwd"


def _other_file(content: dict[str, Any]) -> None:
    records = [one for one in content["sources"] if one["path"].startswith("records/")]
    records[0] |= {"path": records[1]["path"], "sha256": records[1]["sha256"]}


def _other_leaf(content: dict[str, Any]) -> None:
    content["sources"][0]["leaf"] = "0" * 64


def _other_entry(content: dict[str, Any]) -> None:
    number = max(content["entries"], key=int)
    body = json.loads(content["entries"][number]["body"])
    content["entries"][number]["body"] = json.dumps({**body, "time": "2020-01-01T00:00:00Z"})


def _entry_at_another_number(content: dict[str, Any]) -> None:
    first, second = [*content["entries"]][:2]
    content["entries"][first] = content["entries"][second]


def _other_checkpoint(content: dict[str, Any]) -> None:
    lines = content["checkpoint"].split("\n")
    content["checkpoint"] = "\n".join([lines[0], str(int(lines[1]) + 1), *lines[2:]])


def _no_entry(content: dict[str, Any]) -> None:
    del content["entries"][str(content["sources"][0]["entry"])]


def _other_format(content: dict[str, Any]) -> None:
    content["version"] = 2


def _no_cells(content: dict[str, Any]) -> None:
    content["facts"][0]["rows"] = [7]


def _signed_answer(content: dict[str, Any]) -> dict[str, Any]:
    return next(one["answer"] for one in content["requirements"] if one["id"] == "annex-iv.7")


def _other_text(content: dict[str, Any]) -> None:
    _signed_answer(content)["text"] = "All were applied"


def _other_question(content: dict[str, Any]) -> None:
    asked = next(one for one in content["requirements"] if one["id"] == "annex-iv.7")
    asked["question"] = "May it be used on children?"


def _other_time_of_signing(content: dict[str, Any]) -> None:
    _signed_answer(content)["signed"] = "2020-01-01T00:00:00Z"


def _other_person(content: dict[str, Any]) -> None:
    _signed_answer(content)["by"] = "bob"


def _unsigned_answer(content: dict[str, Any]) -> None:
    place = next(n for n, one in enumerate(content["requirements"]) if one["id"] == "annex-iv.4")
    content["requirements"][place]["answer"] = _signed_answer(content)


def _plain_cell(content: dict[str, Any]) -> None:
    for table in content["facts"]:
        for row in table["rows"]:
            row[1:] = ["0.999"] * len(row[1:])


def _cell_from_nowhere(content: dict[str, Any]) -> None:
    rows = [row for table in content["facts"] for row in table["rows"]]
    next(row for row in rows if type(row[-1]) is dict).append("0.999")


def _source_from_nowhere(content: dict[str, Any]) -> None:
    _first_value(content)["source"] = len(content["sources"])


def _unrecorded_row(content: dict[str, Any]) -> None:
    content["facts"][0]["rows"].append(["accuracy", ""])


def _not_evaluated(content: dict[str, Any]) -> None:
    versions = next(one for one in content["facts"] if one["name"] == "versions")
    versions["rows"][0][2] = "not evaluated"


def _no_facts(content: dict[str, Any]) -> None:
    content["facts"] = []
    for asked in content["requirements"]:
        asked["gaps"] += asked["evidence"]
        asked["evidence"] = []


def _filled_gap(content: dict[str, Any]) -> None:
    asked = next(one for one in content["requirements"] if one["gaps"])
    asked["evidence"].append(asked["gaps"].pop())


def _hidden_evidence(content: dict[str, Any]) -> None:
    asked = next(one for one in content["requirements"] if one["evidence"])
    asked["gaps"].append(asked["evidence"].pop())


def _other(name: str, value: object) -> Change:
    return lambda content: content.update({name: value})


def _hidden_answer(content: dict[str, Any]) -> None:
    empty: dict[str, Any] = {
        "text": "",
        "by": "",
        "signed": "",
        "changed": [],
        "declared": {},
        "entry": None,
    }
    _signed_answer(content).update({"state": "open", "version": None, **empty})


def _opened_answer(content: dict[str, Any]) -> None:
    _signed_answer(content)["state"] = "open"


def _invented_answer(content: dict[str, Any]) -> None:
    asked = next(one for one in content["requirements"] if one["id"] == "annex-iv.4")
    asked["answer"] |= {"text": "They count all", "by": "jane"}


def _unknown_state(content: dict[str, Any]) -> None:
    _signed_answer(content)["state"] = "sealed"


def _stale_answer(content: dict[str, Any]) -> None:
    _signed_answer(content)["state"] = "stale"


def _other_risk(content: dict[str, Any]) -> None:
    asked = next(one for one in content["requirements"] if one["id"] == "article.9")
    asked["answer"]["declared"]["risks"][0]["severity"] = "none"


def _no_risks(content: dict[str, Any]) -> None:
    asked = next(one for one in content["requirements"] if one["id"] == "article.9")
    asked["answer"]["declared"] = {}


def _other_version_of_answer(content: dict[str, Any]) -> None:
    _signed_answer(content)["version"] = 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_other_value, "there, not 'something else'"),
        (_equal_of_another_type, "is 'True' there, not '1'"),
        (_no_place, "there is nothing at '/nowhere'"),
        (_other_digest, "was changed: its SHA-256 is"),
        (_outside, "is not a path in a home"),
        (_other_file, "the record"),
        (_other_leaf, "the leaf hash"),
        (_other_entry, "is not in the log"),
        (_entry_at_another_number, "is of another one"),
        (_other_checkpoint, "signature"),
        (_no_entry, "is not in the dossier"),
        (_other_format, "is not a dossier of format 1"),
        (_other_text, "the text"),
        (_other_question, "the question"),
        (_other_time_of_signing, "the time of the signature"),
        (_other_person, "the person"),
        (_unsigned_answer, "the entry"),
        (_no_cells, "has no valid 'rows'"),
        (_plain_cell, "a row has no value from a document"),
        (_cell_from_nowhere, "'0.999' is from no document"),
        (_source_from_nowhere, "is not in the dossier"),
        (_unrecorded_row, "a row has no value from a document"),
        (_not_evaluated, "apples@1 was evaluated (entry"),
        (_no_facts, "nothing is cited from source"),
        (_filled_gap, "are in no table"),
        (_hidden_evidence, "are in a table"),
        (_other("model_version", 2), "the ledger has no such version"),
        (_other("champion", True), "champion is 'False', not 'True'"),
        (_other("made", "2020-01-01T00:00:00Z"), "not '2020-01-01T00:00:00Z'"),
        (_other("size", 7), "size is"),
        (_other("key", "another"), "key is"),
        (_hidden_answer, "is open, although a person signed it (entry"),
        (_opened_answer, "is open, and has 'text'"),
        (_invented_answer, "is open, and has 'text'"),
        (_unknown_state, "is neither open nor signed nor stale"),
        (_other_risk, "the section 'risks' is not what the entry says"),
        (_no_risks, "what the answer rests on is not what the entry says"),
        (_other_version_of_answer, "the version is not what the entry says"),
        (_stale_answer, "is stale if something changed"),
    ],
)
def test_what_was_changed_in_a_dossier_is_found(
    change: Change, told: str, factory: Factory, archive: Path, written: str
) -> None:
    for path in (factory.home.path, archive):
        problems = _problems(path, written, change)
        assert [one for one in problems if told in one], problems
        assert all("--dossier" in one for one in problems)


def test_an_entry_of_another_history_is_found(
    factory: Factory, written: str, tmp_path: Path
) -> None:
    """Whoever has the key can sign two ledgers: the dossier is of one, the home of the other."""
    with Ledger(factory.home).reading() as log:
        entries = [read_entry(body) for _, body in log.bodies()]
    number = next(n for n, entry in enumerate(entries) if entry.kind == "run")
    assert str(number) in json.loads(written)["entries"]
    home = _of_another_history(factory, number, tmp_path)
    assert _verified(home.path, _written(factory, home).encode()).holds
    [problem] = _verified(home.path, written.encode()).problems
    assert f"entry {number} is another one in the ledger" in str(problem)


def test_another_history_in_which_the_cited_entries_are_the_same_is_found(
    factory: Factory, written: str, tmp_path: Path
) -> None:
    size, cited = json.loads(written)["size"], json.loads(written)["entries"]
    number = next(n for n in range(1, size) if str(n) not in cited)
    home = _of_another_history(factory, number, tmp_path)
    assert _verified(home.path, _written(factory, home).encode()).holds
    problems = [str(problem) for problem in _verified(home.path, written.encode()).problems]
    assert any("its checkpoint is of another history" in one for one in problems), problems


def _of_another_history(factory: Factory, number: int, tmp_path: Path) -> Home:
    """Return a copy of the home, in whose ledger an entry was made at another time."""
    home = Home(Path(shutil.copytree(factory.home.path, tmp_path / "home")))
    with Ledger(home).reading() as log:
        entries = [read_entry(body) for _, body in log.bodies()]
    entries[number] = entries[number].model_copy(update={"time": "2020-01-01T00:00:00Z"})
    home.ledger.unlink()
    with closing(new_sqlite(str(home.ledger))) as connection:
        new = [NewEntry(entry.body, getattr(entry, "subject", None)) for entry in entries]
        Log.create(connection, LogKey.load(home), new)
    return home


def test_what_is_no_dossier_is_one_problem(factory: Factory) -> None:
    for content in (b"", b"[]", b"{}", b"\xff", b'{"format": "factory.dossier", "version": 1}'):
        [problem] = _verified(factory.home.path, content).problems
        assert "--dossier" in str(problem)


def test_a_file_beside_provenance_that_its_manifest_does_not_list_is_found(
    factory: Factory, written: str
) -> None:
    content = json.loads(written)
    source = next(one for one in content["sources"] if one["path"].endswith("/environment.json"))
    manifest = source["path"].replace("environment.json", "manifest.json")
    digest = sha256((factory.home.path / manifest).read_bytes()).hexdigest()
    source |= {"path": manifest, "sha256": digest}
    problems = _verified(factory.home.path, json.dumps(content).encode()).problems
    assert "the SHA-256" in str(problems[0])


def _places(value: Any, *names: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield each place in a dossier; of lists only those in the first two parts."""
    parts = [*value.items()] if isinstance(value, dict) else [*enumerate(value)][:2]
    for name, part in parts:
        yield (*names, name)
        if isinstance(part, dict | list) and name != "declared":
            yield from _places(part, *names, name)


def test_whatever_is_in_a_dossier_the_answer_is_a_report(factory: Factory, written: str) -> None:
    files = HomeFolder(str(factory.home.path))
    short = json.loads(written)
    short["facts"] = short["facts"][:2]
    short["requirements"] = [one for one in short["requirements"] if one["id"] == "annex-iv.7"]
    places = [*_places(short)]
    assert len(places) > 60
    with closing(LedgerDatabase(str(factory.home.ledger))) as database:
        for *way, last in places:
            for junk in (None, 7, -1.5, "", "x\u202e", [], {}):
                content = copy.deepcopy(short)
                part = content
                for name in way:
                    part = part[name]
                part[last] = junk
                report = VerificationReport()
                verify_dossier(json.dumps(content).encode(), files, database, report)
                assert all("--dossier" in str(one) for one in report.problems)


def test_an_answer_whose_evidence_changed_since_is_found_by_the_verifier_itself(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_factory(factory, tmp_path / "root", monkeypatch)
    before = _written(copied, copied.home)
    copied.declare(slices=["colour"])
    copied.run()
    written = _written(copied, copied.home)
    [asked] = [one for one in json.loads(written)["requirements"] if one["id"] == "article.9"]
    assert (asked["answer"]["state"], asked["answer"]["changed"]) == ("stale", ["slices"])
    write_evidence("apples@1", tmp_path / "evidence.zip", None, with_rows=False)
    for path in (copied.home.path, tmp_path / "evidence.zip"):
        report = _verified(path, written.encode())
        assert report.holds, [str(one) for one in report.problems]
        told = "changed since it was signed, so that it is stale: slices"
        assert [one.file for one in report.notes if one.what == told] == [
            "governance/apples/article.9"
        ]
        # What was written before the evaluation is of a shorter ledger.
        assert _verified(path, before.encode()).holds

        def signed(content: dict[str, Any]) -> None:
            for asked, once in zip(
                content["requirements"], json.loads(before)["requirements"], strict=True
            ):
                asked["answer"] = once["answer"]

        [problem] = _problems(path, written, signed)
        assert "changed since it was signed" in problem
        assert problem.endswith("does not say so: slices")


def test_an_answer_about_an_earlier_version_holds_where_its_evaluation_is_not_in_the_archive(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_factory(factory, tmp_path / "root", monkeypatch)
    code, text = copied.factory("run", "apples", "--no-reuse")
    assert code == 0, text
    content = dossier_json(make_dossier(load_pipeline(copied.defs / "apples"), 2, copied.home))
    [asked] = [one for one in json.loads(content)["requirements"] if one["id"] == "article.9"]
    assert (asked["answer"]["state"], asked["answer"]["version"]) == ("signed", 1)
    write_evidence("apples@2", tmp_path / "evidence.zip", None, with_rows=False)
    for path in (copied.home.path, tmp_path / "evidence.zip"):
        report = _verified(path, content.encode())
        assert report.holds, [str(one) for one in report.problems]


def test_an_evaluation_that_is_not_the_last_one_is_found(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_factory(factory, tmp_path / "root", monkeypatch)
    before = json.loads(_written(copied, copied.home))
    copied.declare(slices=["colour"])
    copied.run()
    content = json.loads(_written(copied, copied.home))
    [old], [new] = (
        [one for one in dossier["sources"] if "/evaluate/" in one["path"]]
        for dossier in (before, content)
    )
    with Ledger(copied.home).reading() as log:
        body, note = log.body(old["entry"]), content["checkpoint"]
        proof = inclusion_proof(log.tree, old["entry"], content["size"], note)
    content["entries"][str(old["entry"])] = {"body": body.decode(), "proof": proof}
    content["sources"][content["sources"].index(new)] = old
    problems = _verified(copied.home.path, json.dumps(content).encode()).problems
    assert "is not the last result of evaluate" in str([one.what for one in problems])


def test_an_answer_whose_evidence_is_as_it_was_is_not_noted(factory: Factory) -> None:
    report = verify_path(str(factory.home.path), Expectation())[0]
    assert not [one for one in report.notes if "stale" in one.what]
