"""An answer of another factory is traced by its evidence, or by a pack, where there is no home."""

import csv
import html
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest

from factory_assets.serving.edge import score as program
from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.proofs import with_entry
from tests.approvals import Factory, declare_factory
from tests.factory_assets.audit.trace.answer.traces import call, traced
from tests.pipelines import enter

pytestmark = pytest.mark.slow

ROW = 3
"""The row of the scored file whose answer is traced, from 0."""


@dataclass(frozen=True)
class Handed:
    """What a factory hands to an auditor, in a folder without a home."""

    factory: Factory
    folder: Path
    id: str
    """Of an answer that the factory gave."""
    carried: str
    """Of one that a pack gave."""

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence.zip"

    @property
    def proof(self) -> Path:
        return self.folder / "proof.json"

    @property
    def pack(self) -> Path:
        return self.folder / "pack"

    @property
    def by_proof(self) -> list[object]:
        return [self.id, "--evidence", self.evidence, "--prediction", self.proof]

    @property
    def by_log(self) -> list[object]:
        return [self.carried, "--evidence", self.evidence, "--edge-log", self.pack]


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Handed:
    root = tmp_path_factory.mktemp("handed") / "root"
    factory = declare_factory(root)
    factory.declare(importances=0, bootstrap=0)
    folder = tmp_path_factory.mktemp("auditor")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        factory.run()
        factory.approve()

        def done(*words: str) -> None:
            code, text = factory.factory(*words)
            assert code == 0, text

        done("predict", "apples", factory.data, "--out", str(root / "scored.csv"))
        with (root / "scored.csv").open() as file:
            written = [row["id"] for row in csv.DictReader(file)][ROW]
        done("pack", "apples", "--edge", "--out", str(folder / "pack"))
        with program.Model(str(folder / "pack")) as model:
            [carried] = model.predict([{"size": 4.04, "colour": "red"}])
        done("answers", "prove", written, "--out", str(folder / "proof.json"))
        done("evidence", "apples@1", "--out", str(folder / "evidence.zip"))
    return Handed(factory, folder, written, carried["id"])


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trace where no home is, and require that none was made."""
    for name in ("FACTORY_DEFS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "none").exists()


def test_a_proven_answer_is_traced_by_the_evidence_alone(handed: Handed) -> None:
    found = traced(*handed.by_proof)
    assert (found.problems, found.row, found.version) == ((), ROW, 1)
    assert found.input == {"size": 4.04, "colour": "red"}
    assert found.proof is not None
    assert (found.proof.proven, found.standing.role) == (True, "champion")
    [approval] = found.approvals
    assert (approval.what, approval.name, approval.reason) == ("approved", "jane", "it is better")
    assert found.verdict is not None
    assert found.run is not None
    assert found.environment is not None
    assert found.lineage is not None
    assert found.lineage.model is not None
    assert found.lineage.model.state == "whole"
    stages = [step.stage for step in found.lineage.steps]
    assert stages == ["deploy", "evaluate", "train", "split", "clean", "ingest"]
    [source] = found.lineage.sources
    assert (Path(source.name).name, source.state) == ("data.csv", "not in the archive")
    assert found.archive is not None
    key = zipfile.ZipFile(handed.evidence).read("key").decode().strip()
    assert (found.archive.pipeline, found.archive.key) == ("apples", key)


def test_the_trace_is_that_of_the_home_but_for_what_the_archive_lacks(
    handed: Handed, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = traced(*handed.by_proof)
    enter(handed.factory.root, monkeypatch)
    home = traced(handed.id)
    apart = {"lineage", "archive", "missing", "run"}
    assert here.model_dump(exclude=apart) == home.model_dump(exclude=apart)
    assert here.run
    assert home.run
    assert here.run == home.run.model_copy(update={"account_name": here.run.account_name})
    assert here.lineage
    assert home.lineage
    steps = zip(here.lineage.steps, home.lineage.steps, strict=True)
    assert all(
        one.model_dump(exclude={"tables"}) == two.model_dump(exclude={"tables"})
        for one, two in steps
    )
    assert here.lineage.columns == home.lineage.columns


def test_what_the_archive_does_not_have_is_named(handed: Handed, tmp_path: Path) -> None:
    found = traced(*handed.by_proof)
    tables = {f"the rows of apples/{name}" for name in ("ingest", "clean")}
    assert tables < set(found.missing)
    assert "what turned out to be true of the answer" in found.missing
    page = tmp_path / "answer.html"
    code, text = call(*handed.by_proof, "--html", page)
    assert code == 0
    assert found.archive is not None
    for shown in (text, html.unescape(page.read_text())):
        assert "the rows of apples/clean" in shown
        assert "not in the archive" in shown.lower()
        assert found.archive.key in shown
        assert "No problems: whatever the archive has".lower() in shown.lower()


def test_with_rows_no_table_is_missing(handed: Handed, tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    with pytest.MonkeyPatch.context() as patch:
        enter(handed.factory.root, patch)
        code, text = handed.factory.factory(
            "evidence", "apples@1", "--with-rows", "--out", str(whole)
        )
        assert code == 0, text
    found = traced(handed.id, "--evidence", whole, "--prediction", handed.proof)
    assert found.problems == ()
    assert not [what for what in found.missing if what.startswith("the rows of")]
    assert found.lineage is not None
    assert {table.state for step in found.lineage.steps for table in step.tables} == {"whole"}


def test_an_answer_of_a_pack_is_traced_by_its_log_and_the_evidence(handed: Handed) -> None:
    found = traced(*handed.by_log)
    assert found.problems == ()
    assert found.edge is not None
    assert (found.standing.role, found.edge.line) == ("pack", 1)
    assert found.standing.entry == found.edge.entry is not None
    assert [one.name for one in found.approvals] == ["jane"]
    assert found.lineage is not None
    assert found.lineage.sources
    assert "has not come home" not in call(*handed.by_log)[1]


def test_a_pack_alone_tells_what_it_says_itself(handed: Handed, tmp_path: Path) -> None:
    found = traced(handed.carried, "--edge-log", handed.pack, code=1)
    assert found.edge is not None
    assert (found.pipeline, found.version, found.edge.entry) == ("apples", 1, None)
    assert found.problems == ("no ledger has this pack: only the pack itself says whose it is",)
    assert found.lineage is None
    assert "the version that answered, how it was made, evaluated and approved" in found.missing
    page = tmp_path / "answer.html"
    code, text = call(handed.carried, "--edge-log", handed.pack, "--html", page)
    assert code == 1
    for shown in (text, page.read_text()):
        assert "in no ledger" in shown
        assert "not in the pack" in shown.lower()


def test_where_a_ledger_is_gone_a_pack_does_not_stand_for_it(
    handed: Handed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shutil.copytree(handed.factory.home.path, tmp_path / "home")
    (home / "ledger.db").unlink()
    monkeypatch.setenv("FACTORY_HOME", str(home))
    code, text = call(handed.carried, "--edge-log", handed.pack)
    assert (code, "the ledger is gone" in text) == (2, True), text


def _changed(archive: Path, to: Path, name: str) -> Path:
    """Copy an archive with one byte of the first file whose name begins so changed."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(to, "w") as new:
        names = [item.filename for item in old.infolist() if item.filename.startswith(name)]
        for item in old.infolist():
            content = bytearray(old.read(item))
            if item.filename == names[0]:
                content[len(content) // 2] ^= 1
            new.writestr(item.filename, bytes(content))
    return to


@pytest.mark.parametrize("name", ["entries/", "home/records/apples/clean", "home/statements/"])
def test_evidence_with_a_changed_byte_is_refused(handed: Handed, name: str, tmp_path: Path) -> None:
    changed = _changed(handed.evidence, tmp_path / "changed.zip", name)
    code, text = call(handed.id, "--evidence", changed, "--prediction", handed.proof)
    assert code == 1
    assert "this evidence does not hold" in text
    assert len(text.strip().splitlines()) == 1


def test_a_forged_record_or_a_proof_of_another_ledger_is_refused(
    handed: Handed, tmp_path: Path
) -> None:
    said = json.loads(handed.proof.read_text())
    forged = tmp_path / "forged.json"
    for change in (
        {"record": factory_verify.format_base64(b"{}")},
        {
            "entry": {
                **said["entry"],
                "body": said["entry"]["body"].replace('"count":', '"count":1'),
            }
        },
        {
            "entry": {
                **said["entry"],
                "proof": said["entry"]["proof"].replace("\n\n", "\nAAAA\n\n", 1),
            }
        },
    ):
        forged.write_text(json.dumps({**said, **change}))
        code, text = call(handed.id, "--evidence", handed.evidence, "--prediction", forged)
        assert code == 1
        assert "does not hold" in text


def test_a_proof_by_the_ledger_of_somebody_else_is_refused(handed: Handed, tmp_path: Path) -> None:
    proof = factory_verify.PredictionProof.parse(handed.proof.read_bytes())
    assert proof.record
    digest = sha256(proof.record).digest()
    identifier, block = proof.identifier, str(UUID(int=7))
    root = factory_verify.prediction_leaf(identifier, digest).hex()
    other = Home(tmp_path / "other")
    Ledger(other).begin()
    entry = PredictionsLogged(
        subject=PredictionsLogged.subject_of(block=block),
        block=block,
        root=root,
        count=1,
        bytes=1,
        first=identifier.hex(),
        last=identifier.hex(),
    )
    Ledger(other).append([entry])
    leaf = factory_verify.ProvenLeaf(block, 0, identifier, digest, ())
    forged = with_entry(factory_verify.PredictionProof(identifier, proof.record, (leaf,)), other)
    assert forged.verify([entry.model_dump()])
    file = tmp_path / "forged.json"
    file.write_bytes(forged.format())
    code, text = call(handed.id, "--evidence", handed.evidence, "--prediction", file)
    assert (code, "it is of another log" in text) == (1, True), text


def test_what_is_asked_wrongly_is_said_in_one_line(handed: Handed, tmp_path: Path) -> None:
    cases: list[tuple[list[object], str]] = [
        ([handed.id, "--evidence", handed.evidence], "an evidence archive contains no answers"),
        ([handed.id, "--prediction", handed.proof], "a proof alone cannot be traced"),
        ([*handed.by_proof, "--influence"], "leave --influence out"),
        (["apples@1", *handed.by_proof[1:]], "apples@1 is not the id of an answer"),
        ([handed.carried, *handed.by_proof[1:]], "the proof is not about"),
        ([handed.id, *handed.by_log[1:]], "no checkpoint of this log proves"),
        (
            [handed.id, "--evidence", tmp_path / "none.zip", "--prediction", handed.proof],
            "there is no such file",
        ),
    ]
    for arguments, line in cases:
        code, text = call(*arguments)
        assert (code, line in text) == (2, True), text


def test_the_verifier_checks_a_proof_with_an_archive(
    handed: Handed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(handed.evidence), "--prediction", str(handed.proof)]
    assert factory_verify.main(words) == 0
    assert "was answered as the proof says" in capsys.readouterr().out
    said = json.loads(handed.proof.read_text())
    del said["entry"]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(said))
    assert factory_verify.main([words[0], "--prediction", str(older)]) == 1
    assert "has no entry of its block" in capsys.readouterr().out
    other = io.StringIO(json.dumps({**said, "record": None, "leaves": []}))
    older.write_text(other.getvalue())
    assert factory_verify.main([words[0], "--prediction", str(older)]) == 1
    assert "only a home shows" in capsys.readouterr().out
