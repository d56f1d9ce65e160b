"""The results that a deployed version was made from, as the ledger and the records have them.

What its training can be repeated with belongs in `provenance`.
"""

from dataclasses import dataclass
from pathlib import Path

from factory_assets.results.base import R, result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelExported
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.tables.snapshot import Snapshot, exists
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records


@dataclass(frozen=True)
class Lineage:
    """The results that a deployed version was made from."""

    exported: str
    """When it was exported: UTC, ISO 8601."""
    parts: SplitResult
    evaluation: EvaluationResult


def lineage_of(pipeline: str, version: int, home: Home) -> Lineage:
    """Return what a version was made from, as the ledger has it.

    Raises:
        ModelError: the records are gone.
        StorageError: one was changed.
    """
    with Ledger(home).reading() as log:
        subject = ModelExported.subject_of(pipeline=pipeline, version=version)
        exported = latest_in(log, ModelExported, subject)
    record = exported and Records(home).find(pipeline, "deploy", Path(exported[1].record).stem)
    if not record or not exported:
        raise _gone(pipeline, version)
    return Lineage(
        exported[1].time,
        _upstream(record, "split", SplitResult, version, home),
        _upstream(record, "evaluate", EvaluationResult, version, home),
    )


def learned_rows(pipeline: str, version: int, home: Home) -> tuple[Snapshot, ...]:
    """Return the rows that a deployed version was trained and validated on.

    Nothing if they are not known any more. Rows that were erased since are left out.
    """
    try:
        parts = lineage_of(pipeline, version, home).parts
    except ModelError:
        return ()
    found = (parts.train, parts.validation)
    return found if all(exists(one, home) for one in found) else ()


def _upstream(record: Record, stage: str, kind: type[R], version: int, home: Home) -> R:
    for key in record.inputs.get(stage, ()):
        if found := Records(home).find(record.pipeline, stage, key):
            return result_as(kind, found)
    raise _gone(record.pipeline, version)


def _gone(pipeline: str, version: int) -> ModelError:
    return ModelError(
        f"the records of how {pipeline}@{version} was made are gone, so that nothing can be "
        "compared with the rows that it learned from",
        remedy=f"train a new version: factory run {pipeline}",
    )
