"""What several sub-commands share: choosing pipelines, ending dead runs, fitting lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

import dagster as dg

from factory_assets.declarations.dependencies import in_order, require_no_circle
from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.execution.requests import stages_of
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_resources.errors import DeclarationError
from factory_resources.home.processes import process_identity

if TYPE_CHECKING:
    import dagster as dg


PROCESS_TAG = "factory/process"
"""Which process a run lives in: number, start and boot."""

WIDTH = 100
"""Characters of a line on the terminal."""


def select(names: Sequence[str]) -> list[Pipeline]:
    """The named pipelines, all of them where none is: in that order, each after those it reads.

    Raises:
        DeclarationError: for a name that no folder has, a declaration that does not load, or
            pipelines that read each other.
    """
    folders = {folder.name: folder for folder in pipeline_folders()}
    for name in names:
        if name not in folders:
            raise DeclarationError(f"no pipeline {name!r}", remedy=suggest(name, list(folders)))
    pipelines = [load_pipeline(folders[name]) for name in names or folders]
    for pipeline in pipelines:
        require_no_circle(pipeline)
    return in_order(pipelines)


def end_dead_runs(instance: "dg.DagsterInstance") -> None:
    """Mark as failed every run that is under way in a process that is gone."""
    # Most sub-commands need no Dagster, whose import takes .6 s.
    import dagster as dg

    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    for run in instance.get_runs(under_way):
        identity = run.tags.get(PROCESS_TAG)
        if identity and process_identity(int(identity.split()[0])) != identity:
            instance.report_run_failed(run, "the process of this run was killed; run it again")
            # Else a GPU that it had taken would never be free again.
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def fit_width(line: str) -> list[str]:
    """The line in at most WIDTH columns; what is from data cannot break out of its line."""
    clean = "".join(c if c.isprintable() else "?" for c in line)
    indent = len(clean) - len(clean.lstrip())
    more = " " * (indent + 4)
    return wrap(clean, WIDTH, subsequent_indent=more, break_on_hyphens=False) or [""]


@dataclass(frozen=True)
class RunRequest:
    """What of a pipeline is to run, and how."""

    pipeline: Pipeline
    stages: tuple[Stage, ...]
    partitions: tuple[str, ...]
    """Keys; all partitions that have data where there is none."""
    reuse: bool


def ask(
    names: Sequence[str], stages: Sequence[str], partitions: Sequence[str], reuse: bool
) -> list[RunRequest]:
    """What `run` is to do; raises where that makes no sense.

    Raises:
        DeclarationError: an unknown pipeline or stage, or partitions of one that has none.
    """
    return [_asked(pipeline, stages, partitions, reuse) for pipeline in select(names)]


def _asked(
    pipeline: Pipeline, stages: Sequence[str], partitions: Sequence[str], reuse: bool
) -> RunRequest:
    own = stages_of(pipeline)
    for name in stages:
        if name not in STAGES:
            raise DeclarationError(f"no stage {name!r}", remedy=f"the stages are {', '.join(own)}")
        if name not in own:
            raise DeclarationError(
                f"a pipeline without `train` has no stage {name!r}",
                where=pipeline.name,
                remedy=f"its stages are {', '.join(own)}",
            )
    if partitions and not pipeline.spec.partitions:
        raise DeclarationError(
            "this pipeline has no partitions",
            where=pipeline.name,
            remedy="leave out --partition, or declare `partitions`",
        )
    chosen = tuple(stage for stage in own if not stages or stage in stages)
    return RunRequest(pipeline, chosen, tuple(partitions), reuse)
