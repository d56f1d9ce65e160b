"""What the ingests of a home have read."""

from collections.abc import Collection

from factory_assets.results.data import IngestResult, SourceFile
from factory_assets.results.record_graph import RecordGraph, value_in


def read_sources(graph: RecordGraph) -> dict[str, SourceFile]:
    """Return everything that some `ingest` has read, by its SHA-256.

    Of several that have read one, the one to which an erasure has left the fewest rows.
    """
    values = (value_in(record) for record in graph.records if record.stage == "ingest")
    found: dict[str, SourceFile] = {}
    for value in values:
        for source in value.sources if isinstance(value, IngestResult) else ():
            known = found.setdefault(source.sha256, source)
            if source.rows < known.rows:
                found[source.sha256] = source
    return found


def joined_sources(graph: RecordGraph, sources: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of those of these sources that ingests have joined, by pipeline.

    Args:
        sources: their SHA-256.
    """
    found: dict[str, dict[str, None]] = {}
    for record in graph.records:
        value = value_in(record) if record.stage == "ingest" else None
        for source in value.sources if isinstance(value, IngestResult) else ():
            if source.join and source.sha256 in sources:
                found.setdefault(record.pipeline, {})[source.name] = None
    return {pipeline: tuple(names) for pipeline, names in found.items()}
