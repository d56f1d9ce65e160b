"""Facts about the service of a version: alarms, answers, retention, the ledger, boundaries."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from factory_assets.audit.dossier.cited import (
    Cell,
    CitedDocument,
    FactTable,
    fact_table,
    property_rows,
)
from factory_assets.audit.dossier.cited_home import VersionDocuments
from factory_assets.audit.erased import erasures_from
from factory_resources.ledger.boundary_entries import BoundaryHeld
from factory_resources.ledger.entries import ModelTrained, RunStarted
from factory_resources.ledger.entry import Entry
from factory_resources.ledger.ledger import entry_in
from factory_resources.ledger.prediction_entries import (
    PredictionsArchived,
    PredictionsErased,
    PredictionsRemoved,
)
from factory_resources.ledger.watch_entries import AlarmsChanged
from factory_resources.tracking.registry import Registry


def operation_facts(documents: VersionDocuments) -> Iterator[FactTable]:
    """Yield what the ledger says about the answers of a version, and about its runs."""
    yield from _alarms(documents)
    yield from _answers(documents)
    yield from _retention(documents)
    yield from _ledger(documents)
    yield from _boundary(documents)


def _alarms(documents: VersionDocuments) -> Iterator[FactTable]:
    entries = documents.cited.entries(AlarmsChanged, pipeline=documents.version.model)
    none: list[Cell] = ["none"]
    yield from fact_table(
        "drift",
        "alarms",
        "Alarms about answers of this version",
        ("time", "look", "open alarm"),
        (
            (entry.at("time"), entry.at("look"), alarm)
            for entry, one in entries
            if one.version == documents.version.version
            for alarm in ([*entry.leaves("open")] or none)
        ),
    )


def _answers(documents: VersionDocuments) -> Iterator[FactTable]:
    yield from fact_table(
        "prediction_log",
        "blocks",
        "Blocks of answers of all pipelines that were logged last",
        ("block", "time", "requests", "root of the tree over them"),
        (
            tuple(entry.at(field) for field in ("block", "time", "count", "root"))
            for entry in reversed(documents.cited.newest("predictions"))
            if entry.at("kind").value == "predictions"
        ),
    )
    gone = {
        file.value
        for kind, place in ((PredictionsErased, "file"), (PredictionsRemoved, "files"))
        for entry in _by_day(documents, kind)
        if entry.has(place)
        for file in entry.leaves(place)
    }
    rows = [
        (entry.at("day"), entry.at("count"), entry.at("sha256"))
        for entry in _by_day(documents, PredictionsArchived)
        if entry.at("sha256").value not in gone
    ]
    yield from fact_table(
        "prediction_log",
        "answers",
        "Answers of the pipeline in the archive, by day",
        ("day", "requests", "SHA-256 of the file"),
        rows,
    )


def _retention(documents: VersionDocuments) -> Iterator[FactTable]:
    if documents.declaration:
        yield from fact_table(
            "retention",
            "kept",
            "Declared retention; without `keep`, answers are kept 10 years for risk tier high, "
            "else 2 years",
            ("setting", "value"),
            property_rows(
                documents.declaration,
                {"risk tier": ("risk", "tier"), "keep": ("deploy", "log", "keep")},
            ),
        )
    yield from fact_table(
        "retention",
        "removed_answers",
        "Answers of the pipeline that were removed, by day",
        ("day", "requests", "reason"),
        (
            (entry.at("day"), entry.at("count"), entry.at("reason"))
            for entry in _by_day(documents, PredictionsRemoved)
        ),
    )
    version, cited = documents.version, documents.cited
    erasures = erasures_from(version.model, version.version, cited.home)
    yield from fact_table(
        "retention",
        "erased_rows",
        "Erasures of rows that this version learned from, with all rows of each",
        ("time", "rows", "SHA-256 of the manifest"),
        (
            tuple(cited.entry(one.entry).at(field) for field in ("time", "rows", "manifest"))
            for one in erasures
        ),
    )
    yield from fact_table(
        "retention",
        "erased_answers",
        "Answers of the pipeline that were erased one by one, by day",
        ("day", "requests", "erasure"),
        (
            (entry.at("day"), entry.at("count"), entry.at("erasure"))
            for entry in _by_day(documents, PredictionsErased)
        ),
    )


def _by_day(documents: VersionDocuments, kind: type[Entry]) -> Iterator[CitedDocument]:
    """Yield the entries about days, from that of the newest entry to the first training's."""
    cited, model = documents.cited, documents.version.model
    known = Registry(cited.home).versions().get(model, ())
    trained = cited.entries(ModelTrained, pipeline=model, version=known[0]) if known else []
    if not trained:
        return
    last = entry_in(cited.log, cited.log.size - 1).time
    first, day = date.fromisoformat(trained[0][1].time[:10]), date.fromisoformat(last[:10])
    while day >= first:
        for entry, _ in cited.entries(kind, pipeline=model, day=day.isoformat()):
            yield entry
        day -= timedelta(days=1)


def _ledger(documents: VersionDocuments) -> Iterator[FactTable]:
    first = documents.cited.entry(0)
    yield from fact_table(
        "ledger",
        "ledger",
        "The ledger that names these records",
        ("property", "value"),
        property_rows(first, {"begun": ("time",), "origin": ("origin",), "key": ("key",)}),
    )


def _boundary(documents: VersionDocuments) -> Iterator[FactTable]:
    cited = documents.cited
    runs = dict.fromkeys(
        str(record.at("run_id").value)
        for records in documents.stages.values()
        for record in records
    )
    started = [pair for run in runs for pair in cited.entries(RunStarted, run=run)]
    yield from fact_table(
        "boundary",
        "boundaries",
        "How much of the kernel's boundary held around the runs",
        ("run", "level"),
        ((entry.at("subject"), entry.get("boundary") or "not recorded") for entry, _ in started),
    )
    reports = [*_reports(documents, [one for _, one in started])]
    yield from fact_table(
        "boundary",
        "reports",
        "What was reported of the boundaries",
        ("report", "level", "reason"),
        ((entry.at("subject"), entry.at("level"), entry.at("reason")) for entry, _ in reports),
    )
    yield from fact_table(
        "boundary",
        "traffic",
        "Addresses that the runs were allowed to reach, and bytes",
        ("address", "sent", "received"),
        (
            (str(name), entry.at("allowed", name, "sent"), entry.at("allowed", name, "received"))
            for entry, _ in reports
            for name in entry.children("allowed")
        ),
    )


def _reports(
    documents: VersionDocuments, started: Sequence[RunStarted]
) -> Iterator[tuple[CitedDocument, BoundaryHeld]]:
    for name in dict.fromkeys(one.report for one in started if one.report):
        yield from documents.cited.entries(BoundaryHeld, report=name)
