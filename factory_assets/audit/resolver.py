"""Resolve names of the command line to records and versions of one home.

Parsing a name, without looking it up, belongs in `references`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from factory_assets.audit.references import (
    FORMS,
    PARTS,
    SHOWN_DIGITS,
    ModelName,
    SnapshotName,
    SourceName,
)
from factory_assets.results.data import IngestResult
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_assets.results.stages import Stage
from factory_assets.spec.base import suggest
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.sources.databases.reader import SQLITE
from factory_resources.sources.files.archives import member_of
from factory_resources.sources.files.discovery import sha256_of
from factory_resources.tables.logged_files import past_versions
from factory_resources.tables.snapshot import Snapshot, union
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry, Version

SHOWN = 5
"""Maximum number of valid names that an error lists."""


@dataclass(frozen=True)
class ResolvedTable:
    """A table, or everything that a stage stored, with its records: one per partition."""

    records: tuple[Record, ...]
    part: str | None
    """None for everything that the stage stored."""

    @property
    def table(self) -> Snapshot:
        """The rows of the part; several partitions are combined into one table.

        Raises:
            UnknownNameError: the name stands for everything that the stage stored.
        """
        if self.part is None:
            parts = PARTS[cast(Stage, self.records[0].stage)]
            name = f"{self.records[0].pipeline}/{self.records[0].stage}"
            raise UnknownNameError(
                f"{name} consists of {len(parts)} tables",
                remedy=f"name one: {', '.join(f'{name}.{part}' for part in parts)}",
            )
        snapshots = (tables_of(value_in(record)).get(self.part) for record in self.records)
        return union([snapshot for snapshot in snapshots if snapshot])


def find_model(name: ModelName, registry: Registry) -> Version:
    """Return the registered version.

    Raises:
        UnknownNameError: there is no such model, version or champion.
    """
    known = registry.versions()
    if name.pipeline not in known:
        raise _no_such_model(name.pipeline, known, registry.home)
    version = name.version
    if version == "champion":
        champion = registry.champion(name.pipeline)
        if champion is None:
            raise UnknownNameError(
                f"{name.pipeline} has no champion", remedy=_versions(known[name.pipeline])
            )
        version = champion
    if version not in known[name.pipeline]:
        raise UnknownNameError(
            f"{name.pipeline} has no version {version}", remedy=_versions(known[name.pipeline])
        )
    return registry.version(name.pipeline, version)


def find_snapshot(name: SnapshotName, history: RecordGraph) -> ResolvedTable:
    """Return the records of the snapshot.

    Raises:
        UnknownNameError: there is no such snapshot, or several versions begin with the given one.
    """
    where = f"{name.pipeline}/{name.stage}"
    records = history.of_stage(name.pipeline, name.stage)
    if not records:
        raise _no_such_stage(name, history)
    part = name.part or ("snapshot" if "snapshot" in PARTS.get(name.stage, ()) else None)
    if name.version is None:
        latest = tuple(history.latest(name.pipeline, name.stage))
        if not latest:
            raise UnknownNameError(
                f"the latest record of {where} is gone",
                remedy=f"run it again: factory run {name.pipeline} --stages {name.stage}",
            )
        return ResolvedTable(latest, part)
    found = {
        version: resolved
        for record in records
        for version, resolved in _versions_of(record, name.part, part, history)
        if version.startswith(name.version)
    }
    if len(found) > 1:
        raise UnknownNameError(
            f"{len(found)} data versions of {where} begin with {name.version}",
            remedy=f"write more characters of one: {', '.join(sorted(found)[:SHOWN])}",
        )
    if not found:
        raise _no_such_version(name, where, records, history)
    return next(iter(found.values()))


def find_source(name: SourceName, history: RecordGraph) -> str:
    """Return the digest of a source that some pipeline has read.

    Raises:
        UnknownNameError: no pipeline has read it, or several digests begin with the given one.
    """
    names = _sources(history)
    if name.digest is not None:
        found = [digest for digest in names if digest.startswith(name.digest)]
        if len(found) == 1:
            return found[0]
        what = f"{len(found)} sources begin with" if found else "no pipeline has read a source"
        shown = (f"sha256:{d[:SHOWN_DIGITS]} {names[d][-1]}" for d in (found or [*names])[-SHOWN:])
        raise UnknownNameError(
            f"{what} sha256:{name.digest}",
            remedy=f"sources that were read: {', '.join(shown) or 'none'}",
        )
    assert name.path is not None
    return _find_by_path(name.path, names)


def find_member(name: SourceName, digest: str, history: RecordGraph) -> str:
    """Return the member of a zip that a name names; empty if it names a whole file.

    Args:
        digest: what `find_source` has found.
    """
    if name.path is None or name.path.is_file():
        return ""
    members = {member_of(one) for one in _sources(history)[digest]} - {""}
    named = {member_of(str(name.path))} & members
    named = named or {one for one in members if Path(one).name == name.path.name}
    return named.pop() if len(named) == 1 else ""


def _find_by_path(path: Path, names: Mapping[str, tuple[str, ...]]) -> str:
    if path.is_file():
        digest = sha256_of(path, str(path))
        if digest in names:
            return digest
        if tables := _tables_in(path, names):
            raise UnknownNameError(
                f"{str(path)!r} is a database",
                remedy=f"write the name of a table: factory trace {tables[0]}; read were "
                f"{', '.join(tables[:SHOWN])}",
            )
        earlier = _digests_of_name(path, names)
        note = f"; the file of that name was sha256:{earlier[-1][:SHOWN_DIGITS]}" if earlier else ""
        raise UnknownNameError(
            f"no pipeline has read {str(path)!r} "
            f"as it is now (sha256:{digest[:SHOWN_DIGITS]}){note}",
            remedy=f"run the pipeline that reads it, or write {FORMS}",
        )
    if path.is_dir():
        raise UnknownNameError(f"{str(path)!r} is a folder", remedy=f"write {FORMS}")
    earlier = _digests_of_name(path, names)
    if not earlier:
        raise UnknownNameError(
            f"there is no file {str(path)!r}, and no pipeline has read one of that name",
            remedy=f"write {FORMS}",
        )
    return earlier[-1]


def _tables_in(path: Path, names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the tables and views that were read from an SQLite file of this name."""
    read = (
        Path(name.removeprefix(SQLITE))
        for known in names.values()
        for name in known
        if name.startswith(SQLITE)
    )
    tables = (table.name for table in read if table.parent.name == path.name)
    return list(dict.fromkeys(tables))


def _digests_of_name(path: Path, names: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the digests of sources with this path, or else this file name, oldest first."""
    parts = path.parts
    if len(parts) > 1:
        exact = [d for d, known in names.items() if any(str(path) == n for n in known)]
        if exact:
            return exact
    return [
        digest
        for digest, known in names.items()
        if any(Path(n).parts[-1:] == parts[-1:] for n in known)
    ]


def _sources(history: RecordGraph) -> dict[str, tuple[str, ...]]:
    """Return the digest of every source with the names it had, ordered by last use."""
    found: dict[str, tuple[str, ...]] = {}
    for record in history.records:
        value = value_in(record) if record.stage == "ingest" else None
        for source in value.sources if isinstance(value, IngestResult) else ():
            found[source.sha256] = (*found.pop(source.sha256, ()), source.name)
    return found


def _versions_of(
    record: Record, named_part: str | None, part: str | None, history: RecordGraph
) -> Iterable[tuple[str, ResolvedTable]]:
    """Yield every data version by which the record's tables may be named.

    Args:
        named_part: the part as written.
        part: the same, with the default filled in.
    """
    if named_part is None:
        yield record.data_version, ResolvedTable((record,), part)
    for name, snapshot in tables_of(value_in(record)).items():
        if named_part in {None, name}:
            yield snapshot.data_version, ResolvedTable((record,), name)
    if named_part in {None, "snapshot"}:
        # Partitions that were read as one table have one data version together.
        for user in history.users(record):
            version = user.parts.get("inputs", {}).get(record.stage)
            parts = [r for r in history.inputs(user) if r.stage == record.stage]
            if version and len(parts) > 1:
                yield version, ResolvedTable(tuple(parts), part)


def _no_such_stage(name: SnapshotName, history: RecordGraph) -> UnknownNameError:
    pipelines = history.pipelines
    if name.pipeline not in pipelines:
        return UnknownNameError(
            f"pipeline {name.pipeline!r} has no results yet",
            remedy=_suggestion(name.pipeline, pipelines),
        )
    stages = [s for s in PARTS if history.of_stage(name.pipeline, s)]
    return UnknownNameError(
        f"{name.stage} of {name.pipeline} has no results yet",
        remedy=f"choose one of: {', '.join(f'{name.pipeline}/{stage}' for stage in stages)}",
    )


def _no_such_version(
    name: SnapshotName, where: str, records: list[Record], history: RecordGraph
) -> UnknownNameError:
    existing = ", ".join(
        f"{where}@{r.data_version[:SHOWN_DIGITS]} ({r.finished[:10]})"
        for r in records[::-1][:SHOWN]
    )
    folder = history.home.tables / name.pipeline / name.stage
    if any(version.startswith(name.version or "") for version in past_versions(folder)):
        return UnknownNameError(
            f"version {name.version} of {where} was removed by `factory gc`",
            remedy=f"choose one of: {existing}",
        )
    return UnknownNameError(
        f"{where} has no data version {name.version}", remedy=f"choose one of: {existing}"
    )


def _no_such_model(name: str, known: Iterable[str], home: Home) -> UnknownNameError:
    if Records(home).latest(name, "train"):
        return UnknownNameError(
            f"MLflow has no version of {name!r}, which was trained",
            remedy="restore its database from a backup, or train another version: "
            f"factory run {name}",
        )
    return UnknownNameError(f"there is no model {name!r}", remedy=_suggestion(name, known))


def _suggestion(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return suggest(word, names) if names else "run a pipeline first"


def _versions(known: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, known[-SHOWN:]))
    return f"its versions are {shown}" + (" and older ones" if len(known) > SHOWN else "")
