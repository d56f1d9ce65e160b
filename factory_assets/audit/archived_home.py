"""Verify an evidence archive and unpack it as a home, where the factory's own home is not at hand.

Only what is in the archive is in this home. Writing an archive belongs in `evidence`, tracing in
`trace`.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from errno import EEXIST, EISDIR, ENAMETOOLONG, ENOTDIR
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.audit.trace.answer.report import ArchiveFact
from factory_assets.ml.artifacts.onnx_model import DIGEST_TAG
from factory_assets.ml.artifacts.trained_model import MANIFEST, MODEL_TAG
from factory_assets.results.record_graph import model_of
from factory_resources.errors import ModelError, RefusedError, StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.ledger.connection import new_sqlite
from factory_resources.ledger.entries import ModelExported, ModelTrained
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import EPOCH, subject_key
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry, Version

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import ArchiveFile

_OF_NAMES = frozenset({EEXIST, EISDIR, ENAMETOOLONG, ENOTDIR})
"""What the system says of a name that is too long, or is that of a file and of a folder."""

_READ = ("artifacts/", "erasures/", "records/", "statements/", "tables/")
"""What a trace reads of a home; nothing else is taken out of an archive."""


class ArchivedRegistry(Registry):
    """The registered version of an archive, as its entries and records describe it."""

    def __init__(self, home: Home, about: tuple[str, int] | None) -> None:
        super().__init__(home)
        self._about = about

    def versions(self) -> dict[str, tuple[int, ...]]:
        return {self._about[0]: (self._about[1],)} if self._about else {}

    def moved_alias(self, model: str) -> str | None:
        return None

    def version(self, model: str, version: int) -> Version:
        """Return the version.

        Raises:
            ModelError: the archive has no record or no files of it.
        """
        records = [r for r in Records(self.home).all(model) if model_of(r) == (model, version)]
        subject = ModelTrained.subject_of(pipeline=model, version=version)
        entered = Ledger(self.home).latest(ModelTrained, subject) if records else None
        files = self._files(model, entered[1].digest) if entered else None
        if entered is None or files is None:
            raise ModelError(
                f"the archive has no files of {model}@{version}",
                remedy=f"ask for one that is written by: factory evidence {model}@{version}",
            )
        value = records[0].value
        run_id = str(value.get("candidate", value).get("run_id", ""))
        trained = next((record for record in records if record.stage == "train"), None)
        tags = {MODEL_TAG: entered[1].digest, **_trained_tags(trained), **self._graph(subject)}
        return Version(model, version, run_id, files, tags)

    def _files(self, model: str, digest: str) -> Path | None:
        """Return the folder whose manifest has this digest."""
        for manifest in self.artifacts(model).glob(f"models/*/artifacts/{MANIFEST}"):
            if sha256(manifest.read_bytes()).hexdigest() == digest:
                return manifest.parent
        return None

    def _graph(self, subject: str) -> dict[str, str]:
        exported = Ledger(self.home).latest(ModelExported, subject.replace("model/", "export/", 1))
        return {DIGEST_TAG: exported[1].graph} if exported else {}


def _trained_tags(trained: Record | None) -> dict[str, str]:
    if trained is None:
        return {}
    inputs = trained.parts.get("inputs") or {}
    return {"factory.run_id": trained.run_id, "factory.data_version.split": inputs.get("split", "")}


@dataclass(frozen=True)
class ArchivedHome:
    """An archive as a home, or a home of nothing if there is no archive."""

    home: Home
    registry: ArchivedRegistry
    about: ArchiveFact | None


@contextmanager
def opened_archive(path: Path | None, prediction: bytes | None = None) -> Iterator[ArchivedHome]:
    """Verify an archive, and yield it as a home in a temporary folder.

    Args:
        path: the archive; None for a home of nothing.
        prediction: a proof about one answer, whose block is added to the entries.

    Raises:
        RefusedError: something in it, or in the proof, does not hold.
        StorageError: there is no such file.
    """
    with tempfile.TemporaryDirectory(prefix="factory-archive-") as folder, _without_server():
        home = Home(Path(folder))
        about = _unpacked(path, home, prediction) if path else None
        version = (about.pipeline, about.version) if about else None
        yield ArchivedHome(home, ArchivedRegistry(home, version), about)


@contextmanager
def _without_server() -> Iterator[None]:
    """Read databases from files in the block: the server that is declared has those of a home."""
    declared = os.environ.pop(DATABASE_VARIABLE, None)
    try:
        yield
    finally:
        if declared is not None:
            os.environ[DATABASE_VARIABLE] = declared


def _unpacked(path: Path, home: Home, prediction: bytes | None) -> ArchiveFact:
    """Verify the archive, and write its files and its ledger into a home."""
    from factory_resources.ledger.factory_verify import (
        ArchiveFile,
        Expectation,
        InvalidError,
        LogCheckpoint,
        SignedNote,
        verify_path,
    )

    if not path.is_file():
        remedy = "name a file that factory evidence wrote"
        raise StorageError("there is no such file", where=str(path), remedy=remedy)
    try:
        report, note = verify_path(str(path), Expectation(prediction=prediction))
        if note is None or not report.holds:
            raise InvalidError(str(report.problems[0]))
        with ArchiveFile.open(str(path)) as archive:
            about = json.loads(_read(archive, "evidence.json"))
            numbers = about["entries"]
            bodies = {number: _read(archive, f"entries/{number}.json") for number in numbers}
            if prediction:
                bodies |= _entered_block(prediction)
            size = LogCheckpoint.parse(SignedNote.parse(note).text).size
            _write_ledger(home, bodies, size, note.decode())
            _write_files(home, archive, bodies)
            key = _read(archive, "key").decode().strip()
    except InvalidError as error:
        raise _refused(path, str(error)) from error
    named = {name: about[name] for name in ("pipeline", "version", "origin")}
    return ArchiveFact(sha256=file_sha256(path), **named, key=key, size=size)


def _refused(path: Path, what: str) -> RefusedError:
    remedy = "ask for another archive; python factory_verify.py shows all that does not hold"
    return RefusedError(f"this evidence does not hold: {what}", where=str(path), remedy=remedy)


def _read(archive: "ArchiveFile", name: str) -> bytes:
    return b"".join(archive.chunks(name))


def _entered_block(prediction: bytes) -> dict[int, bytes]:
    """Return number and body of the entry in a proof that holds."""
    from factory_resources.ledger.factory_verify import InclusionProof, PredictionProof

    entered = PredictionProof.parse(prediction).entered
    return {InclusionProof.parse(entered.proof).index: entered.body} if entered else {}


def _write_ledger(home: Home, bodies: Mapping[int, bytes], size: int, note: str) -> None:
    """Write entries that were proven to a ledger; it has no tree, and cannot be appended to."""
    subjects = {n: json.loads(body).get("subject") for n, body in bodies.items()}
    keys = {(subject_key(s, n // EPOCH), n) for n, s in subjects.items() if s}
    with closing(new_sqlite(str(home.ledger))) as connection:
        connection.create_tables()
        with connection.writing("SELECT 1"):
            connection.insert("entry", sorted(bodies.items()))
            connection.insert("subject", sorted(keys))
            connection.insert("head", [(1, max(size, *(n + 1 for n in bodies)), b"", note)])


def _write_files(home: Home, archive: "ArchiveFile", bodies: Mapping[int, bytes]) -> None:
    """Write what a trace reads; records only if an entry names them."""
    entered = {json.loads(body).get("subject") for body in bodies.values()}
    for name in archive.all():
        file = name.removeprefix("home/")
        if file == name or not file.startswith(_READ):
            continue
        if file.startswith("records/") and file not in entered:
            continue
        with _named(name):
            target = home.path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as to:
                to.writelines(archive.chunks(name))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Refuse a name in an archive that no file here can have; a full disk is no fault of it."""
    from factory_resources.ledger.factory_verify import InvalidError

    try:
        yield
    except OSError as error:
        if error.errno not in _OF_NAMES:
            raise
        raise InvalidError(f"{name!r} cannot be unpacked ({error.strerror})") from error
