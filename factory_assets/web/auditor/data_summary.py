"""What `ingest` and `clean` did with the rows of all partitions together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from factory_assets.results.base import result_as
from factory_assets.results.data import CleanResult, Drift, IngestResult, SourceFile
from factory_resources.tracking.record import Record


@dataclass(frozen=True)
class DataSummary:
    """What was read, and how much of it went on."""

    sources: tuple[SourceFile, ...]
    """Of each partition in turn."""
    rows_read: int
    invalid: int
    """Rows that `ingest` put in quarantine."""
    unclean: int
    """Rows that `clean` put in quarantine."""
    duplicates: int
    """Rows that `clean` left out, as they were there already."""
    drift: Drift | None
    """What changed since the snapshot before; of partitions, in the last one."""


def data_summary(records: Iterable[Record]) -> DataSummary | None:
    """Return what records of `ingest` and `clean` say together; None without one of `ingest`."""
    ordered = sorted(records, key=lambda record: record.partition or "")
    ingested = [result_as(IngestResult, one) for one in ordered if one.stage == "ingest"]
    cleaned = [result_as(CleanResult, one) for one in ordered if one.stage == "clean"]
    if not ingested:
        return None
    return DataSummary(
        tuple(source for one in ingested for source in one.sources),
        sum(one.rows_read for one in ingested),
        sum(one.quarantined_rows for one in ingested),
        sum(one.quarantined_rows for one in cleaned),
        sum(one.duplicates for one in cleaned),
        ingested[-1].findings.drift,
    )
