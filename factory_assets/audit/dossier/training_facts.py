"""Facts about how a version was trained: model, search, environment, hardware, energy, code."""

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

_MODEL: dict[str, tuple[Step, ...]] = {
    "kind of model": ("value", "kind"),
    "task": ("value", "task"),
    "target": ("value", "target"),
    "rows that it learned from": ("value", "rows"),
    "why not from the validation rows": ("value", "refit", "reason"),
    "inner folds that decided": ("value", "refit", "folds"),
    "rounds of the last fit": ("value", "refit", "rounds"),
    "parameters": ("value", "parameters"),
    "best epoch": ("value", "best_epoch"),
    "decision threshold": ("value", "threshold"),
    "declared coverage of sets or intervals": ("value", "regions", "coverage"),
    "coverage holds for each": ("value", "regions", "by"),
    "held-out rows for the coverage": ("value", "regions", "rows"),
    "stopped by its budget of": ("value", "stopped", "budget"),
    "SHA-256 of its files": ("value", "digest"),
}

_COSTS = {
    "seconds": "seconds",
    "CPU seconds": "cpu_seconds",
    "peak memory, MB": "megabytes",
    "energy, Wh": "wh",
    "grid, g CO2e a kWh": "grid",
    "method": "method",
}


def training_facts(documents: VersionDocuments) -> Iterator[FactTable]:
    """Yield what is recorded about the training of a version."""
    trained = documents.of("train")
    if trained:
        yield from _model(trained)
        yield from _search(trained)
    if documents.environment:
        yield from _environment(documents.environment)
    yield from _energy(documents)
    yield from _code(documents)


def _model(trained: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "training", "model", "Model", ("property", "value"), property_rows(trained, _MODEL)
    )
    yield from fact_table(
        "training",
        "inputs",
        "Inputs and classes",
        ("role", "name"),
        (
            (f"{role} {int(i) + 1}", trained.at("value", field, i))
            for role, field in (
                ("numeric input", "numeric"),
                ("date or time", "times"),
                ("category", "categorical"),
                ("class", "classes"),
            )
            for i in trained.children("value", field)
        ),
    )
    yield from fact_table(
        "training",
        "regions",
        "Bounds of the sets or intervals, by group or class",
        ("group", "held-out rows", "bound"),
        (
            (
                str(trained.at("value", "regions", "groups", i, "group").value),
                trained.at("value", "regions", "groups", i, "rows"),
                trained.get("value", "regions", "groups", i, "bound"),
            )
            for i in trained.children("value", "regions", "groups")
        ),
    )
    yield from fact_table(
        "training",
        "settings",
        "Declared training, hyperparameters included",
        ("setting", "value"),
        setting_rows(trained, "parts", "declaration"),
    )
    yield from fact_table(
        "training",
        "losses",
        "Losses by epoch",
        ("epoch", "training loss", "validation loss"),
        item_rows(trained, ("epoch", "train_loss", "validation_loss"), "value", "history"),
    )


def _search(trained: CitedDocument) -> Iterator[FactTable]:
    place: tuple[Step, ...] = ("value", "tuned")
    chosen: dict[str, tuple[Step, ...]] = {
        "metric": (*place, "metric"),
        "higher is better": (*place, "higher_is_better"),
        "index of the chosen trial": (*place, "chosen"),
        **{
            f"chosen {name}": (*place, "settings", name)
            for name in trained.children(*place, "settings")
        },
    }
    yield from fact_table(
        "search",
        "search",
        "Search for settings",
        ("property", "value"),
        property_rows(trained, chosen),
    )
    yield from fact_table(
        "search",
        "trials",
        "Trials of the search",
        ("index", "state", "value"),
        (
            (str(i), *(trained.at(*place, "trials", i, field) for field in ("state", "value")))
            for i in trained.children(*place, "trials")
        ),
    )


def _environment(environment: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "environment",
        "environment",
        "Software of the training",
        ("software", "version"),
        [
            *property_rows(environment, {"Python": ("python",), "system": ("system",)}),
            *setting_rows(environment, "libraries"),
        ],
    )
    yield from fact_table(
        "hardware",
        "hardware",
        "Hardware of the training",
        ("property", "value"),
        property_rows(
            environment,
            {"processor": ("processor",), "device": ("device",), "threads": ("threads",)},
        ),
    )


def _energy(documents: VersionDocuments) -> Iterator[FactTable]:
    rows: list[tuple[Cell, ...]] = []
    for stage in documents.stages:
        for part, record in documents.labelled(stage):
            rows += (
                (f"{part}: {label}", record.at(field))
                for label, field in _COSTS.items()
                if record.has(field)
            )
    title = "Time, memory and energy, stage by stage"
    yield from fact_table("energy", "energy", title, ("measurement", "value"), rows)


def _code(documents: VersionDocuments) -> Iterator[FactTable]:
    yield from fact_table(
        "code",
        "code",
        "Digests of the code, stage by stage",
        ("stage", "code of the factory", "code of the user"),
        (
            (stage, records[0].at("parts", "code"), records[0].at("parts", "user code"))
            for stage, records in documents.stages.items()
        ),
    )
    if documents.environment:
        yield from fact_table(
            "code",
            "code_files",
            "Files of the factory that the training used",
            ("file", "SHA-256"),
            (
                (str(name), documents.environment.at("code", name))
                for name in documents.environment.children("code")
            ),
        )
