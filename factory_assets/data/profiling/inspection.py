"""What ingest finds out about a whole table before it publishes it; judged in `table_checks`."""

from pathlib import Path

from factory_assets.data.privacy.pii_scan import scan_for_pii
from factory_assets.data.profiling.drift import drift
from factory_assets.data.profiling.profile import Profile, StagedRows, load_profile, newest, profile
from factory_assets.results.data import Findings, IngestResult
from factory_assets.spec import Pipeline, partition_of, time_dimension
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.tables.snapshot import Snapshot, exists
from factory_resources.tracking.records import Record, Records


def inspect_table(
    pipeline: Pipeline, written: StagedRows, home: Home, scratch: Path, partition: str | None
) -> tuple[Findings, Profile]:
    """Look at the rows that are about to become the snapshot.

    Args:
        written: they, in files.
        scratch: a folder on the home's own file system.
        partition: the key of the partition that they are.

    Returns:
        What was found, and the profile to keep with the snapshot.

    Raises:
        StorageError: the disk says no.
    """
    fresh = pipeline.spec.ingest.contract.freshness
    hidden = sensitive_names(pipeline)
    before = _before(pipeline, home, partition)
    past = _profile(before, home, scratch, hidden) if before else None
    with sealed(read=[path for path, _ in written.files], write=scratch) as connection:
        made, sampled = profile(connection, written, hidden)
        latest = newest(connection, written, fresh.column) if fresh else None
    shown = {name: kind for name, kind in written.columns.items() if name not in hidden}
    found = Findings(
        newest=latest,
        drift=drift(before.data_version, past, made, sampled) if before and past else None,
        personal=scan_for_pii(shown, sampled),
    )
    return found, made


def sensitive_names(pipeline: Pipeline) -> frozenset[str]:
    """The ingested columns of which no value may be remembered."""
    return frozenset(c.name for c in pipeline.spec.ingest.contract.columns if c.sensitive)


def _before(pipeline: Pipeline, home: Home, partition: str | None) -> Snapshot | None:
    """The snapshot accepted last; for a new period of time, that of the period before it."""
    records = Records(home)
    record = records.latest(pipeline.name, "ingest", partition)
    if record is None and partition is not None:
        record = _of_the_period_before(pipeline, records, partition)
    return IngestResult.model_validate(record.value).snapshot if record else None


def _of_the_period_before(pipeline: Pipeline, records: Records, key: str) -> Record | None:
    dimensions = pipeline.spec.partitions
    time, this = time_dimension(dimensions), partition_of(dimensions, key)
    if time is None or this is None:
        return None
    others = [partition_of(dimensions, k) for k in records.partitions(pipeline.name, "ingest")]
    earlier = [
        other
        for other in others
        if other
        and other.begins[time] < this.begins[time]
        and {**other.keys, time: ""} == {**this.keys, time: ""}
    ]
    last = max(earlier, key=lambda other: other.begins[time], default=None)
    return records.latest(pipeline.name, "ingest", last.key) if last else None


def _profile(
    snapshot: Snapshot, home: Home, scratch: Path, hidden: frozenset[str]
) -> Profile | None:
    """As it was kept, else made again; None where the snapshot is gone."""
    if known := load_profile(snapshot.data_version, home, hidden):
        return known
    if not exists(snapshot, home):
        return None
    paths = snapshot.paths(home)
    files = [(path, file.rows) for path, file in zip(paths, snapshot.files, strict=True)]
    with sealed(read=paths, write=scratch) as connection:
        return profile(connection, StagedRows(files, snapshot.columns), hidden)[0]
