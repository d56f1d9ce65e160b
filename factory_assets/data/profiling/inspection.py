"""Measure a whole table before `ingest` publishes it: age, drift, undeclared personal data.

The measurements are judged in `contract.table_checks`.
"""

from pathlib import Path

from factory_assets.data.privacy.pii_scan import scan_for_pii
from factory_assets.data.profiling.drift import drift
from factory_assets.data.profiling.profile import Profile, StagedRows, load_profile, newest, profile
from factory_assets.results.base import result_as
from factory_assets.results.data import Findings, IngestResult
from factory_assets.spec import Pipeline, partition_of, time_dimension
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.sql.engine import engine_errors, sealed
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.snapshot import Snapshot, exists, fetched_paths
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records


def inspect_table(
    pipeline: Pipeline,
    written: StagedRows,
    home: Home,
    scratch: Path,
    partition: str | None,
    engines: SharedEngines,
) -> tuple[Findings, Profile]:
    """Measure the rows that are about to become the snapshot.

    Args:
        written: the rows, in files.
        scratch: a folder on the home's own file system.
        partition: the key of the partition that the rows belong to.

    Returns:
        The findings, and the profile to store with the snapshot.

    Raises:
        ContractError: the column of `freshness` holds neither dates nor times.
        StorageError: the disk cannot be written, or there is too little memory.
    """
    fresh = pipeline.spec.ingest.contract.freshness
    hidden = sensitive_names(pipeline)
    before = _previous_snapshot(pipeline, home, partition)
    past = _profile_of(before, home, scratch, hidden) if before else None
    with (
        engines.sealed(read=[path for path, _ in written.files], write=scratch) as connection,
        engine_errors("profile", StorageError, "run again"),
    ):
        computed, sampled = profile(connection, written, hidden)
        latest = newest(connection, written, fresh.column) if fresh else None
    moved = None
    if before and past:
        moved = drift(
            before.data_version,
            past,
            computed,
            sampled,
            keys=pipeline.spec.partitions,
            named=pipeline.spec.ingest.contract.distribution.columns,
        )
    findings = Findings(
        newest=latest,
        drift=moved,
        # Those that are declared are looked for by name: they may be declared no longer.
        personal=scan_for_pii(written.columns, sampled),
    )
    return findings, computed


def sensitive_names(pipeline: Pipeline) -> frozenset[str]:
    """Return the ingested columns whose values must not be stored in a profile."""
    return frozenset(c.name for c in pipeline.spec.ingest.contract.columns if c.sensitive)


def _previous_snapshot(pipeline: Pipeline, home: Home, partition: str | None) -> Snapshot | None:
    """Return the snapshot accepted last; for a new period of time, that of the period before."""
    records = Records(home)
    record = records.latest(pipeline.name, "ingest", partition)
    if record is None and partition is not None:
        record = _record_of_previous_period(pipeline, records, partition)
    return result_as(IngestResult, record).snapshot if record else None


def _record_of_previous_period(pipeline: Pipeline, records: Records, key: str) -> Record | None:
    dimensions = pipeline.spec.partitions
    time = time_dimension(dimensions)
    if time is None:
        return None
    place, this = sorted(dimensions).index(time), key.split("|")

    def period(parts: list[str]) -> str:
        return parts[place]

    others = (other.split("|") for other in records.partitions(pipeline.name, "ingest"))
    # Keys of periods sort as the periods do. Parsing all of them would take long.
    earlier = [
        other
        for other in others
        if len(other) == len(this)
        and period(other) < period(this)
        and [*other[:place], *other[place + 1 :]] == [*this[:place], *this[place + 1 :]]
    ]
    for other in sorted(earlier, key=period, reverse=True):
        if partition_of(dimensions, found := "|".join(other)):
            return records.latest(pipeline.name, "ingest", found)
    return None


def _profile_of(
    snapshot: Snapshot, home: Home, scratch: Path, hidden: frozenset[str]
) -> Profile | None:
    """Return the stored profile, or compute it again; None if the snapshot is gone."""
    if stored := load_profile(snapshot.data_version, home, hidden):
        return stored
    if not exists(snapshot, home):
        return None
    paths = fetched_paths(snapshot, home)
    files = [(path, file.rows) for path, file in zip(paths, snapshot.files, strict=True)]
    with (
        sealed(read=paths, write=scratch) as connection,
        engine_errors("profile before", StorageError, "factory verify shows what was changed"),
    ):
        return profile(connection, StagedRows(files, snapshot.columns), hidden)[0]
