"""Say in sentences what the figures of a forecast assume, and what was not measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from factory_assets.audit.cost.growth import basis_of
from factory_assets.audit.cost.measured_stages import MeasuredStage
from factory_assets.audit.cost.nights import YearOfNights
from factory_resources.ledger.factory_verify import amount


@dataclass(frozen=True)
class ForecastBasis:
    """What a forecast rests on."""

    stages: Mapping[str, tuple[Sequence[MeasuredStage], Mapping[str, int]]]
    """What was measured, and how many records were left out, by the reason."""
    rows: int
    has_partitions: bool
    on_gpu: bool
    grid: float
    """g CO2e per kWh."""
    watts_per_core: float
    year: YearOfNights
    is_answered: bool
    machines: Sequence[str]
    """The names of the other machines."""


def notes(found: ForecastBasis) -> Iterator[str]:
    """Yield one line for each assumption, and for what is missing."""
    yield from _sizes(found)
    yield from _missing(found)
    methods = {
        method: None
        for measured, _ in found.stages.values()
        for one in measured
        for method in one.methods
    }
    yield f"energy of this machine: {'; '.join(methods)}"
    carbon = "the table of carbon" if found.year.green else f"{found.grid:g} g CO2e per kWh"
    yield f"carbon of a training: {found.grid:g} g CO2e per kWh; of a year of nights: {carbon}"
    yield "a year of nights: each computes everything; one in which nothing changed costs less"
    if found.has_partitions:
        yield "partitions: one after the other; --workers takes less time and the same energy"
    yield from _answers(found)
    yield from _machines(found)


def _sizes(found: ForecastBasis) -> Iterator[str]:
    measured = {stage: every for stage, (every, _) in found.stages.items() if every}
    by_basis: dict[str, list[str]] = {}
    for stage, every in measured.items():
        basis = basis_of([one.rows for one in every], found.rows)
        by_basis.setdefault(basis, []).append(stage)
    if stages := by_basis.get("one size"):
        yield (
            f"{', '.join(stages)}: measured with one number of rows; taken to be proportional to "
            "the rows, and the error covers everything from no growth to the power of 1.5; memory "
            "is not known; runs with other numbers of rows make the error smaller"
        )
    if stages := by_basis.get("beyond"):
        yield (
            f"{', '.join(stages)}: {found.rows:,} rows are beyond what was measured; the error "
            "grows with the distance"
        )


def _missing(found: ForecastBasis) -> Iterator[str]:
    if unmeasured := [stage for stage, (every, _) in found.stages.items() if not every]:
        yield f"not measured, and not in the sums: {', '.join(unmeasured)}"
    for stage, (_, left_out) in found.stages.items():
        for reason, count in left_out.items():
            yield f"left out: {amount(count, 'results')} of {stage}: {reason}"


def _answers(found: ForecastBasis) -> Iterator[str]:
    if not found.is_answered:
        yield "a million answers: not measured, because nothing was answered in the last year"
        return
    yield (
        "a million answers: one after the other, in requests and files as small as the logged "
        "ones; of larger ones, a row takes less; the first request after a start takes far longer "
        "than others, so that the figures of a few are too high; their CPU time is not measured, "
        f"so the energy is at most that of a busy core ({found.watts_per_core:g} W here)"
    )


def _machines(found: ForecastBasis) -> Iterator[str]:
    if not found.machines:
        yield "money: not declared; --on machines.yaml says what an hour of a machine costs"
        return
    if found.on_gpu:
        yield "other machines: not known, because a GPU of this one took part"
        return
    yield (
        "other machines: the same CPU time divided by their speed, on as many cores as here; their "
        "declared figures are believed, and the errors are those of this machine"
    )
