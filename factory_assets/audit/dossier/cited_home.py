"""The documents of a home that a dossier cites: records, provenance, and entries of the ledger.

Which values are taken from them belongs in the modules of facts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from factory_assets.audit.dossier.cited import Citation, CitedDocument
from factory_assets.audit.references import ModelName
from factory_assets.audit.resolver import find_model
from factory_assets.execution import provenance
from factory_assets.execution.costs import upstream_records
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.stages import STAGES, Stage
from factory_resources.errors import ModelError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    ModelExported,
    ModelTrained,
    StageComputed,
    VerdictGiven,
)
from factory_resources.ledger.entry import Entry, VersionEntry
from factory_resources.ledger.factory_verify import leaf_hash
from factory_resources.ledger.ledger import entry_in
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry, Version

_NEWEST = 20_000

_ENTERED: tuple[type[VersionEntry], ...] = (ModelExported, VerdictGiven, ModelTrained)
"""Kinds of entries that name the record of a deployment, an evaluation and a training."""

E = TypeVar("E", bound=Entry)


@dataclass(frozen=True)
class CitedHome:
    """A home, and its ledger as it is at one moment."""

    home: Home
    log: Log

    def record(self, path: str) -> CitedDocument:
        """Return a record as it is in its file.

        Raises:
            ModelError: the ledger has no entry of the file as it is.
        """
        content = (self.home.path / path).read_bytes()
        digest = sha256(content).hexdigest()
        for number in self.log.numbers(path):
            entry = entry_in(self.log, number)
            if isinstance(entry, StageComputed) and entry.sha256 == digest:
                leaf = leaf_hash(self.log.body(number)).hex()
                return CitedDocument(Citation(path, digest, number, leaf), json.loads(content))
        raise _changed(path)

    def entry(self, number: int) -> CitedDocument:
        """Return an entry of the ledger."""
        body = self.log.body(number)
        citation = Citation(
            f"ledger/{number}", sha256(body).hexdigest(), number, leaf_hash(body).hex()
        )
        return CitedDocument(citation, json.loads(body))

    def entries(self, kind: type[E], **names: str | int) -> list[tuple[CitedDocument, E]]:
        """Return the entries of a kind about something, oldest first."""
        numbers = sorted(self.log.numbers(kind.subject_of(**names)))
        read = [(number, entry_in(self.log, number)) for number in numbers]
        return [(self.entry(number), one) for number, one in read if isinstance(one, kind)]

    def newest(self, kind: str) -> list[CitedDocument]:
        """Return the entries of a kind among the newest 20,000, whatever they are about."""
        size, mark = self.log.size, f'"kind":"{kind}"'.encode()
        bodies = self.log.bodies(max(0, size - _NEWEST), size)
        return [self.entry(number) for number, body in bodies if mark in body]

    def provenance(self, version: Version, part: provenance.Part) -> CitedDocument | None:
        """Return a part of how a version was trained; None if nothing was stored.

        Raises:
            ModelError: the file is not as the ledger says.
        """
        known = self.entries(ModelTrained, pipeline=version.model, version=version.version)
        if not known or known[-1][1].provenance is None:
            return None
        folder = Registry(self.home).run_files(version.model, version.run_id) / provenance.FOLDER
        file = folder / f"{part}.json"
        try:
            manifest, content = (folder / MANIFEST).read_bytes(), file.read_bytes()
        except OSError as error:
            raise _changed(str(file.relative_to(self.home.path))) from error
        path, digest = str(file.relative_to(self.home.path)), sha256(content).hexdigest()
        whole = sha256(manifest).hexdigest() == known[-1][1].provenance
        if not whole or json.loads(manifest).get(file.name) != digest:
            raise _changed(path)
        at = known[-1][0].citation
        return CitedDocument(Citation(path, digest, at.entry, at.leaf), json.loads(content))


@dataclass(frozen=True)
class VersionDocuments:
    """The documents behind one model version."""

    cited: CitedHome
    version: Version
    stages: Mapping[Stage, tuple[CitedDocument, ...]]
    """The records by stage; of partitions several, in the order of their keys."""
    declaration: CitedDocument | None
    """The declaration under which it was trained; None in versions from before it was stored."""
    environment: CitedDocument | None

    @property
    def name(self) -> str:
        return f"{self.version.model}@{self.version.version}"

    def of(self, stage: Stage) -> CitedDocument | None:
        """Return the first record of a stage; None if it has not run for this version."""
        return next(iter(self.stages.get(stage, ())), None)

    def labelled(self, stage: Stage) -> Iterator[tuple[str, CitedDocument]]:
        """Yield each record of a stage with its label: the stage, numbered if there are several."""
        records = self.stages.get(stage, ())
        for number, record in enumerate(records, 1):
            yield f"{stage} {number}" if len(records) > 1 else stage, record


def version_documents(version: Version, cited: CitedHome) -> VersionDocuments:
    """Collect the documents behind a version: those of its newest deployment and evaluation.

    Raises:
        ModelError: a record is missing, or is not as the ledger says.
    """
    _require_unchanged(version, cited)
    records = Records(cited.home)
    newest = [_newest(version, kind, cited, records) for kind in _ENTERED]
    found: dict[tuple[str, str], Record] = {}
    for root in (record for record in newest if record):
        for record in upstream_records(root, records):
            found.setdefault((record.stage, record.key), record)
    if not found:
        raise ModelError(
            "the ledger knows no record of this version",
            where=f"{version.model}@{version.version}",
            remedy="factory verify tells what does not hold",
        )
    for record in found.values():
        for stage, keys in record.inputs.items():
            for key in keys:
                path = f"records/{record.pipeline}/{stage}/{key}.json"
                if (stage, key) not in found and (cited.home.path / path).exists():
                    raise _changed(path)
    stages = {
        stage: tuple(
            cited.record(record.name) for record in _ordered(found.values(), stage, newest)
        )
        for stage in STAGES
    }
    return VersionDocuments(
        cited,
        version,
        {stage: documents for stage, documents in stages.items() if documents},
        cited.provenance(version, "declaration"),
        cited.provenance(version, "environment"),
    )


def chosen_version(pipeline: str, number: int | None, home: Home) -> Version:
    """Return the version of this number; without one the champion, else the newest.

    Raises:
        UnknownNameError: there is no such model or version.
    """
    registry = Registry(home)
    if number is None:
        known = registry.versions().get(pipeline)
        if not known:
            raise UnknownNameError(
                f"{pipeline!r} has no model version", remedy=f"train one: factory run {pipeline}"
            )
        number = registry.champion(pipeline) or known[-1]
    return find_model(ModelName(pipeline, number), registry)


def _require_unchanged(version: Version, cited: CitedHome) -> None:
    """Refuse a version whose records were changed, since what they said would seem missing."""
    for kind in _ENTERED:
        for _, entry in cited.entries(kind, pipeline=version.model, version=version.version):
            if (cited.home.path / entry.record).exists():
                cited.record(entry.record)


def _newest(
    version: Version, kind: type[VersionEntry], cited: CitedHome, records: Records
) -> Record | None:
    """Return the newest record that entries of a kind about the version name."""
    entries = cited.entries(kind, pipeline=version.model, version=version.version)
    names = {entry.record for _, entry in entries}
    found = (records.find(*Path(name).with_suffix("").parts[1:]) for name in names)
    about = (record for record in found if record)
    return max(about, key=lambda record: (record.finished, record.key), default=None)


def _ordered(found: Iterable[Record], stage: Stage, newest: list[Record | None]) -> list[Record]:
    """Return the records of a stage; of those about the version itself, the newest."""
    every = [record for record in found if record.stage == stage]
    if stage in {"train", "evaluate", "deploy"}:
        return [record for record in newest if record and record.stage == stage]
    return sorted(every, key=lambda record: (record.partition or "", record.key))


def _changed(path: str) -> ModelError:
    return ModelError(
        "the file is missing, or not as the ledger says",
        where=path,
        remedy="factory verify tells what does not hold",
    )
