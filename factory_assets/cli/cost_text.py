"""What `factory cost` prints: a table of stages, a table for each question, and notes."""

from collections.abc import Iterable, Iterator, Sequence

from factory_assets.audit.cost.report import (
    THIS_MACHINE,
    Avoided,
    CostFigures,
    CostReport,
    Figure,
    MachineEstimate,
    StageEstimate,
)
from factory_assets.cli.wrapping import wrap_line
from factory_resources.ledger.factory_verify import amount

_Units = Sequence[tuple[float, str]]

_TIME: _Units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"))
_MEMORY: _Units = ((1e3, "GB"), (1, "MB"))
_ENERGY: _Units = ((1e3, "MWh"), (1, "kWh"), (1e-3, "Wh"), (1e-6, "mWh"))
_CARBON: _Units = ((1e6, "t"), (1e3, "kg"), (1, "g"), (1e-3, "mg"), (1e-6, "µg"))

_STAGES = ["", "time", "memory", "energy", "CO2e", "error", "rests on"]
_MACHINES = ["", "time", "energy", "CO2e", "money"]

_UNKNOWN = "-"


def cost_text(report: CostReport) -> str:
    """Return the report in lines that fit a terminal."""
    lines = [*_tables(report), *(f"- {note}" for note in report.notes)]
    return "\n".join(part for line in lines for part in _wrapped(line)) + "\n"


def _wrapped(line: str) -> list[str]:
    # The lines of a table are made to fit, and wrapping would close their gaps.
    return wrap_line(line) if line.startswith("- ") else [line]


def _tables(report: CostReport) -> Iterator[str]:
    here = report.machines[0]
    yield f"{report.pipeline} with {report.rows:,} rows, a training on {THIS_MACHINE}"
    stages = [[stage.stage, *_values(stage.costs), *_basis(stage)] for stage in report.stages]
    total = ["sum", *_values(here.training), "", ""]
    yield from _table([_STAGES, *stages, total])
    yield ""
    yield "A training, and the range in which its cost is expected"
    yield from _by_machine((one, one.training) for one in report.machines)
    yield ""
    yield f"A year of nights: {report.nights:,} runs; {report.nights_by}"
    yield from _by_machine((one, one.year) for one in report.machines)
    yield ""
    for i, answers in enumerate(here.answers):
        of = f"{amount(answers.requests, answers.by)} of {amount(answers.rows, 'rows')}"
        yield f"A million answers by {answers.by}, from {of}"
        yield from _by_machine((one, one.answers[i].costs) for one in report.machines)
        yield ""
    if report.avoided:
        yield from _avoided(report.avoided)
        yield ""
    yield from (f"{one.name}: {one.source}" for one in report.machines[1:])


def _by_machine(costs: Iterable[tuple[MachineEstimate, CostFigures]]) -> Iterator[str]:
    yield from _table([_MACHINES, *([one.name, *_ranges(figures, one)] for one, figures in costs)])


def _values(costs: CostFigures) -> list[str]:
    """Return time, memory, energy and carbon, without what is expected around them."""
    parts = [
        (costs.seconds, _TIME),
        (costs.megabytes, _MEMORY),
        (costs.kwh, _ENERGY),
        (costs.co2e_g, _CARBON),
    ]
    return [_value(figure, units) for figure, units in parts]


def _ranges(costs: CostFigures, machine: MachineEstimate) -> list[str]:
    return [
        _range(costs.seconds, _TIME),
        _range(costs.kwh, _ENERGY),
        _range(costs.co2e_g, _CARBON),
        _range(costs.money, ((0, machine.currency or ""),)),
    ]


def _basis(stage: StageEstimate) -> list[str]:
    if stage.error is None or stage.sizes is None:
        return [_UNKNOWN, "not measured"]
    first, last = stage.sizes
    sizes = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    error = f"{100 * stage.error:,.0f} %" if stage.error < 10 else f"{1 + stage.error:,.0f}-fold"
    return [error, f"{amount(stage.runs, 'runs')} on {sizes} rows"]


def _value(figure: Figure | None, units: _Units) -> str:
    if figure is None:
        return _UNKNOWN
    factor, unit = _unit(figure, units)
    return f"{_number(figure.value / factor)} {unit}"


def _range(figure: Figure | None, units: _Units) -> str:
    if figure is None:
        return _UNKNOWN
    factor, unit = _unit(figure, units)
    low, high = (_number(float(f"{one / factor:.2g}")) for one in (figure.low, figure.high))
    return f"{_number(figure.value / factor)} ({low}-{high}) {unit}"


def _unit(figure: Figure, units: _Units) -> tuple[float, str]:
    factor, unit = next((one for one in units if figure.value >= one[0]), units[-1])
    return factor or 1.0, unit


def _number(value: float) -> str:
    """Return three significant digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 1 else f"{value:.3g}"


def _avoided(avoided: Avoided) -> Iterator[str]:
    of = amount(avoided.runs, "runs")
    yield f"Avoided by choosing the hour within {avoided.window}:"
    yield f"  {_number(avoided.co2e_g)} g CO2e by {of} so far, against starts with the window"
    if avoided.year_co2e_g:
        yield f"  {_range(avoided.year_co2e_g, _CARBON)} CO2e by a year of nights"
    yield f"  carbon by: {avoided.source}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    # A column in which nothing is known takes no room.
    shown = [i for i in range(len(widths)) if not i or any(row[i] != _UNKNOWN for row in rows[1:])]
    for row in rows:
        yield "  ".join(f"{row[i]:<{widths[i]}}" for i in shown).rstrip()
