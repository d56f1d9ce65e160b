"""The facts that need neither home nor ledger: values of records that are made here."""

import dataclasses
from typing import Any

import pytest

from factory_assets.audit.dossier.cited import (
    MOST_ROWS,
    Citation,
    CitedDocument,
    FactTable,
    fact_table,
    pointer,
)
from factory_assets.audit.dossier.cited_home import CitedHome, VersionDocuments
from factory_assets.audit.dossier.data_facts import data_facts
from factory_assets.audit.dossier.training_facts import training_facts
from factory_assets.audit.dossier.version_facts import interface_facts
from factory_assets.results.data import ColumnDrift, Drift, Findings, IngestResult, SourceFile
from factory_assets.results.model import Candidate, Trial, Tuned
from factory_assets.results.stages import Stage
from factory_assets.results.training import Epoch, Stopped
from factory_assets.spec import PipelineSpec
from factory_resources.errors import ModelError
from factory_resources.ledger.factory_verify import follow_pointer
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.registry import Version
from tests.pipelines import APPLES


def _document(content: Any, path: str = "records/apples/train/a.json") -> CitedDocument:
    return CitedDocument(Citation(path, "0" * 64, 7, "1" * 64), content)


def _documents(
    stages: dict[Stage, tuple[CitedDocument, ...]], cited: CitedHome | None = None
) -> VersionDocuments:
    version = Version.__new__(Version)
    return VersionDocuments(cited, version, stages, None, None)  # type: ignore[arg-type]


def _table(tables: Any, name: str) -> FactTable:
    return next(table for table in tables if table.name == name)


def _shown(table: FactTable) -> list[list[Any]]:
    return [[cell if isinstance(cell, str) else cell.value for cell in row] for row in table.rows]


def _snapshot(table: str, *rows: int) -> Snapshot:
    files = [{"sha256": str(n) * 64, "rows": count, "bytes": 1} for n, count in enumerate(rows)]
    return Snapshot.model_validate({"table": table, "files": files, "columns": {"size": "DOUBLE"}})


def _ingested(rows: int, **findings: Any) -> CitedDocument:
    value = IngestResult(
        snapshot=_snapshot("apples/ingest", rows - 3),
        quarantine=_snapshot("apples/ingest_quarantine", 3),
        sources=(SourceFile(name="a.csv", sha256="a" * 64, rows=rows),),
        rows_read=rows,
        quarantined={"contract: size": 3},
        findings=Findings(**findings),
    )
    content = {"value": value.model_dump(mode="json"), "finished": "2026-11-27T02:00:00+00:00"}
    return _document({**content, "parts": {"code": "c" * 64, "user code": None}, "seconds": 1.5})


def _trained(**changed: Any) -> CitedDocument:
    value = {
        "model": "apples",
        "version": 3,
        "run_id": "run",
        "kind": "mlp",
        "task": "binary",
        "target": "label",
        "classes": ("bad", "good"),
        "numeric": ("size",),
        "categorical": (),
        "digest": "d" * 64,
        "history": (Epoch(epoch=1, train_loss=0.5, validation_loss=0.6),),
        "best_epoch": 1,
        "threshold": 0.5,
        "validation": {},
        "rows": 10,
        "parameters": 4,
    }
    candidate = Candidate.model_validate({**value, **changed})
    settings = {"model": {"kind": "mlp", "hidden": [8, 4], "dropout": None}, "seed": 7}
    parts = {"code": "c" * 64, "user code": None, "declaration": settings}
    return _document({"value": candidate.model_dump(mode="json"), "parts": parts, "seconds": 2.5})


def test_a_pointer_leads_to_the_value_whatever_its_name() -> None:
    content = {"a/b": {"~1": [0, {"": "found"}]}}
    document = _document(content)
    value = document.at("a/b", "~1", 1, "")
    assert value.pointer == pointer(("a/b", "~1", 1, "")) == "/a~1b/~01/1/"
    assert follow_pointer(content, value.pointer) == value.value == "found"


@pytest.mark.parametrize("steps", [("missing",), ("list", 2), ("list",), ("text", "part")])
def test_a_value_that_is_not_there_is_an_error(steps: tuple[str, ...]) -> None:
    document = _document({"list": [1], "text": "abc"})
    with pytest.raises(ModelError, match="there is no value at /"):
        document.at(*steps)


def test_a_long_table_is_shortened_and_counted() -> None:
    rows = [(str(number), "x") for number in range(MOST_ROWS + 5)]
    [table] = fact_table("sources", "sources", "Sources", ("name", "x"), rows)
    assert (len(table.rows), table.omitted) == (MOST_ROWS, 5)
    assert [*fact_table("sources", "sources", "Sources", ("name", "x"), [])] == []


def test_rows_of_each_partition_are_counted() -> None:
    documents = _documents({"ingest": (_ingested(10), _ingested(20))})
    tables = [*data_facts(documents)]
    rows = {row[0]: row[1] for row in _shown(_table(tables, "rows"))}
    assert rows == {
        "ingest 1: read": 10,
        "ingest 1: kept": 7,
        "ingest 1: in quarantine": 3,
        "ingest 2: read": 20,
        "ingest 2: kept": 17,
        "ingest 2: in quarantine": 3,
    }
    assert _shown(_table(tables, "broken_rules")) == [["ingest: contract: size", 3]] * 2
    assert _shown(_table(tables, "sources"))[1] == ["a.csv", 20, "a" * 64]


def test_personal_data_and_drift_are_named() -> None:
    moved = (ColumnDrift(column="size", index=0.4, what="mean 1 before, 2 now"),)
    drift = Drift(against="b" * 64, rows_before=9, schema_changes=(), moved=moved)
    ingested = _ingested(10, personal={"mail": "looks like e-mail addresses"}, drift=drift)
    tables = [*data_facts(_documents({"ingest": (ingested,)}))]
    personal = _table(tables, "personal_data")
    assert _shown(personal) == [["mail", "looks like e-mail addresses"]]
    assert _shown(_table(tables, "data_drift")) == [["size", 0.4, "mean 1 before, 2 now"]]


def test_a_search_has_its_trials_and_the_chosen_settings() -> None:
    trials = (Trial(state="complete", value=0.8), Trial(state="pruned", value=None))
    tuned = Tuned(
        metric="roc_auc", higher_is_better=True, trials=trials, chosen=0, settings={"lr": "0.1"}
    )
    tables = [*training_facts(_documents({"train": (_trained(tuned=tuned),)}))]
    assert ["chosen lr", "0.1"] in _shown(_table(tables, "search"))
    assert _shown(_table(tables, "trials")) == [["0", "complete", 0.8], ["1", "pruned", None]]
    without = [*training_facts(_documents({"train": (_trained(),)}))]
    assert not [table for table in without if table.kind == "search"]


def test_a_training_has_losses_settings_and_what_stopped_it() -> None:
    stopped = Stopped(budget="5 Wh", wh=5.1, minutes=2.0, after=(3,))
    tables = [*training_facts(_documents({"train": (_trained(stopped=stopped),)}))]
    assert ["stopped by its budget of", "5 Wh"] in _shown(_table(tables, "model"))
    assert _shown(_table(tables, "losses")) == [[1, 0.5, 0.6]]
    settings = _shown(_table(tables, "settings"))
    expected = [["model.kind", "mlp"], ["model.hidden.0", 8], ["model.hidden.1", 4], ["seed", 7]]
    assert settings == expected
    assert ["train: seconds", 2.5] in _shown(_table(tables, "energy"))


def test_a_request_has_the_columns_from_which_the_inputs_are_made() -> None:
    contract = [
        {"name": "size_text", "from": "Size [cm]", "type": "string"},
        {"name": "picked", "from": "Picked on", "type": "date"},
        {"name": "colour", "type": "string"},
        {"name": "label", "type": "string"},
    ]
    clean = {"derive": {"size": "CAST(replace(size_text, ',', '.') AS DOUBLE)"}}
    ingest = {**APPLES["ingest"], "contract": contract}
    spec = PipelineSpec.model_validate({**APPLES, "ingest": ingest, "clean": clean})
    columns = {"size_text": "VARCHAR", "picked": "DATE", "colour": "VARCHAR", "label": "VARCHAR"}
    documents = dataclasses.replace(
        _documents(
            {
                "ingest": (_document({"value": {"snapshot": {"columns": columns}}}),),
                "train": (_trained(numeric=("size",), times=("picked",)),),
            }
        ),
        declaration=_document(spec.model_dump(mode="json", by_alias=True)),
    )
    rows = [["Size [cm]", "VARCHAR"], ["Picked on", "DATE"]]
    assert sorted(_shown(_table(interface_facts(documents), "request"))) == sorted(rows)
    inputs = _shown(_table(training_facts(documents), "inputs"))
    assert ["date or time 1", "picked"] in inputs
