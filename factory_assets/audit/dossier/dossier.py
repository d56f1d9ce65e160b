"""The dossier of a model version: every fact, and the proof that its documents are in the ledger.

It depends on the version and the ledger alone: the same ledger gives the same dossier. Documents
for people belong in `printing`; the format for programs in `json_format`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from factory_assets.audit.dossier.answers import OPEN, PersonAnswer, person_answers
from factory_assets.audit.dossier.cited import Citation, FactTable
from factory_assets.audit.dossier.cited_home import (
    CitedHome,
    VersionDocuments,
    chosen_version,
    version_documents,
)
from factory_assets.audit.dossier.damage import DamagedFile, damage_by_kind
from factory_assets.audit.dossier.data_facts import data_facts
from factory_assets.audit.dossier.evaluation_facts import evaluation_facts
from factory_assets.audit.dossier.operation_facts import operation_facts
from factory_assets.audit.dossier.training_facts import training_facts
from factory_assets.audit.dossier.version_facts import damaged_before, version_facts
from factory_assets.audit.requirements.catalogue import EVIDENCE_KINDS, EvidenceKind
from factory_assets.results.record_graph import RecordGraph
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ChampionMade, LedgerStarted, ModelTrained
from factory_resources.ledger.ledger import Ledger, entry_in, stopped_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.proofs import inclusion_proof


@dataclass(frozen=True)
class ProvenEntry:
    """An entry of the ledger, and the proof that it is in the log of the checkpoint."""

    body: str
    """Canonical JSON."""
    proof: str
    """A C2SP tlog-proof, with the checkpoint."""


@dataclass(frozen=True)
class Dossier:
    """What is recorded about one version."""

    pipeline: str
    version: int
    made: str
    """When the version was trained, else when it was entered in the ledger: UTC, ISO 8601."""
    champion: bool
    """Whether it was the champion at the checkpoint."""
    stopped: bool
    """Whether a person had stopped the champion, whichever it is."""
    size: int
    """Entries in the ledger of the checkpoint."""
    checkpoint: str
    """The checkpoint, a signed note."""
    key: str
    """The public key of the ledger, a C2SP vkey."""
    tables: tuple[FactTable, ...]
    tier: str
    """The risk tier, as it is declared now."""
    answers: Mapping[str, PersonAnswer]
    """What people answered, by the id of the requirement; those without an entry are open."""
    entries: Mapping[int, ProvenEntry]
    """Each entry that is cited, or whose file was changed, by number."""
    damaged: Mapping[EvidenceKind, tuple[DamagedFile, ...]] = field(default_factory=dict)
    """The files that each kind of evidence lacks, because they are missing or were changed."""

    @property
    def name(self) -> str:
        return f"{self.pipeline}@{self.version}"

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The documents that are cited: those of the facts in order, then signatures of answers."""
        values = chain.from_iterable(table.values() for table in self.tables)
        signed = (answer.citation for answer in self.answers.values())
        every = (*(value.citation for value in values), *signed)
        return tuple(dict.fromkeys(filter(None, every)))

    def answer(self, requirement: str) -> PersonAnswer:
        """Return what a person answered to the question of a requirement."""
        return self.answers.get(requirement, OPEN)

    def of(self, kind: EvidenceKind) -> tuple[FactTable, ...]:
        """Return the facts of one kind."""
        return tuple(table for table in self.tables if table.kind == kind)

    def damage(self, kinds: Iterable[EvidenceKind]) -> tuple[DamagedFile, ...]:
        """Return the files that kinds of evidence lack, each once."""
        every = chain.from_iterable(self.damaged.get(kind, ()) for kind in kinds)
        return tuple(dict.fromkeys(every))


def make_dossier(
    pipeline: Pipeline, number: int | None, home: Home, *, proven: bool = True
) -> Dossier:
    """Collect what is recorded about a version.

    Args:
        pipeline: as it is declared now, with the answers of people beside the declaration.
        number: of the version; None for the champion, else the newest version.
        proven: whether it has the entries that are cited, with their proofs.

    Raises:
        UnknownNameError: there is no such model or version.
        DeclarationError: `governance.yaml` is wrong.
        ModelError: the ledger knows no record of the version, or a record that is there.
        StorageError: the ledger cannot be read.
    """
    version = chosen_version(pipeline.name, number, home)
    with Ledger(home).reading() as log:
        cited = CitedHome(home, log)
        documents = version_documents(version, cited)
        tables = tuple(sorted(_facts(documents), key=lambda one: EVIDENCE_KINDS.index(one.kind)))
        size, checkpoint = log.signed
        first = entry_in(log, 0)
        assert isinstance(first, LedgerStarted)
        served = cited.entries(ChampionMade, pipeline=version.model)
        damaged = _damaged(documents)
        records = _records(cited) if not damaged else cited.intact_records()
        dossier = Dossier(
            pipeline=version.model,
            version=version.version,
            made=_made(documents),
            champion=bool(served) and served[-1][1].version == version.version,
            stopped=stopped_in(log, version.model) is not None,
            size=size,
            checkpoint=checkpoint,
            key=first.key,
            tables=tables,
            tier=pipeline.spec.risk.tier,
            answers=person_answers(pipeline, version.version, cited, records),
            entries={},
            damaged=damaged,
        )
        return replace(dossier, entries=_proven(log, dossier)) if proven else dossier


def _damaged(documents: VersionDocuments) -> Mapping[EvidenceKind, tuple[DamagedFile, ...]]:
    found = {**damage_by_kind(documents.damaged, documents.stages)}
    before = damaged_before(documents)
    if before:
        found["version_difference"] = (*found.get("version_difference", ()), *before)
    return found


def _records(cited: CitedHome) -> RecordGraph:
    """Return all records of the home; if one cannot be read, those that the ledger knows."""
    try:
        return RecordGraph.of(cited.home)
    except StorageError:
        return cited.intact_records()


def _made(documents: VersionDocuments) -> str:
    """Return the time at which the version was made, which is fixed."""
    trained, version = documents.of("train"), documents.version
    if trained:
        return str(trained.at("finished").value)
    cited = documents.cited
    entries = cited.entries(ModelTrained, pipeline=version.model, version=version.version)
    if not entries:
        raise ModelError(
            "the ledger has no entry about this version",
            where=documents.name,
            remedy="factory verify shows what does not hold",
        )
    return entries[-1][1].time


def _facts(documents: VersionDocuments) -> Iterator[FactTable]:
    yield from data_facts(documents)
    yield from training_facts(documents)
    yield from evaluation_facts(documents)
    yield from version_facts(documents)
    yield from operation_facts(documents)


def _proven(log: Log, dossier: Dossier) -> dict[int, ProvenEntry]:
    numbers = {one.entry for one in dossier.citations}
    numbers |= {one.entry for one in dossier.damage(dossier.damaged)}
    return {
        number: ProvenEntry(
            log.body(number).decode(),
            inclusion_proof(log.tree, number, dossier.size, dossier.checkpoint),
        )
        for number in sorted(numbers)
    }
