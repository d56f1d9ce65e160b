"""`factory run` and `factory demo`: run pipelines, then print a summary table.

A pipeline for which nothing changed is not given to Dagster, whose import takes longer than finding
that out. If there is anything to compute, the command is started again inside a boundary, which
belongs in `run_inside`. How Dagster runs a pipeline belongs in `dagster_run`; how a stage is
computed or reused in `factory_assets.execution`; the table in `summary`.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from click.exceptions import Exit
from rich.console import Console

from factory_assets.cli.faults import unexpected
from factory_assets.cli.progress import TerminalProgress
from factory_assets.cli.shared import RunRequest, RunSelection, raise_worst, run_requests
from factory_assets.cli.summary import Summary, summary_table
from factory_assets.declarations.loader import DEFS
from factory_assets.execution.backfill import Wanted, requested_in_order, wanted
from factory_assets.execution.boundary_level import is_inside
from factory_assets.execution.costs import CostTotal
from factory_assets.execution.ledger_state import ledger_state
from factory_assets.execution.people import enter_people
from factory_assets.execution.progress import Counted
from factory_assets.execution.requests import StageRequest, StageRun, stages_of
from factory_assets.execution.standing import standing
from factory_assets.execution.unchanged import must_be_read, unchanged_stages, warnings_of
from factory_assets.execution.unchanged_notes import note
from factory_assets.execution.workers.local_processes import local_processes
from factory_assets.execution.workers.room import needs_of, room_for
from factory_assets.execution.workers.settings import cluster_of, workers_of
from factory_assets.results.base import StageResult
from factory_assets.results.latest import PARTITIONED, ResultQuery, records_of, value_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.partitions import DynamicPartitions
from factory_resources.cores import usable_cores
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.home.run_markers import killed_runs
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.records import Records
from factory_resources.tracking.run_history import has_failed

StageValues = dict[Stage, StageResult]


class Execute(Protocol):
    """Runs one pipeline; returns the error that stopped it."""

    def __call__(self, request: RunRequest, listener: TerminalProgress) -> FactoryError | None: ...


def run(selection: RunSelection, console: Console) -> None:
    """Run the selected pipelines; print progress and the summary table to the console.

    Raises:
        DataError: a pipeline has no such partition; nothing has run.
        FactoryError: the worst that stopped a pipeline, after the other pipelines have run.
    """
    requests, errors = run_requests(selection)
    home = Home.from_env()
    for request in requests:
        requested_in_order(request.pipeline, request.partitions, datetime.now(UTC), home)
    prepare(home)
    unchanged = None if is_inside() else _all_unchanged(requests, home)
    if unchanged is None and not is_inside():
        from factory_assets.cli.run_inside import run_inside

        pipelines = [request.pipeline for request in requests]
        code = run_inside(
            selection.arguments(), pipelines, home, console, workers=selection.workers
        )
        if code is not None:
            if code:
                raise Exit(code)
            return
    _tell_people(home, console)
    summaries = []
    with _execution(home) as execute:
        for number, request in enumerate(requests):
            known = unchanged[number] if unchanged else None
            summary, error = _run_one(request, known, home, execute, console)
            summaries.append(summary)
            if error:
                errors.append(_named(error, request) if len(requests) > 1 else error)
    console.print(summary_table(summaries, console.width))
    for summary in (one for one in summaries if one.members):
        console.print(f"{summary.pipeline}: {summary.members}", highlight=False, markup=False)
    _print_ledger(home, console)
    raise_worst(errors, console)


def _named(error: FactoryError, request: RunRequest) -> FactoryError:
    """Return the error of one of several pipelines, which is not clear from a mere key."""
    name = request.pipeline.name
    if name not in error.where:
        error.where = f"{name}: {error.where}" if error.where else name
    return error


def _tell_people(home: Home, console: Console) -> None:
    """Enter what changed in people.yaml, and tell it; a first run enters all with its first act."""
    if Ledger(home).exists:
        for line in enter_people(home):
            console.print(line, style="yellow", highlight=False, markup=False)


def _print_ledger(home: Home, console: Console) -> None:
    """Say how old the last cosignature of a witness is, if there are witnesses."""
    state, now = ledger_state(home), datetime.now(UTC)
    if state:
        style = "yellow" if state.is_overdue(now) else None
        console.print(f"ledger: {state.text(now)}", style=style, highlight=False)


@contextmanager
def _execution(home: Home) -> Iterator[Execute]:
    """Yield a function that runs a pipeline in Dagster, which the first call imports."""
    with local_processes() as processes, ExitStack() as stack:
        opened: list[Execute] = []

        def execute(request: RunRequest, listener: TerminalProgress) -> FactoryError | None:
            # They get ready while Dagster is imported.
            processes.prepare(_at_once(request))
            from factory_assets.cli.dagster_run import dagster_execution

            if not opened:
                opened.append(stack.enter_context(dagster_execution(home, processes)))
            return opened[0](request, listener)

        yield execute


def _at_once(request: RunRequest) -> int:
    """Return how many processes of this machine work on partitions as soon as the run can ask."""
    pipeline, stages = request.pipeline, [one for one in request.stages if one in PARTITIONED]
    workers = workers_of(request.workers) if request.workers else 0
    if not workers or not stages or not pipeline.spec.partitions or cluster_of(request.workers):
        return 0
    # More than there are cores are not ready sooner, and there may be too few partitions for them.
    least = min(usable_cores(), len(request.partitions) or workers)
    return min(room_for(workers, needs_of(pipeline, stages)), least)


def _run_one(
    request: RunRequest, known: "_Unchanged | None", home: Home, execute: Execute, console: Console
) -> tuple[Summary, FactoryError | None]:
    """Run one pipeline; return its summary, and the error that stopped it."""
    pipeline = request.pipeline
    started = time.perf_counter() - (known.seconds if known else 0.0)
    with console.status(pipeline.name) as status:
        listener = TerminalProgress(console, status)
        try:
            # What an earlier pipeline computed may have changed this one.
            if found := known or _unchanged(request, home):
                _tell_unchanged(request, found, home, listener)
            else:
                listener.error = execute(request, listener)
            stored = _stored(pipeline, home, listener)
        except FactoryError as error:
            listener.error, stored = error, {}
        except Exception as error:  # noqa: BLE001
            listener.error, stored = unexpected(error, home, pipeline.name), {}
    if isinstance(listener.error, DeclarationError):
        from factory_assets.cli.check.user_objects import with_line

        listener.error = with_line(listener.error, pipeline)
    seconds = time.perf_counter() - started
    return _summary(pipeline, stored, listener, seconds, home), listener.error


@dataclass(frozen=True)
class _Unchanged:
    """A pipeline for which nothing changed."""

    call: StageRequest
    runs: Sequence[StageRun]
    covered: Wanted
    seconds: float
    """How long it took to find out."""


def _all_unchanged(requests: Sequence[RunRequest], home: Home) -> list[_Unchanged] | None:
    """Return the stored results of all pipelines if nothing changed; None if anything did."""
    unchanged = []
    for request in requests:
        try:
            found = _unchanged(request, home)
        except FactoryError:
            # The run itself meets the error, and reports it where it belongs.
            return None
        if found is None:
            return None
        unchanged.append(found)
    return unchanged


def _unchanged(request: RunRequest, home: Home) -> _Unchanged | None:
    """Return the stored results if nothing changed; None if something did."""
    pipeline, started = request.pipeline, time.perf_counter()
    dimensions = pipeline.spec.partitions.values()
    # Keys of dynamic partitions may be known to Dagster alone, and so is a run that was killed.
    if (
        not request.reuse
        # Everything would be hashed, and fetched, once more by the run itself.
        or request.rehash
        or must_be_read(pipeline)
        or any(isinstance(dimension, DynamicPartitions) for dimension in dimensions)
        or killed_runs(home)
        # Dagster would show a failed run as the last one, although all is well again.
        or has_failed(home, pipeline.name)
    ):
        return None
    try:
        covered = wanted(pipeline, datetime.now(UTC), {}, home, request.partitions)
    except FactoryError:
        return None
    call = StageRequest(pipeline, "ingest", home, run_id="")
    runs = unchanged_stages(call, request.stages, covered.partitions)
    seconds = time.perf_counter() - started
    return _Unchanged(call, runs, covered, seconds) if runs else None


def _tell_unchanged(
    request: RunRequest, found: _Unchanged, home: Home, listener: TerminalProgress
) -> None:
    """Report the stored results, and note that nothing changed."""
    pipeline, runs = request.pipeline, found.runs
    for stage in request.stages:
        of_stage = [one for one in runs if one.record.stage == stage]
        if pipeline.spec.partitions and stage in PARTITIONED:
            saved = CostTotal.of(one.record for one in of_stage)
            covered = found.covered
            count = Counted(
                0,
                len(of_stage),
                covered.absent,
                covered.gone,
                covered.impossible,
                CostTotal(),
                saved,
            )
            listener.counted(pipeline.name, stage, count)
            continue
        for one in of_stage:
            listener.finished(pipeline.name, stage, one)
            for warning in warnings_of(found.call, one):
                listener.warned(pipeline.name, stage, warning)
    listener.unchanged(pipeline.name, max(one.record.finished for one in runs))
    note(pipeline.name, runs, home)


def _stored(pipeline: Pipeline, home: Home, listener: TerminalProgress) -> StageValues:
    """Return the latest results of the stages that this run left alone, unless it failed.

    Those of partitions, which it counted, are there even then.
    """
    values: StageValues = {}
    for stage in stages_of(pipeline):
        alone = listener.error is None and stage not in listener.outcomes
        query = ResultQuery(pipeline, stage, home)
        if (alone or stage in listener.counts) and (records := records_of(query)):
            values[stage] = value_of(records)
    return values


def _summary(
    pipeline: Pipeline, stored: StageValues, listener: TerminalProgress, seconds: float, home: Home
) -> Summary:
    made = {stage: outcome.value for stage, outcome in listener.outcomes.items()}
    values = {**stored, **made}
    return Summary.from_values(
        pipeline.name,
        {stage: values[stage] for stage in stages_of(pipeline) if stage in values},
        seconds=seconds,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        reused=listener.reused,
        made=listener.made,
        saved=listener.saved,
        status=_status(pipeline, home),
    )


def _status(pipeline: Pipeline, home: Home) -> str:
    """Return what the version that was exported last is."""
    record = Records(home).latest(pipeline.name, "deploy")
    if record is None or not Ledger(home).exists:
        return "champion"
    status = standing(pipeline, record, home).status
    return {"serves": "champion", "approved": "waits", "free": "candidate"}.get(status, status)


_NEXT = """
Next:
  make up                                          serve the UI on http://127.0.0.1:3000
  factory predict machine_failure FILE             score a file with the champion
  factory new NAME --from data.csv --target y      declare your own pipeline

tumour_diagnosis is of high risk: its model waits until a person approves it.
  factory key new jane --role approver             make a key of your own, and be an approver
  factory approve tumour_diagnosis --reason '…'    look at the model, sign, and let it serve
  factory verify                                   verify everything that was done
(the factory command is in .venv/bin)"""


def demo(console: Console) -> None:
    """Run the shipped pipelines and print what to do next."""
    shipped = sorted(file.parent.name for file in DEFS.glob("*/defs.yaml"))
    run(RunSelection(shipped), console)
    console.print(_NEXT, highlight=False)
