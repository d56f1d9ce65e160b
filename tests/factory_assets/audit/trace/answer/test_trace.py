"""An answer is traced to its version, the people who approved it, its run and its sources."""

import csv
import json
import os
import platform
import pwd
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.trace.answer.report import AnswerTrace
from factory_assets.cli.prediction import answer_text
from factory_assets.cli.schema import output_schema_text
from factory_assets.cli.wrapping import WIDTH
from factory_assets.results.base import digest
from factory_resources.home.home import PROJECT
from factory_resources.ledger.entries import CandidateDecided, RunStarted
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import request_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import encode
from factory_resources.tracking.records import Records
from tests.approvals import Factory, copy_factory, declare_factory
from tests.factory_assets.audit.trace.answer.traces import call, traced
from tests.pipelines import enter

pytestmark = pytest.mark.slow

ROW = 3
"""The row of the scored file that is traced, from 0."""


@dataclass(frozen=True)
class Answered:
    """A factory in which jane approved version 1, which then scored its own data."""

    factory: Factory
    ids: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.ids[ROW]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answered]:
    root = tmp_path_factory.mktemp("answered") / "root"
    factory = declare_factory(root)
    factory.declare(
        influence={"subsets": 8, "rows": 3, "at_least": 0.0}, importances=0, bootstrap=0
    )
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        factory.run()
        factory.approve()
        out = root / "scored.csv"
        code, text = factory.factory("predict", "apples", factory.data, "--out", str(out))
        assert code == 0, text
        with out.open() as file:
            ids = tuple(row["id"] for row in csv.DictReader(file))
        outcome = root / "outcomes.csv"
        outcome.write_text(f"id,outcome\n{ids[ROW]},good\n")
        assert factory.factory("feedback", "apples", str(outcome))[0] == 0
        yield Answered(factory, ids)


@pytest.fixture
def copied(made: Answered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answered:
    return Answered(copy_factory(made.factory, tmp_path / "root", monkeypatch), made.ids)


def test_an_answer_is_traced_to_everything_behind_it(made: Answered) -> None:
    home, found = made.factory.home, traced(made.id)
    assert found.problems == ()
    assert (found.pipeline, found.version, found.row, found.rows) == ("apples", 1, ROW, 200)
    assert found.input == {"size": 4.04, "colour": "red"}
    assert found.standing.role == "champion"
    with Ledger(home).reading() as log:
        kinds = {number: json.loads(body)["kind"] for number, body in log.bodies()}
    assert found.proof is not None
    assert kinds[found.proof.entry or 0] == "predictions"
    assert found.proof.proven is True
    assert kinds[found.standing.entry or 0] == "champion"
    [approval] = found.approvals
    assert (approval.what, approval.name, approval.role) == ("approved", "jane", "approver")
    assert (approval.reason, approval.statement, approval.before) == ("it is better", "whole", True)
    assert [event.what for event in found.serving] == ["became champion"]
    [outcome] = found.outcomes
    assert (outcome.value, outcome.hidden, outcome.source) == ("good", False, "file")


def test_the_training_behind_an_answer_is_as_the_records_say(made: Answered) -> None:
    home, found = made.factory.home, traced(made.id)
    records = {one.stage: one for one in Records(home).all("apples")}
    trained = records["train"]
    assert found.run is not None
    assert found.run.run_id == trained.run_id
    entry = Ledger(home).latest(RunStarted, RunStarted.subject_of(run=trained.run_id))
    assert entry is not None
    assert (found.run.entry, found.run.account) == (entry[0], entry[1].account)
    assert found.run.account_name == pwd.getpwuid(os.getuid()).pw_name
    assert found.environment is not None
    assert found.environment.python == platform.python_version()
    assert found.environment.libraries_sha256 == digest(found.environment.libraries)
    assert {cost.step.partition("@")[0]: cost.wh for cost in found.costs} == {
        f"apples/{stage}": record.wh for stage, record in records.items()
    }
    [contract] = found.contracts
    declared = records["ingest"].parts["declaration"]["contract"]
    assert (contract.sha256, contract.columns) == (digest(declared), 3)
    assert found.lineage is not None
    [source] = found.lineage.sources
    content = Path(made.factory.data).read_bytes()
    assert (source.sha256, source.state) == (sha256(content).hexdigest(), "whole")


def test_what_the_data_of_another_pipeline_cost_is_counted_there(made: Answered) -> None:
    found = traced(made.id, "--no-verify")
    other = found.costs[0].model_copy(update={"step": "orchard/clean@0", "wh": 1000.0})
    joined = found.model_copy(update={"costs": (*found.costs, other)})
    assert answer_text(joined) == answer_text(found)


def test_the_training_rows_that_moved_an_answer_are_rows_of_the_source(made: Answered) -> None:
    found = traced(made.id, "--influence", "--no-verify")
    report = found.influence
    assert report is not None
    assert (report.model, report.about) == ("apples@1", f"answer {made.id}")
    assert report.said == found.output["prediction"]
    assert report.at_least == 0 <= report.lds
    lines = Path(made.factory.data).read_text().splitlines()
    assert len(report.rows) == 10
    for row in report.rows:
        assert (row.source, row.lines) == ("data.csv", (row.record + 1, row.record + 1))
        assert lines[row.record].endswith(f",{row.label}")
    code, text = call(made.id, "--influence")
    assert code == 0
    assert f"LDS {report.lds:.2f}" in text
    assert f"record {report.rows[0].record} of data.csv, line {report.rows[0].record + 1}" in text


def test_the_text_fits_a_terminal_and_the_published_schema_is_current(made: Answered) -> None:
    code, text = call(made.id)
    assert code == 0
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "  output    probabilities = {'bad': 0." in text
    assert "approved by jane (approver): it is better" in text
    assert "no problems: every stored file was read" in text
    # Entries of the ledger, and `factory forget`, write an id without hyphens.
    as_entered = made.id.replace("-", "")
    assert call(as_entered, "--no-verify") == call(made.id, "--no-verify")
    published = (PROJECT / "docs" / "answer_trace.schema.json").read_text()
    assert published == output_schema_text(AnswerTrace), (
        "run: factory schema answer_trace > docs/answer_trace.schema.json"
    )


def test_a_source_is_traced_forward_to_the_answers_of_its_models(made: Answered) -> None:
    code, text = call(made.factory.data, "--row", 1, "--answers", "--json")
    assert code == 0, text
    [model] = json.loads(text)["fates"][0]["models"]
    assert (model["name"], model["answers"]["count"]) == ("apples@1", 200)
    assert model["answers"]["ids"] == [*made.ids]
    assert model["answers"]["first"] <= model["answers"]["last"]
    code, text = call(made.factory.data, "--answers")
    assert code == 0
    assert "gave 200 answers, from " in text
    assert "and 180 before: --json lists all on record" in text
    assert [name for name in made.ids if name in text] == [*made.ids[-20:]]
    code, text = call(made.factory.data, "--json")
    assert "ids" not in json.loads(text)["fates"][0]["models"][0]["answers"]


def test_a_changed_record_does_not_lead_to_the_root_of_its_block(copied: Answered) -> None:
    home, request = copied.factory.home, request_of(bytes.fromhex(copied.id.replace("-", "")))[0]
    with PredictionLog(home) as log:
        found = log.find(copied.id)
        assert found is not None
    output = found.record.output.replace(b'"bad"', b'"BAD"')
    changed = encode(type(found.record)(**{**_fields(found.record), "output": output}))
    with closing(sqlite3.connect(home.predictions_database)) as database:
        database.execute("UPDATE prediction SET record = ? WHERE id = ?", [changed, request])
        database.commit()
    traced_now = traced(copied.id, code=1)
    assert traced_now.proof is not None
    assert traced_now.proof.proven is False
    assert traced_now.problems == (
        f"the record of {copied.id} does not lead to the root of its block",
    )


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize(
    ("change", "state", "name", "problem"),
    [
        ("removed", "gone", "jane", "is gone"),
        ("changed", "changed", "jane", "was changed: its SHA-256 differs"),
    ],
)
def test_a_statement_that_does_not_hold_tells_neither_reason_nor_role(
    copied: Answered, change: str, state: str, name: str, problem: str
) -> None:
    home = copied.factory.home
    subject = CandidateDecided.subject_of(pipeline="apples", version=1)
    decided = Ledger(home).latest(CandidateDecided, subject)
    assert decided is not None
    path = home.path / "statements" / "apples" / f"{decided[1].statement}.json"
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    found = traced(copied.id, code=1)
    [approval] = found.approvals
    assert (approval.statement, approval.reason, approval.role) == (state, None, None)
    # The salt of this home still opens the commitment.
    assert approval.name == name
    assert found.problems == (f"the statement of entry {decided[0]} {problem}",)
    shutil.rmtree(home.path / "secrets")
    assert traced(copied.id, code=1).approvals[0].name is None


def test_a_signed_statement_opens_a_name_without_the_salts_of_the_home(copied: Answered) -> None:
    shutil.rmtree(copied.factory.home.path / "secrets")
    found = traced(copied.id)
    assert [approval.name for approval in found.approvals] == ["jane"]
    assert found.run is not None
    assert (found.run.account is None, found.run.account_name) == (False, None)


def test_an_answer_of_a_version_that_is_gone_is_told_from_the_ledger(copied: Answered) -> None:
    with closing(sqlite3.connect(copied.factory.home.mlflow_database)) as database:
        database.execute("UPDATE model_versions SET current_stage = 'Deleted_Internal'")
        database.commit()
    found = traced(copied.id, code=1)
    assert found.problems == ("apples@1 is not registered any more",)
    assert (found.lineage, found.environment) == (None, None)
    assert found.verdict is not None
    assert found.verdict.passed
    assert call(copied.id)[0] == 1


def test_an_unknown_answer_and_wrong_options_are_told_in_one_line(made: Answered) -> None:
    unknown = made.id[:-2] + "ff"
    for arguments, line in (
        ((unknown,), f"there is no prediction {unknown} in the log of this factory"),
        ((made.id, "--row", "1"), "is an answer; leave --row out"),
        (("apples@1", "--influence"), "is no answer; leave --influence out"),
        (("apples@1", "--answers"), "is a model; leave --answers out"),
        (("apples@1", "--html", "/proc/none/page.html"), "/proc/none/page.html: cannot write"),
    ):
        code, text = call(*arguments)
        assert code == 2
        assert line in text
        assert len(text.splitlines()) == 1


_WITHOUT_NUMPY = """\
import sys
from pathlib import Path
from factory_assets.web.door.refused_imports import WITHOUT, refuse_imports
refuse_imports()
from factory_assets.audit.trace.answer.finding import find_answer
from factory_assets.audit.trace.answer.trace import trace_answer
from factory_assets.audit.trace.trace import trace
from factory_assets.web.lineage.page import trace_page
from factory_resources.home.home import Home
home, answer, source = Home(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
folders = {"apples": source.parent}
print(trace_page(trace_answer(find_answer(answer, home), home, folders=folders)), end="")
names = ["apples@1", "apples/clean", str(source), str(source)]
for name, row in zip(names, (None, None, None, "3")):
    print(trace_page(trace(name, home, folders=folders, row=row)), end="")
assert not WITHOUT & sys.modules.keys()
"""


def test_pages_are_the_same_in_a_process_without_numpy(made: Answered, tmp_path: Path) -> None:
    expected = ""
    for arguments in (
        (made.id,),
        ("apples@1",),
        ("apples/clean",),
        (made.factory.data,),
        (made.factory.data, "--row", "3"),
    ):
        assert call(*arguments, "--html", tmp_path / "page.html")[0] == 0
        expected += (tmp_path / "page.html").read_text()
    arguments = [str(made.factory.home.path), made.id, made.factory.data]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_NUMPY, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    assert re.findall(r"\b(?:src|href)=|url\(|<script", expected) == []
