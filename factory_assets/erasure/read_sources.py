"""What the ingests of a home have read."""

from collections.abc import Collection, Iterator, Mapping

from factory_assets.results.data import IngestResult, SourceFile
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_resources.erasure.manifest import source_key

Labels = tuple[tuple[str, str], ...]
"""Columns that have the same value in every row of a source, with that value."""

Readings = Mapping[str, Mapping[str, Mapping[Labels, Collection[str]]]]
"""Pipeline, the SHA-256 that its rows name, and the labels that they have, to the keys of their
sources."""


def read_sources(graph: RecordGraph) -> dict[str, SourceFile]:
    """Return everything that some `ingest` has read, by its key.

    Of several that have read one, the one to which an erasure has left the fewest rows.
    """
    found: dict[str, SourceFile] = {}
    for _, key, source in _every(graph):
        known = found.setdefault(key, source)
        if source.rows < known.rows:
            found[key] = source
    return found


def read_by(graph: RecordGraph) -> Readings:
    """Return which sources the rows of each pipeline are of."""
    found: dict[str, dict[str, dict[Labels, set[str]]]] = {}
    for pipeline, key, source in _every(graph):
        if not source.join:
            of_file = found.setdefault(pipeline, {}).setdefault(source.sha256, {})
            of_file.setdefault(tuple(sorted(source.labels.items())), set()).add(key)
    return found


def joined_sources(graph: RecordGraph, sources: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of those of these sources that ingests have joined, by pipeline.

    Args:
        sources: their keys.
    """
    found: dict[str, dict[str, None]] = {}
    for pipeline, key, source in _every(graph):
        if source.join and key in sources:
            found.setdefault(pipeline, {})[source.name] = None
    return {pipeline: tuple(names) for pipeline, names in found.items()}


def _every(graph: RecordGraph) -> Iterator[tuple[str, str, SourceFile]]:
    """Yield each source that was read, with the pipeline that read it and its key."""
    for record in graph.records:
        value = value_in(record) if record.stage == "ingest" else None
        for source in value.sources if isinstance(value, IngestResult) else ():
            yield record.pipeline, source_key(source.sha256, source.name), source
