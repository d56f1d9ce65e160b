"""The documents of a home that a dossier cites: records, provenance, and entries of the ledger.

Which values are taken from them belongs in the modules of facts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from factory_assets.audit.dossier.cited import Citation, CitedDocument
from factory_assets.audit.dossier.damage import PROVENANCE_PARTS, DamagedFile, ProvenancePart
from factory_assets.audit.references import ModelName
from factory_assets.audit.resolver import find_model
from factory_assets.execution import provenance
from factory_assets.execution.missing_champion import why_none
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.record_graph import RecordGraph
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
from factory_resources.ledger.ledger import entries_in
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record
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

    def record(self, path: str) -> CitedDocument | None:
        """Return a record as it is in its file; None if no entry names the file as it is."""
        try:
            content = (self.home.path / path).read_bytes()
        except OSError:
            return None
        digest = sha256(content).hexdigest()
        for number, entry in entries_in(self.log, StageComputed, path):
            if entry.sha256 == digest:
                leaf = leaf_hash(self.log.body(number)).hex()
                return CitedDocument(Citation(path, digest, number, leaf), json.loads(content))
        return None

    def damaged(self, path: str) -> DamagedFile | None:
        """Return a record that an entry names and that was changed, or is missing unremoved.

        Raises:
            ModelError: it is there, and no entry names it.
        """
        if self.record(path):
            return None
        entries = [*entries_in(self.log, StageComputed, path)]
        is_there = (self.home.path / path).exists()
        if not entries and is_there:
            raise _changed(path)
        if not entries or (not is_there and self._is_removed(path)):
            return None
        stage = next(stage for stage in STAGES if stage == path.split("/")[2])
        return DamagedFile(path, entries[0][0], stage)

    def intact_records(self) -> RecordGraph:
        """Return the records of the home that are as the ledger says."""
        files = (file for stage in STAGES for file in self.home.records.glob(f"*/{stage}/*.json"))
        paths = (str(file.relative_to(self.home.path)) for file in files)
        found = (document for path in paths if (document := self.record(path)))
        records = (Record.model_validate(document.content) for document in found)
        return RecordGraph(self.home, tuple(sorted(records, key=lambda r: (r.finished, r.key))))

    def _is_removed(self, path: str) -> bool:
        marks = b'"kind":"removed"', f'"{path}"'.encode()
        return any(all(mark in body for mark in marks) for _, body in self.log.bodies())

    def entry(self, number: int) -> CitedDocument:
        """Return an entry of the ledger."""
        body = self.log.body(number)
        citation = Citation(
            f"ledger/{number}", sha256(body).hexdigest(), number, leaf_hash(body).hex()
        )
        return CitedDocument(citation, json.loads(body))

    def entries(self, kind: type[E], **names: str | int) -> list[tuple[CitedDocument, E]]:
        """Return the entries of a kind about something, oldest first."""
        found = [*entries_in(self.log, kind, kind.subject_of(**names))]
        return [(self.entry(number), one) for number, one in reversed(found)]

    def newest(self, kind: str) -> list[CitedDocument]:
        """Return the entries of a kind among the newest 20,000, whatever they are about."""
        size, mark = self.log.size, f'"kind":"{kind}"'.encode()
        bodies = self.log.bodies(max(0, size - _NEWEST), size)
        return [self.entry(number) for number, body in bodies if mark in body]

    def provenance(
        self, version: Version, part: ProvenancePart
    ) -> CitedDocument | DamagedFile | None:
        """Return a part of how a version was trained; None if nothing was stored."""
        known = self.entries(ModelTrained, pipeline=version.model, version=version.version)
        if not known or known[-1][1].provenance is None:
            return None
        folder = Registry(self.home).run_files(version.model, version.run_id) / provenance.FOLDER
        file, at = folder / f"{part}.json", known[-1][0].citation
        path = str(file.relative_to(self.home.path))
        damaged = DamagedFile(path, at.entry, part)
        try:
            manifest, content = (folder / MANIFEST).read_bytes(), file.read_bytes()
        except OSError:
            return damaged
        digest = sha256(content).hexdigest()
        whole = sha256(manifest).hexdigest() == known[-1][1].provenance
        if not whole or json.loads(manifest).get(file.name) != digest:
            return damaged
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
    damaged: tuple[DamagedFile, ...] = ()
    """Files that entries about the version name, and that are missing or were changed."""

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
        ModelError: the ledger knows no record of it, or a record that is there.
    """
    damaged: dict[str, DamagedFile] = {}
    newest = [_newest(version, kind, cited, damaged) for kind in _ENTERED]
    found = _upstream([one for one in newest if one], cited, damaged)
    if not found and not damaged:
        raise ModelError(
            "the ledger knows no record of this version",
            where=f"{version.model}@{version.version}",
            remedy="factory verify shows what does not hold",
        )
    declaration, environment = (cited.provenance(version, part) for part in PROVENANCE_PARTS)
    damaged |= {one.path: one for one in (declaration, environment) if isinstance(one, DamagedFile)}
    stages = {stage: tuple(_ordered(found, stage, newest)) for stage in STAGES}
    return VersionDocuments(
        cited,
        version,
        {stage: documents for stage, documents in stages.items() if documents},
        declaration if isinstance(declaration, CitedDocument) else None,
        environment if isinstance(environment, CitedDocument) else None,
        tuple(damaged.values()),
    )


def _upstream(
    roots: Iterable[CitedDocument], cited: CitedHome, damaged: dict[str, DamagedFile]
) -> dict[str, CitedDocument]:
    """Return the records and all records of their pipeline that they depend on, by path."""
    found = {root.citation.path: root for root in roots}
    waiting = [*found.values()]
    while waiting:
        record = Record.model_validate(waiting.pop().content)
        for stage, keys in record.inputs.items():
            for key in keys:
                path = f"records/{record.pipeline}/{stage}/{key}.json"
                if path in found or path in damaged:
                    continue
                if document := cited.record(path):
                    found[path] = document
                    waiting.append(document)
                elif lost := cited.damaged(path):
                    damaged[path] = lost
    return found


def chosen_version(pipeline: str, number: int | None, home: Home) -> Version:
    """Return the version of this number; without one the champion, else the newest.

    Raises:
        UnknownNameError: there is no such model or version.
    """
    registry = Registry(home)
    if number is None:
        known = registry.versions().get(pipeline)
        if not known:
            remedy = why_none(pipeline, home) or f"train one: factory run {pipeline}"
            raise UnknownNameError(f"{pipeline!r} has no model version", remedy=remedy)
        number = registry.champion(pipeline) or known[-1]
    return find_model(ModelName(pipeline, number), registry)


def _newest(
    version: Version,
    kind: type[VersionEntry],
    cited: CitedHome,
    damaged: dict[str, DamagedFile],
) -> CitedDocument | None:
    """Return the record that the newest entry of a kind about the version names.

    None if a newer one was changed: what an earlier one says does not hold any more.
    """
    entries = cited.entries(kind, pipeline=version.model, version=version.version)
    numbers = {entry.record: document.citation.entry for document, entry in entries}
    found = [document for name in numbers if (document := cited.record(name))]
    newest = max(found, key=lambda document: numbers[document.citation.path], default=None)
    since = numbers[newest.citation.path] if newest else -1
    lost = [one for name in numbers if (one := cited.damaged(name)) and numbers[name] > since]
    damaged |= {one.path: one for one in lost}
    return None if lost else newest


def _ordered(
    found: Mapping[str, CitedDocument], stage: Stage, newest: list[CitedDocument | None]
) -> list[CitedDocument]:
    """Return the records of a stage; of those about the version itself, the newest."""
    if stage in {"train", "evaluate", "deploy"}:
        return [one for one in newest if one and one.content["stage"] == stage]
    every = [one for one in found.values() if one.content["stage"] == stage]
    return sorted(every, key=lambda one: (one.content["partition"] or "", one.content["key"]))


def _changed(path: str) -> ModelError:
    return ModelError(
        "the file is missing, or not as the ledger says",
        where=path,
        remedy="factory verify shows what does not hold",
    )
