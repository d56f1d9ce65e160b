"""Facts about the data: sources, contract, rows a stage, splits, leaks, personal data, drift."""

from collections.abc import Iterator

from factory_assets.audit.dossier.cited import (
    Cell,
    CitedDocument,
    FactTable,
    Step,
    fact_table,
    item_rows,
    property_rows,
    setting_rows,
)
from factory_assets.audit.dossier.cited_home import VersionDocuments
from factory_assets.results.stages import Stage

_COLUMNS: tuple[Step, ...] = ("ingest", "contract", "columns")

_CONTRACT = ("name", "type", "nullable", "unique", "sensitive", "unit", "description")

_LIMITS = ("range", "length", "pattern", "values")

_ROW_COUNTS: dict[Stage, dict[str, tuple[Step, ...]]] = {
    "ingest": {"read": ("rows_read",)},
    "clean": {"in": ("rows_in",), "duplicates": ("duplicates",)},
}


def data_facts(documents: VersionDocuments) -> Iterator[FactTable]:
    """Yield what is recorded about the data behind a version."""
    yield from _sources(documents)
    yield from _contract(documents)
    yield from _lineage(documents)
    yield from _personal_data(documents)
    yield from _drift(documents)
    if split := documents.of("split"):
        yield from _splits(split)
        yield from _leaks(split)


def _sources(documents: VersionDocuments) -> Iterator[FactTable]:
    yield from fact_table(
        "sources",
        "sources",
        "Sources that were read, with their digests",
        ("source", "rows", "SHA-256"),
        (
            row
            for record in documents.stages.get("ingest", ())
            for row in item_rows(record, ("name", "rows", "sha256"), "value", "sources")
        ),
    )


def _contract(documents: VersionDocuments) -> Iterator[FactTable]:
    declared = documents.declaration
    if declared:
        yield from fact_table(
            "data_contract",
            "contract",
            "Declared columns",
            _CONTRACT,
            item_rows(declared, _CONTRACT, *_COLUMNS),
        )
        yield from fact_table(
            "data_contract",
            "contract_limits",
            "Declared limits of values",
            ("limit", "value"),
            (
                (f"{declared.at(*_COLUMNS, i, 'name').value}: {label}", value)
                for i in declared.children(*_COLUMNS)
                for limit in _LIMITS
                for label, value in _named(limit, declared, *_COLUMNS, i, limit)
            ),
        )
    ingested = documents.of("ingest")
    if ingested:
        yield from fact_table(
            "data_contract",
            "columns",
            "Columns of the ingested table",
            ("column", "type"),
            (
                (str(name), ingested.at("value", "snapshot", "columns", name))
                for name in ingested.children("value", "snapshot", "columns")
                if not str(name).startswith("_")
            ),
        )


def _named(label: str, document: CitedDocument, *steps: Step) -> Iterator[tuple[str, Cell]]:
    for name, value in setting_rows(document, *steps):
        yield f"{label} {name}".strip(), value


def _lineage(documents: VersionDocuments) -> Iterator[FactTable]:
    yield from fact_table(
        "lineage",
        "rows",
        "Rows, stage by stage",
        ("rows", "count", "computed"),
        (row for stage in _ROW_COUNTS for row in _stage_rows(documents, stage)),
    )
    yield from fact_table(
        "lineage",
        "broken_rules",
        "Rows in quarantine, by the rule that they broke",
        ("rule", "rows"),
        (
            (f"{stage}: {rule}", record.at("value", "quarantined", rule))
            for stage in _ROW_COUNTS
            for record in documents.stages.get(stage, ())
            for rule in record.children("value", "quarantined")
        ),
    )
    cleaned = documents.of("clean")
    if cleaned:
        yield from fact_table(
            "lineage",
            "cleaning",
            "Declared cleaning",
            ("setting", "value"),
            setting_rows(cleaned, "parts", "declaration"),
        )


def _stage_rows(documents: VersionDocuments, stage: Stage) -> Iterator[tuple[Cell, ...]]:
    for part, record in documents.labelled(stage):
        for label, steps in _ROW_COUNTS[stage].items():
            if record.has("value", *steps):
                yield f"{part}: {label}", record.at("value", *steps), record.at("finished")
        for label, table in (("kept", "snapshot"), ("in quarantine", "quarantine")):
            files = record.children("value", table, "files")
            for i in files:
                file = f", file {int(i) + 1}" if len(files) > 1 else ""
                rows = record.at("value", table, "files", i, "rows")
                yield f"{part}: {label}{file}", rows, record.at("finished")


def _splits(split: CitedDocument) -> Iterator[FactTable]:
    parts = ("train", "validation", "test")
    yield from fact_table(
        "splits",
        "parts",
        "Parts of the clean rows",
        ("part", "rows", "SHA-256 of the file"),
        (
            (
                f"{part} {int(i) + 1}" if i else part,
                split.at("value", part, "files", i, "rows"),
                split.at("value", part, "files", i, "sha256"),
            )
            for part in parts
            for i in split.children("value", part, "files")
        ),
    )
    yield from fact_table(
        "splits",
        "split_settings",
        "Declared split",
        ("setting", "value"),
        setting_rows(split, "parts", "declaration", "split"),
    )


def _leaks(split: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "leaks",
        "leaks",
        "Search for leaks of the target",
        ("measurement", "value"),
        [
            *property_rows(
                split,
                {
                    "measure": ("value", "leaks", "measure"),
                    "value from which one input decides the target": ("value", "leaks", "limit"),
                    "test rows that repeat a training row": (
                        "value",
                        "leaks",
                        "duplicates",
                        "rows",
                    ),
                    "their share": ("value", "leaks", "duplicates", "share"),
                },
            ),
            *(
                (f"{word}: {name}", split.at("value", "leaks", field, name))
                for field, word in (
                    ("power", "one input alone"),
                    ("groups", "share of test rows whose name a training row has"),
                    ("later", "share of training rows that are later"),
                )
                for name in split.children("value", "leaks", field)
            ),
        ]
        if split.children("value", "leaks", "inputs")
        else (),
    )


def _personal_data(documents: VersionDocuments) -> Iterator[FactTable]:
    place: tuple[Step, ...] = ("value", "findings", "personal")
    found: list[tuple[Cell, ...]] = [
        (str(column), record.at(*place, column))
        for record in documents.stages.get("ingest", ())
        for column in record.children(*place)
    ]
    declared = documents.declaration
    for i in declared.children(*_COLUMNS) if declared else ():
        assert declared
        if declared.has(*_COLUMNS, i, "sensitive"):
            name = str(declared.at(*_COLUMNS, i, "name").value)
            found.append((f"{name}: declared", declared.at(*_COLUMNS, i, "sensitive")))
    title = "Columns that look like personal data, or are declared sensitive"
    yield from fact_table("personal_data", "personal_data", title, ("column", "reason"), found)


def _drift(documents: VersionDocuments) -> Iterator[FactTable]:
    place = ("value", "findings", "drift", "moved")
    yield from fact_table(
        "drift",
        "data_drift",
        "Drift against the table that was ingested before",
        ("column", "index", "change"),
        (
            row
            for record in documents.stages.get("ingest", ())
            for row in item_rows(record, ("column", "index", "what"), *place)
        ),
    )
