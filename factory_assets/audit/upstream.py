"""The records behind a model version, and everything that they were computed from.

What each of them says belongs in `trace`.
"""

from collections.abc import Iterable

from factory_assets.audit.erased import erased_files
from factory_assets.results.record_graph import RecordGraph, identity
from factory_resources.errors import ModelError
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


def missing_inputs(record: Record, history: RecordGraph) -> list[str]:
    """Return the paths in the home of the records of its pipeline that it rests on, but are gone.

    Those of other pipelines are not told apart from others that these have computed since.
    """
    return [
        f"records/{record.pipeline}/{stage}/{key}.json"
        for stage, keys in record.inputs.items()
        for key in keys
        if history.record(record.pipeline, stage, key) is None
    ]


def whole_upstream(roots: Iterable[Record], history: RecordGraph) -> list[Record]:
    """Return what `walk_upstream` does.

    Raises:
        ModelError: the record of something that they were computed from is missing.
    """
    records = walk_upstream(roots, history)
    for record in records:
        for path in missing_inputs(record, history):
            raise _missing(path, record, history)
    return records


def _missing(path: str, record: Record, history: RecordGraph) -> ModelError:
    if path in erased_files(history.home):
        return ModelError(
            f"a partition that {record.name} rests on was removed by an erasure, so "
            "it cannot be given to anybody",
            where=path,
            remedy=f"train a version without it: factory run {record.pipeline}",
        )
    stage = path.split("/")[2]
    return ModelError(
        f"the record of {stage} that {record.name} rests on is missing",
        where=path,
        remedy="restore it from a backup; factory verify shows what else does not hold",
    )
