"""Facts about the evaluation of a version: metrics, gates, slices, fairness, robustness."""

from collections.abc import Iterator

from factory_assets.audit.dossier.cited import (
    Cell,
    CitedDocument,
    FactTable,
    Step,
    fact_table,
    item_rows,
    property_rows,
)
from factory_assets.audit.dossier.cited_home import VersionDocuments

_CALIBRATION = ("ece", "brier", "log_loss")

_GATE = ("name", "metric", "value", "bound", "passed", "explanation")

_INFLUENCE = (
    "score",
    "ceiling",
    "at_least",
    "reach",
    "seeds",
    "subsets",
    "rows",
    "trainings",
)


def evaluation_facts(documents: VersionDocuments) -> Iterator[FactTable]:
    """Yield what was measured on rows that a version was not trained on."""
    evaluated = documents.of("evaluate")
    if evaluated:
        yield from _metrics(evaluated)
        yield from _folds(evaluated)
        yield from _slices(evaluated)
        yield from _fairness(evaluated)
        yield from _calibration(documents, evaluated)
        yield from _robustness(evaluated)
        yield from _influence(evaluated)
        yield from _gates(evaluated)


def _metrics(evaluated: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "metrics",
        "metrics",
        "Metrics on the test rows, with 95 % intervals",
        ("metric", "value", "low", "high", "trivial baseline", "linear model", "champion then"),
        (
            (
                str(name),
                evaluated.at("value", "metrics", name),
                *(
                    evaluated.get("value", *place)
                    for place in (
                        ("intervals", name, 0),
                        ("intervals", name, 1),
                        ("baselines", "trivial", name),
                        ("baselines", "linear", name),
                        ("champion", name),
                    )
                ),
            )
            for name in evaluated.children("value", "metrics")
        ),
    )
    yield from fact_table(
        "metrics",
        "metrics_setup",
        "What was compared",
        ("property", "value"),
        property_rows(
            evaluated,
            {
                "primary metric": ("value", "headline"),
                "champion then, version": ("value", "champion_version"),
            },
        ),
    )


def _folds(evaluated: CitedDocument) -> Iterator[FactTable]:
    place: tuple[Step, ...] = ("value", "folds", "metrics")
    yield from fact_table(
        "metrics",
        "folds",
        "Cross-validation: metrics of each fold, and on all rows together",
        ("metric and fold", "value"),
        (
            row
            for name in evaluated.children(*place)
            for row in (
                *(
                    (f"{name}, fold {int(i) + 1}", evaluated.at(*place, name, "values", i))
                    for i in evaluated.children(*place, name, "values")
                ),
                (f"{name}, all rows", evaluated.at(*place, name, "pooled")),
            )
        ),
    )


def _slices(evaluated: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "slices",
        "slices",
        "Metrics on parts of the test rows",
        ("part and measurement", "value"),
        (
            row
            for i in evaluated.children("value", "slices")
            for row in _of_group(evaluated, ("value", "slices", i), "metrics", ())
        ),
    )


def _fairness(evaluated: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "fairness",
        "fairness",
        "Decisions about groups of persons, with 95 % intervals",
        ("group and measurement", "value"),
        (
            row
            for i in evaluated.children("value", "groups")
            for row in _of_group(
                evaluated, ("value", "groups", i), "rates", ("value", "low", "high", "rows")
            )
        ),
    )


def _of_group(
    evaluated: CitedDocument, place: tuple[Step, ...], field: str, numbers: tuple[str, ...]
) -> Iterator[tuple[Cell, ...]]:
    column, value = (evaluated.at(*place, one).value for one in ("column", "value"))
    group = f"{column} = {value}"
    yield f"{group}: rows", evaluated.at(*place, "rows")
    for name in evaluated.children(*place, field):
        for number in numbers:
            label = str(name).replace("_", " ") + ("" if number == "value" else f", {number}")
            yield f"{group}: {label}", evaluated.at(*place, field, name, number)
        if not numbers:
            yield f"{group}: {name}", evaluated.at(*place, field, name)


def _calibration(documents: VersionDocuments, evaluated: CitedDocument) -> Iterator[FactTable]:
    trained = documents.of("train")
    declared: dict[str, tuple[Step, ...]] = {
        "declared calibration": ("parts", "declaration", "calibrate")
    }
    measured = {name: ("value", "metrics", name) for name in _CALIBRATION}
    if any(evaluated.has(*steps) for steps in measured.values()):
        yield from fact_table(
            "calibration",
            "calibration",
            "Calibration of the probabilities on the test rows",
            ("measurement", "value"),
            [
                *(property_rows(trained, declared) if trained else ()),
                *property_rows(evaluated, measured),
            ],
        )
    yield from fact_table(
        "calibration",
        "at_half",
        "Metrics if a row were positive from a probability of one half",
        ("metric", "value"),
        (
            (str(name), evaluated.at("value", "at_half", name))
            for name in evaluated.children("value", "at_half")
        ),
    )


def _robustness(evaluated: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "robustness",
        "robustness",
        "The primary metric on disturbed inputs",
        ("disturbance", "level", "mean", "standard deviation"),
        (
            (
                f"{int(i) + 1}. {evaluated.at('value', 'robustness', i, 'kind').value}",
                *(
                    evaluated.at("value", "robustness", i, field)
                    for field in ("level", "mean", "sd")
                ),
            )
            for i in evaluated.children("value", "robustness")
        ),
    )


def _influence(evaluated: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "influence",
        "influence",
        "Reliability of the estimated influence of training rows",
        ("property", "value"),
        property_rows(
            evaluated,
            {name.replace("_", " "): ("value", "influence", name) for name in _INFLUENCE},
        ),
    )
    yield from fact_table(
        "influence",
        "importances",
        "How much the primary metric worsens if one input is shuffled",
        ("input", "mean", "standard deviation"),
        item_rows(evaluated, ("column", "mean", "sd"), "value", "importances", "columns"),
    )


def _gates(evaluated: CitedDocument) -> Iterator[FactTable]:
    yield from fact_table(
        "gates",
        "gates",
        "Gates, declared beforehand",
        _GATE,
        item_rows(evaluated, _GATE, "value", "gates"),
    )
