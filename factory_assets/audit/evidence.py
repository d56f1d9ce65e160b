"""Collect in one archive what is needed to verify a model version offline.

The archive is verified by `factory_verify.py`, which it contains. Its files are not compressed, so
that it never unpacks to more than its size.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import IO

from factory_assets.audit.erased import erased_files, erasure_papers
from factory_assets.audit.listed_files import listed_files
from factory_assets.audit.references import parse_model
from factory_assets.audit.requirements.catalogue import catalogue
from factory_assets.audit.resolver import find_model
from factory_assets.audit.statement import Statement
from factory_assets.audit.trace.answer.edge import edge_entries
from factory_assets.audit.upstream import model_records, whole_upstream
from factory_assets.declarations.settings import load_settings, policy_file
from factory_assets.execution import provenance
from factory_assets.execution.supply_chain import require_own_files, supply_files
from factory_assets.ml.artifacts.onnx_model import FILE, FOLDER
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_resources.errors import OUTPUT_REMEDY, ModelError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger import factory_verify
from factory_resources.ledger.entries import (
    CandidateDecided,
    ChampionMade,
    DeclarationChanged,
    KeyChanged,
    LedgerStarted,
    ModelExported,
    ModelTrained,
    PersonChanged,
    RunStarted,
    ServingChanged,
    StageComputed,
    VerdictGiven,
)
from factory_resources.ledger.entry import Entry
from factory_resources.ledger.factory_verify import (
    InvalidError,
    LogCheckpoint,
    SignedNote,
    VerifierKey,
)
from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger, entries_in, entry_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.proofs import inclusion_proof
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted
from factory_resources.ledger.statements import statement_file
from factory_resources.ledger.supply_entries import SupplyChainRecorded
from factory_resources.ledger.witnesses import covering_checkpoint, extension
from factory_resources.tables.snapshot import fetched_paths
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import entry_of
from factory_resources.tracking.registry import Registry, Version

_MODELS = "artifacts/"
"""Where a home has the files of models and exports."""

_SIGNED = (CandidateDecided, ChampionMade, RolloutEnded, ServingChanged, GovernanceSigned)

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive, so that the same evidence has the same bytes."""


@dataclass(frozen=True)
class Evidence:
    """What goes into the archive."""

    version: Version
    entries: tuple[int, ...]
    """Their numbers."""
    files: tuple[Path, ...]
    """Files of the home, from which the version was made or in which it is described."""
    supply: tuple[Path, ...]
    """Files of the home: its bills of materials, and the statements that were entered with them."""
    trained: Record | None
    """The record of the version's training; None if the same training was computed again."""
    with_rows: bool


def collect(text: str, home: Home, *, with_rows: bool) -> Evidence:
    """Find the entries and files about a model version.

    Args:
        text: `pipeline@3` or `pipeline@champion`.
        with_rows: whether to include the files of the tables.

    Raises:
        UnknownNameError: there is no such version.
        ModelError: a record behind it is missing or not entered, a file of it is missing or was
            changed, or an erasure removed its files.
    """
    name = parse_model(text)
    registry, graph = Registry(home), RecordGraph.of(home)
    version = find_model(name, registry)
    trained = graph.candidate(version.model, version.version)
    about = (graph.about(version.model, version.version, s) for s in ("evaluate", "deploy"))
    # People may have decided about an earlier evaluation, or rolled back to an earlier deployment.
    roots = [*model_records(version, graph), *chain.from_iterable(about)]
    records = whole_upstream(roots, graph)
    with Ledger(home).reading() as log:
        numbers = {0, *_entries(log, version, records, home)}
        files = [home.path / record.name for record in records]
        files += _statements(log, numbers, version, home)
        for entered, path in erasure_papers(version.model, version.version, records, home):
            numbers.update(entered)
            files.append(path)
        recorded = [entry_in(log, number) for number in sorted(numbers)]
    supply = [supply_files(one, home) for one in recorded if isinstance(one, SupplyChainRecorded)]
    run = registry.run_files(version.model, version.run_id)
    for manifest in (version.files / MANIFEST, run / provenance.FOLDER / MANIFEST):
        if manifest.is_file():
            files += [manifest, *map(manifest.with_name, listed_files(manifest, text))]
    if {str(path.relative_to(home.path)) for path in files} & erased_files(home):
        raise ModelError(
            "files of it were removed by an erasure, so it cannot be given to anybody",
            where=text,
            remedy=f"ask for a version that was trained without the rows: factory trace {text}",
        )
    require_own_files(version, home)
    graph_file = run / FOLDER / FILE
    files += [graph_file] if graph_file.is_file() else []
    if with_rows:
        for record in records:
            for snapshot in tables_of(value_in(record)).values():
                files += fetched_paths(snapshot, home)
    return Evidence(
        version,
        tuple(sorted(numbers)),
        tuple(dict.fromkeys(files)),
        tuple(dict.fromkeys(chain.from_iterable(supply))),
        trained,
        with_rows,
    )


def _statements(log: Log, numbers: Iterable[int], version: Version, home: Home) -> Iterator[Path]:
    """Yield the files of the statements about the version, and of all answers."""
    for number in numbers:
        entry = entry_in(log, number)
        if not isinstance(entry, _SIGNED) or not entry.statement:
            continue
        if isinstance(entry, GovernanceSigned) or entry.version == version.version:
            yield statement_file(home, entry.pipeline, entry.statement)


def _entries(log: Log, version: Version, records: Iterable[Record], home: Home) -> Iterator[int]:
    for record in records:
        digest = sha256((home.path / record.name).read_bytes()).hexdigest()
        number = entry_of(home, record, digest)
        if number is None:
            raise ModelError(
                f"the ledger has no entry of {record.name} as it is now",
                where=f"{version.model}@{version.version}",
                remedy="factory verify shows what does not hold",
            )
        for computed_at, computed in entries_in(log, StageComputed, record.name):
            yield computed_at
            yield from _numbers(log, RunStarted, run=computed.run)
        yield from _numbers(log, DeclarationChanged, pipeline=record.pipeline)
    kinds = (ModelTrained, VerdictGiven, ModelExported, CandidateDecided, SupplyChainRecorded)
    for kind in kinds:
        yield from _numbers(log, kind, pipeline=version.model, version=version.version)
    yield from _numbers(log, PersonChanged)
    acts = (ServingChanged, RolloutStarted, RolloutEnded)
    for number in chain.from_iterable(_numbers(log, one, pipeline=version.model) for one in acts):
        entry = entry_in(log, number)
        if isinstance(entry, acts) and entry.version == version.version:
            yield number
    for number, packed in edge_entries(log, 0):
        if (packed.pipeline, packed.version) == (version.model, version.version):
            yield number
    yield from _answers(log, version.model)
    yield from _numbers(log, KeyChanged, role="witness")
    # Also those of other versions: they tell what this one replaced, and when.
    yield from _numbers(log, ChampionMade, pipeline=version.model)


def _answers(log: Log, pipeline: str) -> Iterator[int]:
    """Yield the signed answers to requirements, and the entries of the versions they are about.

    An answer about an earlier version stands in the dossier of this one if it still holds.
    """
    for requirement in catalogue().requirements:
        subject = GovernanceSigned.subject_of(pipeline=pipeline, requirement=requirement.id)
        for number, entry in entries_in(log, GovernanceSigned, subject):
            yield number
            yield from _numbers(log, ModelTrained, pipeline=pipeline, version=entry.version)


def _numbers(log: Log, kind: type[Entry], **names: str | int) -> list[int]:
    return [number for number, _ in entries_in(log, kind, kind.subject_of(**names))]


def write(evidence: Evidence, home: Home, out: Path, since: bytes | None, name: Path) -> None:
    """Write the archive.

    Args:
        since: a checkpoint that the auditor kept, a note; the archive then proves that its own is
            of the same history.
        name: how the user calls the archive.

    Raises:
        InvalidError: `since` is not a checkpoint of this ledger.
        ModelError: a file of the home is missing, or the verifier would not read so many files.
        StorageError: the archive cannot be written.
    """
    # Inside, so that a full disk of the archive is not taken for that of the ledger.
    writing = storage_errors(name, OUTPUT_REMEDY)
    with Ledger(home).reading() as log, writing, zipfile.ZipFile(out, "w") as archive:
        first = _first(log)
        declared = load_settings()
        policy = declared.policy if declared else None
        size, note = covering_checkpoint(log, max(evidence.entries) + 1, policy)
        describes = {
            "format": 1,
            "pipeline": evidence.version.model,
            "version": evidence.version.version,
            "origin": first.origin,
            "entries": list(evidence.entries),
            "with_rows": evidence.with_rows,
        }
        _add(archive, "evidence.json", json.dumps(describes, indent=1).encode())
        _add(archive, "checkpoint", note.encode())
        _add(archive, "key", f"{VerifierKey.parse(first.key)}\n".encode())
        if file := policy_file():
            _add(archive, "policy", file.read_bytes())
        if since is not None:
            _add(archive, "consistency", _consistency(log, since, first.origin, (size, note)))
        for number in evidence.entries:
            _add(archive, f"entries/{number}.json", log.body(number))
            proof = inclusion_proof(log.tree, number, size, note)
            _add(archive, f"proofs/{number}.tlog-proof", proof.encode())
        digests = {
            str(path.relative_to(home.path)): _copied(path, archive, home)
            for path in evidence.files
        }
        for path in evidence.supply:
            _copied(path, archive, home)
        if evidence.trained:
            stated = _statement(evidence.version, evidence.trained, digests)
            _add(archive, "statement.json", stated.signed(LogKey.load(home)))
        verifier = Path(factory_verify.__file__)
        _add(archive, verifier.name, verifier.read_bytes())
    if out.stat().st_size - archive.start_dir > factory_verify.LARGEST_DIRECTORY:
        raise ModelError(
            f"its evidence is {len(archive.namelist()):,} files, more than the verifier reads of "
            "an archive",
            where=f"{evidence.version.model}@{evidence.version.version}",
            remedy="let the auditor verify a copy of the home: python factory_verify.py COPY",
        )


def signed_statement(evidence: Evidence, home: Home) -> bytes:
    """Return the signed statement about the files of a version, as they are now.

    Raises:
        ModelError: its training is not recorded, or a file is missing.
    """
    where = f"{evidence.version.model}@{evidence.version.version}"
    if evidence.trained is None:
        remedy = f"train it again: factory run {evidence.version.model}"
        raise ModelError("the record of its training is gone", where=where, remedy=remedy)
    digests = {}
    for path in evidence.files:
        try:
            digests[str(path.relative_to(home.path))] = file_sha256(path)
        except OSError as error:
            remedy = "factory verify shows what else does not hold"
            raise ModelError(f"{path.name} is missing", where=where, remedy=remedy) from error
    return _statement(evidence.version, evidence.trained, digests).signed(LogKey.load(home))


def _statement(version: Version, trained: Record, digests: Mapping[str, str]) -> Statement:
    files = {name: digest for name, digest in digests.items() if name.startswith(_MODELS)}
    materials = {name: digest for name, digest in digests.items() if name not in files}
    return Statement(version.model, version.version, trained, files, materials)


def _copied(path: Path, archive: zipfile.ZipFile, home: Home) -> str:
    """Copy a file of the home into the archive, and return its SHA-256."""
    digest, name = sha256(), str(path.relative_to(home.path))
    with _new(archive, f"home/{name}") as to:
        for chunk in _chunks(path, name):
            digest.update(chunk)
            to.write(chunk)
    return digest.hexdigest()


def _chunks(path: Path, name: str) -> Iterator[bytes]:
    # Separate from writing, so that a file of the home is not taken for the archive.
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        what = f"cannot be read ({error.strerror}), and belongs to the evidence"
        remedy = "factory verify shows what else does not hold"
        raise ModelError(what, where=name, remedy=remedy) from error


def _first(log: Log) -> LedgerStarted:
    first = entry_in(log, 0)
    assert isinstance(first, LedgerStarted)
    return first


def _consistency(log: Log, since: bytes, origin: str, checkpoint: tuple[int, str]) -> bytes:
    """Return the proof that of a kept checkpoint and the archive's, the newer extends the older.

    Raises:
        InvalidError: it was kept from another log, or is over more entries than this one has.
    """
    kept = LogCheckpoint.parse(SignedNote.parse(since).text)
    if kept.origin != origin:
        raise InvalidError(f"is of the log {kept.origin}, and this ledger is {origin}")
    if kept.size > log.size:
        raise InvalidError(f"is over {kept.size:,} entries, and this ledger has {log.size:,}")
    size, note = checkpoint
    # That of the archive is as old as the last look of a witness.
    if kept.size > size:
        return extension(log, size, kept.size, since.decode())
    return extension(log, kept.size, size, note)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def _new(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True)
