"""`factory run --explain`: print what a run would do with each stage, and why; run nothing.

The reasons are found in `factory_assets.execution.explain`.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from rich.console import Console

from factory_assets.cli.code_inside import names_sources, output_inside
from factory_assets.cli.progress import lines_of_missing
from factory_assets.cli.run_inside import factory_command
from factory_assets.cli.shared import RunRequest, RunSelection, raise_worst, run_requests
from factory_assets.data.sources.partition_listing import Keys
from factory_assets.execution.backfill import Wanted, wanted
from factory_assets.execution.explain import Explained, explain
from factory_assets.execution.requests import StageRequest
from factory_assets.spec import Pipeline
from factory_assets.spec.partitions import DynamicPartitions
from factory_resources.durations import minute
from factory_resources.home.database import PREPARED, server_address
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.security.offline import go_offline
from factory_resources.sources.digest_cache import Hashing

_SHOWN = 3
"""How many partitions a line names; the others are counted."""


def print_plan(selection: RunSelection, console: Console) -> None:
    """Print for each stage of the selected pipelines what a run would do with it, and why.

    Raises:
        FactoryError: a name, stage or partition is wrong, as for `run`; if a declaration is wrong,
            after the plans of the other pipelines.
        Exit: a function of the user's had to be called inside a boundary, and that failed.
    """
    requests, errors = run_requests(selection)
    with _prepared_home() as home:
        output = None
        if any(names_sources(request.pipeline) for request in requests):
            # The other pipelines are wrong, and that is told below.
            names = [request.pipeline.name for request in requests]
            _, *arguments = replace(selection, pipelines=names).arguments()
            command = factory_command(["run", "--explain", *arguments])
            output = output_inside(command, [request.pipeline for request in requests], home)
        lines = (line for request in requests for line in explanation_lines(request, home))
        for line in lines if output is None else output.split("\n")[:-1]:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    raise_worst(errors, console)


@contextmanager
def _prepared_home() -> Iterator[Home]:
    """Yield the home; one in which nothing has run is not made, and an empty one is in its place.

    On a server, the databases of other machines tell what is known.
    """
    home = Home.from_env()
    if (home.path / PREPARED).exists() or home.records.is_dir() or server_address():
        prepare(home)
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="factory-explain-") as folder:
        go_offline()
        yield Home(Path(folder))


def explanation_lines(request: RunRequest, home: Home) -> Iterator[str]:
    """Yield the lines about one pipeline."""
    pipeline = request.pipeline
    covered = Wanted((), 0, (), {})
    if pipeline.spec.partitions:
        known = _known_keys(pipeline, home)
        covered = wanted(pipeline, datetime.now(UTC), known, home, request.partitions)
    hashing = Hashing.of("all" if request.rehash else "")
    call = StageRequest(pipeline, "ingest", home, run_id="", reuse=request.reuse, hashing=hashing)
    for stage, outcomes in groupby(
        explain(call, request.stages, covered.partitions), key=lambda outcome: outcome.stage
    ):
        for line in _grouped_lines(list(outcomes)):
            yield f"{pipeline.name} · {stage:<8}  {line}"
    for line in lines_of_missing(covered):
        yield f"{pipeline.name} · {line}"


def _known_keys(pipeline: Pipeline, home: Home) -> Keys:
    """Return the keys of dynamic dimensions that Dagster knows; without such, leave it alone."""
    dimensions = pipeline.spec.partitions.values()
    is_new = not (home.path / PREPARED).exists()
    if is_new or not any(isinstance(dimension, DynamicPartitions) for dimension in dimensions):
        return {}
    import dagster as dg

    from factory_assets.components.partitions import known_keys

    with dg.DagsterInstance.get() as instance:
        return known_keys(pipeline, instance)


def _grouped_lines(outcomes: Sequence[Explained]) -> Iterator[str]:
    """Yield one line for all partitions with the same outcome for the same reason."""
    groups: dict[tuple[str, str], list[Explained]] = {}
    for outcome in outcomes:
        reason = "" if outcome.what == "reuse" and outcome.partition else outcome.why
        groups.setdefault((outcome.what, reason), []).append(outcome)
    for (what, reason), group in groups.items():
        yield _line(what, reason, group)


def _line(what: str, reason: str, group: Sequence[Explained]) -> str:
    if what == "reuse":
        line = f"reuse ({group[0].why if len(group) == 1 else _records_summary(group)})"
    else:
        line = f"{what}: {reason}"
    keys = [outcome.partition for outcome in group if outcome.partition]
    if not keys:
        return line
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{line} [{', '.join(keys[:_SHOWN])}{more}]"


def _records_summary(group: Sequence[Explained]) -> str:
    records = [outcome.record for outcome in group if outcome.record]
    newest = minute(max(record.finished for record in records))
    return f"{len(group)} partitions, {sum(r.seconds for r in records):.1f} s, newest from {newest}"
