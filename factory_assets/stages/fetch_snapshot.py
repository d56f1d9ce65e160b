"""Another pipeline's newest snapshot as a source; its files keep their digests, and the trace goes
on from there."""

from collections.abc import Iterator
from pathlib import Path

from factory_assets.spec import IDENTITY, SnapshotSource
from factory_assets.stages.found import Found, Place
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import Raw
from factory_resources.tables.snapshot import Snapshot, TableFile, exists
from factory_resources.tracking.records import Record, Records


def found_snapshot(source: SnapshotSource, place: Place) -> Iterator[Found]:
    """The files of the snapshot in order; of a pipeline in partitions, partition by partition.

    Raises:
        SourceError: there is none yet, or its files are gone.
    """
    name = f"{source.pipeline}/{source.stage}"
    records = _records(source, place.home)
    if not records:
        raise SourceError(
            "there is no result yet",
            where=name,
            remedy=f"run it first: factory run {source.pipeline} --stages {source.stage}",
        )
    for record in records:
        snapshot = Snapshot.model_validate(record.value["snapshot"])
        if not exists(snapshot, place.home):
            raise SourceError(
                f"snapshot {snapshot.data_version[:12]} is gone",
                where=name,
                remedy=f"make it again: factory run {source.pipeline}",
            )
        for file, path in zip(snapshot.files, snapshot.paths(place.home), strict=True):
            yield _snapshot(snapshot, file, path, f"{name}@{snapshot.data_version}")


def _records(source: SnapshotSource, home: Home) -> list[Record]:
    records = Records(home)
    whole = records.latest(source.pipeline, source.stage)
    keys = records.partitions(source.pipeline, source.stage)
    found = (records.latest(source.pipeline, source.stage, key) for key in keys)
    parts = [record for record in found if record]
    # A pipeline that came to have partitions, or has them no more, left both kinds behind.
    if whole and all(record.finished < whole.finished for record in parts):
        return [whole]
    return parts


def _snapshot(snapshot: Snapshot, file: TableFile, path: Path, name: str) -> Found:
    columns = {c: (c, kind) for c, kind in snapshot.columns.items() if c not in IDENTITY}

    def read(own: Path) -> Raw:
        return Raw(path, name, file.sha256, {}, file.rows, columns, None)

    return Found(file.sha256, {}, read, file.bytes)
