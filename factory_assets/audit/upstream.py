"""The records behind a model version, and everything that they were computed from.

What each of them says belongs in `trace`.
"""

from collections.abc import Iterable

from factory_assets.results.record_graph import RecordGraph, identity
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Version


def model_records(version: Version, history: RecordGraph) -> list[Record]:
    """Return the last deployment, the last evaluation and the training of a model version."""
    later = [
        *history.about(version.model, version.version, "deploy")[-1:],
        *history.about(version.model, version.version, "evaluate")[-1:],
    ]
    trained = history.candidate(version.model, version.version)
    return [*later, *([trained] if trained else [])]


def walk_upstream(roots: Iterable[Record], history: RecordGraph) -> list[Record]:
    """Return the records and everything that they depend on; each one before its inputs."""
    found: dict[tuple[str, str, str], Record] = {}

    def visit(record: Record) -> None:
        if identity(record) not in found:
            for before in history.inputs(record):
                visit(before)
            found[identity(record)] = record

    for root in reversed([*roots]):
        visit(root)
    return [*found.values()][::-1]
