"""What is still told of a version after an erasure, and that it says so."""

import csv
import json
import zipfile
from pathlib import Path

import pytest

from factory_assets.results.base import result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.record_graph import RecordGraph
from factory_resources.erasure.manifest import ErasureManifest, manifest_file, manifests
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureDone
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger
from factory_resources.sources.files.discovery import sha256_of
from tests.commands import in_process
from tests.data_stages import column
from tests.erasures import (
    CITY,
    NAME,
    PERSON,
    ROW,
    copied,
    erase,
    home_of,
    people_rows,
    write_people,
)
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.ledger import problems

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def erased(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The factory, whose version has an SBOM, after the erasure."""
    root = tmp_path_factory.mktemp("erased") / "root"
    with pytest.MonkeyPatch.context() as patch:
        copied(made, root, patch)
        assert in_process("sbom", "people@1", "--record")[0] == 0
        write_people(root / "others", people_rows()[: ROW - 1])
        scored = str(root / "others" / "scored.csv")
        told = in_process("predict", "people", str(root / "others" / "data.csv"), "--out", scored)
        assert told[0] == 0, told
        assert erase()
    return root


@pytest.fixture(autouse=True)
def _entered(erased: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(erased / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(erased / "defs"))


def _manifest(root: Path) -> ErasureManifest:
    [manifest] = manifests(home_of(root))
    return manifest


def _erased_at(root: Path) -> str:
    subject = ErasureBegun.subject_of(erasure=_manifest(root).id)
    entered = Ledger(home_of(root)).latest(ErasureBegun, subject)
    assert entered
    return entered[1].time[:19].replace("T", " ")


def _entry(home: Home, kind: type[ErasureBegun] | type[ErasureDone]) -> int:
    [manifest] = manifests(home)
    entered = Ledger(home).latest(kind, kind.subject_of(erasure=manifest.id))
    assert entered is not None
    return entered[0]


def test_a_version_says_that_its_rows_were_erased(erased: Path) -> None:
    number = _entry(home_of(erased), ErasureBegun)
    code, text = in_process("trace", "people@1")
    assert code == 0
    told = f"rows that it learned from were erased {_erased_at(erased)} UTC (entry {number})"
    assert told in text
    code, text = in_process("trace", "people@1", "--json")
    [told] = json.loads(text)["model"]["erased"]
    assert (code, told["entry"]) == (0, number)


def test_a_version_says_that_rows_it_was_evaluated_on_were_erased(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(copied(made, tmp_path / "root", monkeypatch))
    [split] = RecordGraph.of(home).of_stage("people", "split")
    assert erase(f"nbr = {column(result_as(SplitResult, split).test, home, 'nbr')[0]}")
    code, text = in_process("trace", "people@1")
    assert (code, "learned from were erased" in text) == (0, False)
    assert "rows that it did not learn from were erased" in text
    number = _entry(home, ErasureBegun)
    assert f"(entry {number})" in text
    assert in_process("trace", "people@1", "--html", str(tmp_path / "trace.html"))[0] == 0
    page = text_of((tmp_path / "trace.html").read_text())
    assert "Erased rows that it did not learn from" in page
    # Without it, an auditor could not tell why records are others than the ledger had at first.
    archive = tmp_path / "evidence.zip"
    assert in_process("evidence", "people@1", "--out", str(archive))[0] == 0
    assert verify_path(str(archive), Expectation())[0].checked["erasures"] == 1
    with zipfile.ZipFile(archive) as evidence:
        [manifest] = manifests(home)
        assert {f"entries/{number}.json", f"home/erasures/{manifest.id}.json"} <= {
            *evidence.namelist()
        }


def test_a_roll_back_to_a_version_says_that_its_rows_were_erased(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(made, tmp_path / "root", monkeypatch)
    assert erase()
    code, text = in_process("run", "people")
    assert code == 0, text
    code, text = in_process("rollback", "people", "--reason", "odd answers")
    number = _entry(home_of(root), ErasureBegun)
    told = f"rows that people@1 learned from were erased {_erased_at(root)} UTC (entry {number})"
    assert (code, told in text) == (0, True), text
    code, text = in_process("rollback", "people", "--to", "2", "--reason", "the other is worse")
    assert (code, "erased" in text) == (0, False), text


def test_an_erased_row_of_a_source_is_told_from_one_that_never_was(erased: Path) -> None:
    code, text = in_process("trace", "data.csv", "--row", str(ROW))
    assert (code, "people/ingest" in text) == (0, True)
    assert text.split("went to")[1].split("\n")[2].strip() == "erased"
    code, text = in_process("trace", "data.csv", "--row", str(len(people_rows())))
    assert (code, "people/ingest" in text, "kept, row" in text) == (0, True, True)
    code, text = in_process("trace", "data.csv", "--row", str(len(people_rows()) + 1))
    assert (code, "there is no row" in text, "erased" in text) == (2, True, False)
    # The lines of the file are those of before.
    code, text = in_process("trace", "people/clean", "--row", str(ROW))
    assert (code, f"record {ROW + 1} of data.csv" in text, f"line {ROW + 2}" in text) == (
        0,
        True,
        True,
    )


def test_it_cannot_be_trained_again_and_says_why(erased: Path) -> None:
    code, text = in_process("reproduce", "people@1")
    assert (code, text.count("\n")) == (2, 1)
    assert f"(entry {_entry(home_of(erased), ErasureBegun)})" in text
    assert "were erased" in text


@pytest.mark.parametrize("document", ["dossier", "data-sheet"])
def test_documents_cite_the_erasure(erased: Path, document: str) -> None:
    code, text = in_process("dossier", "people@1", "--as", document)
    assert (code, "Erasures of rows that this version learned from" in text) == (0, True)
    assert f"ntry {_entry(home_of(erased), ErasureBegun)} of the ledger" in text
    assert str(PERSON) not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("evidence", "people@1", "--out", "evidence.zip"),
        ("export-data", "people/clean", "--as", "croissant", "--out", "croissant.json"),
        ("export-data", "visits/ingest", "--as", "odcs", "--out", "contract.yaml"),
        ("sbom", "people@1", "--out", "sbom.json"),
    ],
    ids=lambda arguments: arguments[-1],
)
def test_what_is_handed_out_has_nothing_of_the_person(
    arguments: tuple[str, ...], erased: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = in_process(*arguments)
    assert code == 0, text
    content = (tmp_path / arguments[-1]).read_bytes()
    assert not [one for one in (NAME, CITY, str(PERSON)) if one.encode() in content]


def test_evidence_that_is_made_afterwards_proves_the_erasure(erased: Path, tmp_path: Path) -> None:
    archive, proof = tmp_path / "evidence.zip", tmp_path / "proof.json"
    with (erased / "others" / "scored.csv").open() as file:
        answer = next(csv.DictReader(file))["id"]
    assert in_process("evidence", "people@1", "--out", str(archive))[0] == 0
    assert in_process("answers", "prove", answer, "--out", str(proof))[0] == 0
    asked = ("trace", answer, "--prediction", str(proof), "--evidence")
    number = _entry(home_of(erased), ErasureBegun)
    for told in (in_process("trace", answer), in_process(*asked, str(archive))):
        assert told[0] == 0, told
        line = f"rows that it learned from were erased {_erased_at(erased)} UTC (entry {number})"
        assert line in " ".join(told[1].split())
    other, name = tmp_path / "other.zip", f"home/erasures/{_manifest(erased).id}.json"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            body = old.read(info)
            new.writestr(info, body.replace(b"42", b"43") if info.filename == name else body)
    code, text = in_process(*asked, str(other))
    assert (code, "this evidence does not hold" in text) == (1, True), text


def test_status_and_check_still_work(erased: Path) -> None:
    assert in_process("status")[0] == 0
    assert in_process("check")[0] == 0
    assert problems(home_of(erased)) == []


def test_without_the_manifest_no_row_comes_back(erased: Path) -> None:
    home, manifest = home_of(erased), _manifest(erased)
    path = manifest_file(home, manifest.id)
    path.unlink()
    try:
        code, text = in_process("run", "people")
        assert (code, "the manifest of an erasure is missing" in text) == (2, True), text
        assert "erased rows would come back" in text
        code, text = in_process("status")
        assert "erasure manifest" in text
        # Lines end and are indented within a long path.
        assert str(path) in "".join(text.split())
        client = client_of(app_of(home), "ada", ["auditor"])
        digest = sha256_of(erased / "defs" / "people" / "data.csv", "data.csv")
        answer = client.get(f"/audit/files/{digest}?row={ROW}")
        assert NAME not in answer.text
        assert "the manifest of an erasure is missing" in text_of(answer.text)
    finally:
        path.write_bytes(manifest.content)
    assert problems(home) == []


def test_an_auditor_reads_of_it(erased: Path) -> None:
    home = home_of(erased)
    client = client_of(app_of(home), "ada", ["auditor"])
    pages = {
        "/audit/people": "people",
        "/audit/people/1": "rows that it learned from",
        f"/audit/entries/{_entry(home, ErasureBegun)}": "erasure",
        f"/audit/entries/{_entry(home, ErasureDone)}": "erasure",
    }
    for path, word in pages.items():
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert mistakes_of(answer.text) == []
        assert word in text_of(answer.text), path
        assert NAME not in answer.text


def test_an_auditor_is_not_shown_the_row_that_the_source_still_has(erased: Path) -> None:
    source = erased / "defs" / "people" / "data.csv"
    assert NAME in source.read_text().splitlines()[ROW]
    client = client_of(app_of(home_of(erased)), "ada", ["auditor"])
    for asked in (f"row={ROW}", f"line={ROW + 1}", f"row={ROW + 1}"):
        answer = client.get(f"/audit/files/{sha256_of(source, source.name)}?{asked}")
        assert (answer.status_code, mistakes_of(answer.text)) == (200, [])
        assert f'<th scope="row">{ROW}</th>' not in answer.text
        assert f'<th scope="row">{ROW - 1}</th>' in answer.text
        assert "1 row that was erased and that the file still has is not shown" in text_of(
            answer.text
        )
