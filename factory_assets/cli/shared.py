"""Helpers of several sub-commands: select pipelines, refuse while a run works."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.declarations.dependencies import (
    in_order,
    require_no_circle,
    require_own_assets,
)
from factory_assets.declarations.folders import (
    FILE,
    RENAME,
    declared_again,
    defs_folders,
    folders_by_name,
)
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import stages_of
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_resources.errors import (
    DeclarationError,
    FactoryError,
    SourceError,
    StorageError,
    UnknownNameError,
)
from factory_resources.home.home import Home

if TYPE_CHECKING:
    from rich.console import Console

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def select(names: Sequence[str]) -> list[Pipeline]:
    """Return the named pipelines in that order, but each after the pipelines that it reads.

    Args:
        names: empty for all pipelines.

    Raises:
        DeclarationError: there is no such pipeline, a declaration does not load, or pipelines read
            each other.
    """
    pipelines, errors = select_valid(names)
    if errors:
        raise errors[0]
    return pipelines


def select_version(name: str) -> tuple[Pipeline, int | None]:
    """Return the pipeline and the version of `pipeline@4`; the version is None if none is named.

    Raises:
        DeclarationError: there is no such pipeline.
        UnknownNameError: the version is not a number from 1 on.
    """
    pipeline, at, version = name.partition("@")
    [found] = select([pipeline])
    if at and not _VERSION.fullmatch(version):
        raise UnknownNameError(
            f"{name!r} is not a model version", remedy=f"write {pipeline}@3, or {pipeline}"
        )
    return found, int(version) if at else None


def unknown_pipeline(name: str, known: Sequence[str]) -> DeclarationError:
    """Return the error of a name that no pipeline has, with what is wrong with FACTORY_DEFS."""
    others = defs_folders()[1:]
    absent = [folder for folder in others if not folder.is_dir()]
    remedy = suggest(name, known)
    if absent:
        remedy += f"; FACTORY_DEFS names {absent[0]}, which does not exist"
    elif not others:
        remedy += "; FACTORY_DEFS, which names the folders of your own, is not set"
    return DeclarationError(f"no pipeline {name!r}", remedy=remedy)


def select_valid(names: Sequence[str]) -> tuple[list[Pipeline], list[FactoryError]]:
    """Return the named pipelines as `select` does, and an error for each that does not load.

    Raises:
        DeclarationError: there is no such pipeline.
    """
    folders = folders_by_name()
    for name in names:
        if name not in folders:
            raise unknown_pipeline(name, list(folders))
    pipelines, errors = [], []
    for name in names or folders:
        try:
            pipeline = load_pipeline(folders[name])
            require_no_circle(pipeline)
            require_own_assets(pipeline)
            pipelines.append(pipeline)
        except FactoryError as error:
            errors.append(error)
    return in_order(pipelines), errors


def require_no_run(home: Home, *, no_daemon: bool = False) -> None:
    """Refuse while a run is under way: between two stages it still needs what is stored.

    Args:
        no_daemon: whether no daemon works for the home, so that nobody is about to start a process.

    Raises:
        StorageError: a run is under way.
    """
    if not (home.dagster / "dagster.yaml").is_file():
        return
    from factory_resources.instance import prepare
    from factory_resources.tracking.run_history import has_working_runs

    prepare(home)
    if not has_working_runs(home):
        return
    # Importing it takes longer than asking its database.
    import dagster as dg

    from factory_resources.workers.dead_runs import end_dead_runs

    status = dg.DagsterRunStatus
    active = [status.STARTING, status.STARTED, status.CANCELING]
    with dg.DagsterInstance.get() as instance:
        end_dead_runs(instance, no_daemon=no_daemon)
        runs = instance.get_runs(dg.RunsFilter(statuses=active))
    if runs:
        raise StorageError(
            f"run {runs[0].run_id[:8]} of {runs[0].job_name} is still running",
            where=str(home.path),
            remedy="wait until it has ended, or terminate it in the UI",
        )


@dataclass(frozen=True)
class RunRequest:
    """A validated request to run stages of one pipeline."""

    pipeline: Pipeline
    stages: tuple[Stage, ...]
    partitions: tuple[str, ...]
    """Keys; empty for all partitions that have data."""
    reuse: bool
    rehash: bool
    workers: str
    """Who works, as FACTORY_WORKERS says it; empty if this process alone."""


@dataclass(frozen=True)
class RunSelection:
    """The arguments of `factory run`; empty ones select all."""

    pipelines: Sequence[str] = ()
    stages: Sequence[str] = ()
    partitions: Sequence[str] = ()
    """Keys; all partitions that have data if empty."""
    reuse: bool = True
    """Whether a stage for which nothing changed reuses its stored result."""
    rehash: bool = False
    """Whether every source is hashed again, whatever its size and times."""
    workers: str = ""
    """Who works, as FACTORY_WORKERS says it; empty if this process alone."""

    def arguments(self) -> Iterator[str]:
        """Yield the command line of the same selection, after `factory`."""
        yield "run"
        if self.stages:
            yield f"--stages={','.join(self.stages)}"
        yield from (f"--partition={key}" for key in self.partitions)
        if not self.reuse:
            yield "--no-reuse"
        if self.rehash:
            yield "--rehash"
        if self.workers:
            yield f"--workers={self.workers}"
        yield from ("--", *self.pipelines)


def run_requests(selection: RunSelection) -> tuple[list[RunRequest], list[FactoryError]]:
    """Validate the arguments of `factory run`.

    Returns:
        One request for each pipeline, and an error for each that does not load or is declared
        twice: whoever edits the second folder would run the first.

    Raises:
        DeclarationError: a pipeline or stage is unknown, a pipeline with requested partitions has
            none, or there is no pipeline to run.
    """
    pipelines, errors = select_valid(selection.pipelines)
    twice = {
        folder.name: DeclarationError(what, where=str(folder / FILE), remedy=RENAME)
        for folder, what in declared_again().items()
    }
    errors += [twice[one.name] for one in pipelines if one.name in twice]
    pipelines = [one for one in pipelines if one.name not in twice]
    if errors and not pipelines:
        raise errors[0]
    return [_request(pipeline, selection) for pipeline in pipelines], errors


def read_file(path: Path) -> bytes:
    """Return the content of a file that the user named.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(
            f"cannot be read ({error.strerror})",
            where=str(path),
            remedy="check the file and its permissions",
        ) from error


def raise_worst(errors: Sequence[FactoryError], console: "Console") -> None:
    """Raise the error of the highest exit code, the first of several; print the others."""
    if not errors:
        return
    worst = max(errors, key=lambda error: error.exit_code)
    for error in errors:
        if error is not worst:
            console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    raise worst


def _request(pipeline: Pipeline, selection: RunSelection) -> RunRequest:
    available = stages_of(pipeline)
    listed = ", ".join(available)
    for name in selection.stages:
        if name not in STAGES:
            raise DeclarationError(f"no stage {name!r}", remedy=f"the stages are {listed}")
        if name not in available:
            raise DeclarationError(
                f"a pipeline without `train` has no stage {name!r}",
                where=pipeline.name,
                remedy=f"its stages are {listed}",
            )
    if selection.partitions and not pipeline.spec.partitions:
        raise DeclarationError(
            "this pipeline has no partitions",
            where=pipeline.name,
            remedy="leave out --partition, or declare `partitions`",
        )
    chosen = selection.stages or available
    stages = tuple(stage for stage in available if stage in chosen)
    return RunRequest(
        pipeline,
        stages,
        tuple(selection.partitions),
        selection.reuse,
        selection.rehash,
        selection.workers,
    )
