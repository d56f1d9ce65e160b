"""Which pipelines and assets of the code location a pipeline reads, and the order of pipelines.

Reading the data belongs in `data.sources`.
"""

from collections.abc import Iterable, Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

from factory_assets.declarations.loader import load_pipeline, pipeline_named
from factory_assets.spec import AssetSource, Pipeline, SnapshotSource
from factory_assets.spec.watch import MONITOR
from factory_resources.errors import DeclarationError

_DATA, _MODEL, _PARTITIONS = (
    ("ingest", "clean"),
    ("split", "train", "evaluate", "deploy"),
    "partitions",
)

_ASSETS = frozenset((*_DATA, *_MODEL, _PARTITIONS, MONITOR))
"""The last parts of the keys that assets of pipelines may have."""


def upstream_keys(pipeline: Pipeline) -> list[list[str]]:
    """Return the keys of the assets that `ingest` reads, each once."""
    keys = [
        [source.pipeline, source.stage]
        if isinstance(source, SnapshotSource)
        else source.asset.split("/")
        for source in pipeline.spec.ingest.every_source
        if isinstance(source, SnapshotSource | AssetSource)
    ]
    return [key for i, key in enumerate(keys) if key not in keys[:i]]


def pipelines_read(pipeline: Pipeline) -> list[str]:
    """Return the names of the pipelines whose snapshots the pipeline reads."""
    sources = pipeline.spec.ingest.every_source
    return [source.pipeline for source in sources if isinstance(source, SnapshotSource)]


def in_order(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Return each pipeline after those that it reads, otherwise in the given order."""
    by_name = {pipeline.name: pipeline for pipeline in pipelines}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for pipeline in pipelines:
        sorter.add(pipeline.name, *(n for n in pipelines_read(pipeline) if n in by_name))
    return [by_name[name] for name in sorter.static_order()]


def load_beside_others(folder: Path) -> Pipeline:
    """Load a pipeline that Dagster can load together with all others.

    Raises:
        DeclarationError: its `defs.yaml` is not valid, or it reads itself, or a name is taken.
    """
    pipeline = load_pipeline(folder)
    require_no_circle(pipeline)
    require_own_assets(pipeline)
    require_own_job(pipeline)
    return pipeline


def require_no_circle(pipeline: Pipeline) -> None:
    """Require that the pipeline does not read itself: Dagster then drops the whole code location.

    Raises:
        DeclarationError: the pipeline reads itself, directly or through others.
    """
    path = _path_to(pipeline.name, pipelines_read(pipeline), {pipeline.name: pipeline}, ())
    if path:
        raise DeclarationError(
            f"pipelines read each other in a circle: {' → '.join((pipeline.name, *path))}",
            where=str(pipeline.folder / "defs.yaml"),
            remedy="let one of them read the original source instead",
        )


def require_own_assets(pipeline: Pipeline) -> None:
    """Require that no asset it reads by its key is one of a pipeline: its tables are not stored as
    an asset of the user's, and of a pipeline that reads itself Dagster drops the whole location.

    Raises:
        DeclarationError: one is.
    """
    for source in pipeline.spec.ingest.every_source:
        if isinstance(source, AssetSource) and (remedy := other_source(source, pipeline)):
            raise DeclarationError(
                f"the asset {source.asset} is one of a pipeline",
                where=str(pipeline.folder / "defs.yaml"),
                remedy=remedy,
            )


def other_source(source: AssetSource, pipeline: Pipeline) -> str | None:
    """Return what to declare instead of an asset if it is one of a pipeline; else None."""
    name, _, last = source.asset.rpartition("/")
    other = pipeline if name == pipeline.name else pipeline_named(name)
    if other is None or last not in _assets_of(other):
        return None
    if other is pipeline:
        return "let it read the original source instead"
    stage = last if last in _DATA else _DATA[-1]
    return f"declare source: {{pipeline: {name}, stage: {stage}}}"


def require_own_job(pipeline: Pipeline) -> None:
    """Require that no other job or asset has its name: Dagster then drops the whole code location.

    Raises:
        DeclarationError: the looks at another pipeline are a job of that name, or an asset of
            another one is.
    """
    watched = pipeline.name.removesuffix(f"_{MONITOR}")
    other = pipeline_named(watched) if watched != pipeline.name else None
    if other and other.spec.watch:
        raise DeclarationError(
            f"the job that looks at the answers of {watched} is called {pipeline.name}, too",
            where=str(pipeline.folder / "defs.yaml"),
            remedy="give this pipeline another name",
        )
    owner, _, last = pipeline.name.rpartition("__")
    other = pipeline_named(owner) if last in _ASSETS else None
    if other and last in _assets_of(other):
        raise DeclarationError(
            f"Dagster calls the asset {owner}/{last} {pipeline.name}, too",
            where=str(pipeline.folder / "defs.yaml"),
            remedy="give this pipeline another name",
        )


def _assets_of(pipeline: Pipeline) -> Iterator[str]:
    """Yield the last parts of the keys of a pipeline's assets."""
    spec = pipeline.spec
    yield from _DATA
    yield from _MODEL if spec.train else ()
    yield from (_PARTITIONS,) if spec.partitions else ()
    yield from (MONITOR,) if spec.watch else ()


def _path_to(
    target: str, names: Iterable[str], known: dict[str, Pipeline | None], before: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names on the path to `target`, which is the last; empty if there is no path."""
    for name in names:
        if name == target:
            return (*before, name)
        if name not in known:
            known[name] = pipeline_named(name)
            other = known[name]
            if other and (path := _path_to(target, pipelines_read(other), known, (*before, name))):
                return path
    return ()
