"""What a pipeline reads of the same code location: other pipelines, and assets of one's own."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter

from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.spec import AssetSource, Pipeline, SnapshotSource
from factory_resources.errors import DeclarationError, FactoryError


def upstream_keys(pipeline: Pipeline) -> list[list[str]]:
    """The keys of the assets that `ingest` reads, each once."""
    keys = [
        [source.pipeline, source.stage]
        if isinstance(source, SnapshotSource)
        else source.asset.split("/")
        for source in pipeline.spec.ingest.every_source
        if isinstance(source, SnapshotSource | AssetSource)
    ]
    return [key for i, key in enumerate(keys) if key not in keys[:i]]


def pipelines_read(pipeline: Pipeline) -> list[str]:
    """The names of the pipelines whose snapshots it reads."""
    sources = pipeline.spec.ingest.every_source
    return [source.pipeline for source in sources if isinstance(source, SnapshotSource)]


def in_order(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Each pipeline after those that it reads, otherwise in the given order."""
    by_name = {pipeline.name: pipeline for pipeline in pipelines}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for pipeline in pipelines:
        sorter.add(pipeline.name, *(n for n in pipelines_read(pipeline) if n in by_name))
    return [by_name[name] for name in sorter.static_order()]


def require_no_circle(pipeline: Pipeline) -> None:
    """Dagster drops the whole code location when assets depend on each other in a circle.

    Raises:
        DeclarationError: the pipeline reads itself, directly or through others.
    """
    way = _way_to(pipeline.name, pipelines_read(pipeline), {pipeline.name: pipeline}, ())
    if way:
        raise DeclarationError(
            f"pipelines read each other in a circle: {' → '.join((pipeline.name, *way))}",
            where=str(pipeline.folder / "defs.yaml"),
            remedy="let one of them read the data from where it comes",
        )


def _way_to(
    target: str, names: Iterable[str], known: dict[str, Pipeline | None], before: tuple[str, ...]
) -> tuple[str, ...]:
    for name in names:
        if name == target:
            return (*before, name)
        if name not in known:
            known[name] = _loaded(name)
            other = known[name]
            if other and (way := _way_to(target, pipelines_read(other), known, (*before, name))):
                return way
    return ()


def _loaded(name: str) -> Pipeline | None:
    """None where there is no such pipeline, or one that is wrong by itself and told elsewhere."""
    folders = [folder for folder in pipeline_folders() if folder.name == name]
    try:
        return load_pipeline(folders[0]) if folders else None
    except FactoryError:
        return None
