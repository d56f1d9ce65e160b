"""What the ingests of a home have read."""

from factory_assets.results.data import IngestResult, SourceFile
from factory_assets.results.record_graph import RecordGraph, value_in


def read_sources(graph: RecordGraph) -> dict[str, SourceFile]:
    """Return everything that some `ingest` has read, by its SHA-256."""
    values = (value_in(record) for record in graph.records if record.stage == "ingest")
    return {
        source.sha256: source
        for value in values
        if isinstance(value, IngestResult)
        for source in value.sources
    }
