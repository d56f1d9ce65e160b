"""Forecast what a pipeline costs from what was measured in a home, which is only read.

How a cost grows with the rows belongs in `growth`, what it is on other machines in `machine_costs`,
what the figures assume in `notes`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from factory_assets.audit.cost.answer_times import AnswerTimes, answer_times
from factory_assets.audit.cost.growth import (
    CostRange,
    MeasuredCost,
    basis_of,
    estimate,
    total,
    within_cores,
)
from factory_assets.audit.cost.machine_costs import (
    MachineCosts,
    Work,
    on_machine,
    on_this_machine,
)
from factory_assets.audit.cost.measured_stages import MeasuredPipeline, MeasuredStage
from factory_assets.audit.cost.nights import YearOfNights, year_of_nights
from factory_assets.audit.cost.notes import ForecastBasis, notes
from factory_assets.audit.cost.report import (
    THIS_MACHINE,
    AnswersEstimate,
    Avoided,
    CostFigures,
    CostReport,
    Figure,
    MachineEstimate,
    StageEstimate,
)
from factory_assets.execution.requests import stages_of
from factory_assets.spec import Pipeline
from factory_assets.spec.machines import Machine
from factory_resources.cores import usable_cores
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.metering.meter import Rates
from factory_resources.tracking.run_history import AVOIDED_TAG, run_tag_values

MILLION = 1_000_000

_SMALLEST = 1e-9
"""Taken for a cost of 0, which has no logarithm."""

_SAME = 0.001
"""Energies per CPU second that differ by no more than this share count as equal."""

_OnMachine = Callable[[Work], MachineCosts]


@dataclass(frozen=True)
class CostForecast:
    """What a pipeline costs at a number of rows.

    Args:
        rows: of the source; None for as many as it had last.
        machines: those beside this one, by name.
        now: when the year begins.
    """

    pipeline: Pipeline
    home: Home
    rows: int | None
    machines: Mapping[str, Machine]
    now: datetime

    def report(self) -> CostReport:
        """Return the forecast.

        Raises:
            DataError: no run of the pipeline was measured yet.
            StorageError: a record cannot be read.
            SettingError: a rate of this machine is wrong.
        """
        if not any(self._measured.values()):
            raise DataError(
                "no run of this pipeline was measured yet",
                where=self.pipeline.name,
                remedy=f"run it first: factory run {self.pipeline.name}",
            )
        stages = [self._stage(name) for name in self._measured]
        return CostReport(
            pipeline=self.pipeline.name,
            time=f"{self.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            rows=self._size,
            stages=tuple(stages),
            nights=self._year.count,
            nights_by=self._year.by,
            machines=(self._here(), *(self._there(name) for name in self.machines)),
            avoided=self._avoided(),
            notes=tuple(notes(self._basis())),
        )

    @cached_property
    def _runs(self) -> MeasuredPipeline:
        return MeasuredPipeline(self.pipeline, self.home)

    @cached_property
    def _by_stage(self) -> dict[str, tuple[list[MeasuredStage], dict[str, int]]]:
        return {stage: self._runs.of_stage(stage) for stage in stages_of(self.pipeline)}

    @property
    def _measured(self) -> dict[str, list[MeasuredStage]]:
        return {stage: measured for stage, (measured, _) in self._by_stage.items()}

    @cached_property
    def _size(self) -> int:
        if self.rows is not None:
            return self.rows
        newest = max(
            (one for every in self._measured.values() for one in every),
            key=lambda one: one.finished,
        )
        return self._runs.latest_rows or newest.rows

    @cached_property
    def _rates(self) -> Rates:
        return Rates.from_env()

    @cached_property
    def _year(self) -> YearOfNights:
        return year_of_nights(self.pipeline.spec.schedule, self.now)

    @cached_property
    def _answers(self) -> list[AnswerTimes]:
        return answer_times(self.pipeline.name, self.home, self.now)

    @cached_property
    def _training(self) -> Work:
        """All stages that were measured, one after the other."""
        every = [_work(measured, self._size) for measured in self._measured.values() if measured]
        return Work(
            seconds=total(one.seconds for one in every if one.seconds),
            cpu_seconds=total(one.cpu_seconds for one in every if one.cpu_seconds),
            megabytes=_largest([one.megabytes for one in every if one.megabytes]),
            kwh=total(one.kwh for one in every if one.kwh),
            on_gpu=any(one.on_gpu for one in every),
        )

    def _stage(self, stage: str) -> StageEstimate:
        measured = self._measured[stage]
        if not measured:
            return StageEstimate(
                stage=stage, costs=CostFigures(), error=None, basis=None, runs=0, sizes=None
            )
        work = _work(measured, self._size)
        ranges = [work.seconds, work.cpu_seconds, work.megabytes, work.kwh]
        sizes = [one.rows for one in measured]
        return StageEstimate(
            stage=stage,
            costs=_figures(on_this_machine(work, self._rates.grid)),
            error=max(one.error for one in ranges if one),
            basis=basis_of(sizes, self._size),
            runs=len(measured),
            sizes=(min(sizes), max(sizes)),
        )

    def _here(self) -> MachineEstimate:
        carbon = self._year.carbon
        at_night = self._rates.grid if carbon is None else carbon
        return self._on(
            THIS_MACHINE,
            "measured",
            None,
            lambda work: on_this_machine(work, self._rates.grid),
            lambda work: on_this_machine(work, at_night),
        )

    def _there(self, name: str) -> MachineEstimate:
        machine = self.machines[name]
        currency = machine.currency if machine.price_per_hour is not None else None

        def convert(work: Work) -> MachineCosts:
            return on_machine(work, machine)

        return self._on(name, machine.source, currency, convert, convert)

    def _on(
        self,
        name: str,
        source: str,
        currency: str | None,
        convert: _OnMachine,
        at_night: _OnMachine,
    ) -> MachineEstimate:
        return MachineEstimate(
            name=name,
            source=source,
            currency=currency,
            training=_figures(convert(self._training)),
            year=_figures(at_night(self._training.times(self._year.count))),
            answers=tuple(
                AnswersEstimate(
                    by=one.by,
                    costs=_figures(convert(self._answering(one))),
                    requests=one.requests,
                    rows=one.rows,
                )
                for one in self._answers
            ),
        )

    def _answering(self, times: AnswerTimes) -> Work:
        """Return the work of a million answers, for which at most one core is busy at a time."""
        seconds = times.seconds_per_row.times(MILLION)
        kwh = seconds.times(self._rates.watts_per_core / 3_600_000)
        return Work(seconds=seconds, cpu_seconds=seconds, kwh=kwh)

    def _avoided(self) -> Avoided | None:
        year = self._year
        if year.green is None or year.carbon is None or year.carbon_then is None:
            return None
        values = run_tag_values(self.home, self.pipeline.name, AVOIDED_TAG)
        kwh = self._training.times(year.count).kwh
        less = kwh.times(year.carbon_then - year.carbon) if kwh else None
        return Avoided(
            window=year.green.window,
            source=year.green.source,
            runs=len(values),
            co2e_g=sum(map(float, values)),
            year_co2e_g=_figure(less),
        )

    def _basis(self) -> ForecastBasis:
        return ForecastBasis(
            stages=self._by_stage,
            rows=self._size,
            has_partitions=bool(self.pipeline.spec.partitions),
            on_gpu=self._training.on_gpu,
            grid=self._rates.grid,
            watts_per_core=self._rates.watts_per_core,
            year=self._year,
            is_answered=bool(self._answers),
            machines=tuple(self.machines),
        )


def _work(measured: Sequence[MeasuredStage], rows: int) -> Work:
    def at(cost: Callable[[MeasuredStage], float]) -> CostRange:
        pairs = [MeasuredCost(one.rows, max(_SMALLEST, cost(one))) for one in measured]
        return estimate(pairs, rows)

    busiest = max(one.cpu_seconds / max(_SMALLEST, one.seconds) for one in measured)
    cores = max(usable_cores(), busiest)
    seconds, cpu = within_cores(at(lambda one: one.seconds), at(lambda one: one.cpu_seconds), cores)
    per_cpu = [one.wh / 1000 / max(_SMALLEST, one.cpu_seconds) for one in measured]
    # Without counters, energy was computed from CPU time, so it is taken from the estimate of that.
    is_of_cpu = max(per_cpu) - min(per_cpu) <= _SAME * max(per_cpu)
    # Most memory of a process does not depend on the rows, so one number of rows says nothing.
    is_known = basis_of([one.rows for one in measured], rows) != "one size"
    return Work(
        seconds=seconds,
        cpu_seconds=cpu,
        megabytes=at(lambda one: one.megabytes) if is_known else None,
        kwh=cpu.times(per_cpu[0]) if is_of_cpu else at(lambda one: one.wh / 1000),
        on_gpu=any("NVML" in method for one in measured for method in one.methods),
    )


def _largest(ranges: Sequence[CostRange]) -> CostRange | None:
    if not ranges:
        return None
    return CostRange(
        max(one.value for one in ranges),
        max(one.low for one in ranges),
        max(one.high for one in ranges),
    )


def _figures(costs: MachineCosts) -> CostFigures:
    work = costs.work
    return CostFigures(
        seconds=_figure(work.seconds),
        cpu_seconds=_figure(work.cpu_seconds),
        megabytes=_figure(work.megabytes),
        kwh=_figure(work.kwh),
        co2e_g=_figure(costs.co2e_g),
        money=_figure(costs.money),
    )


def _figure(one: CostRange | None) -> Figure | None:
    return Figure(value=one.value, low=one.low, high=one.high) if one else None
