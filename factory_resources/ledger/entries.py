"""The kinds of entries: one small frozen model each, without raw values: names, counts, digests.

A new kind is a new class in `Kind`; those about answers are in `prediction_entries`, those about
watching in `watch_entries`, those about roll-outs in `rollout_entries`, those about the front door
in `access_entries`, those about boundaries in `boundary_entries`, those about what people state in
`governance_entries`, those about bills of materials in `supply_entries`, those about erasures in
`erasure_entries`. `found` marks what a home contained before it had a ledger: nobody witnessed when
it happened.
"""

from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from factory_resources.ledger.access_entries import (
    AccessRefused,
    ActionTaken,
    SessionEnded,
    SessionStarted,
)
from factory_resources.ledger.boundary_entries import BoundaryHeld, BoundaryLevel
from factory_resources.ledger.entry import Entry, Sha256, SignedAct, VersionEntry
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureDone, ErasureListed
from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.prediction_entries import (
    EdgeLogReceived,
    EdgePacked,
    OutcomesErased,
    OutcomesRecorded,
    PredictionKeysDestroyed,
    PredictionsArchived,
    PredictionsErased,
    PredictionsLogged,
    PredictionsRemoved,
)
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted
from factory_resources.ledger.supply_entries import SupplyChainRecorded
from factory_resources.ledger.watch_entries import AlarmsChanged, ChangeAccepted


class LedgerStarted(Entry):
    """The first entry: the name of the log, and the key that signs its checkpoints."""

    kind: Literal["ledger"] = "ledger"
    origin: str
    key: str
    """The public key as a C2SP vkey."""
    format: Literal[1] = 1


class RunStarted(Entry):
    """A run that computes something."""

    SUBJECT = "run/{run}"

    kind: Literal["run"] = "run"
    subject: str
    pipeline: str
    declaration: Sha256
    """The digest of the pipeline's declaration, defaults included."""
    account: Sha256 | None = None
    """A commitment to the account that started it."""
    boundary: BoundaryLevel | None = None
    """How much held around it, as it saw that itself."""
    report: str | None = None
    """The name of the report of its boundary."""


class ApprovalRule(BaseModel):
    """Who must approve a candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    by: str
    """The role."""
    signatures: int
    seconds: int
    """How long an approval counts."""
    four_eyes: bool


class DeclarationChanged(Entry):
    """A pipeline's declaration changed."""

    SUBJECT = "declaration/{pipeline}"

    kind: Literal["declaration"] = "declaration"
    subject: str
    sha256: Sha256
    previous: Sha256 | None = None
    approval: ApprovalRule | None = None
    rollout: Literal["canary", "shadow"] | None = None
    """How a version begins beside a champion; None if it serves at once."""


class Checks(BaseModel):
    """The data checks of a stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    passed: int
    failed: tuple[str, ...]
    """The names of those that failed."""


class StageComputed(Entry):
    """A stage was computed; it is looked up by the path of its record in the home."""

    SUBJECT = "{record}"

    kind: Literal["stage"] = "stage"
    subject: str
    sha256: Sha256
    """The digest of the record's file."""
    pipeline: str
    stage: str
    key: Sha256
    run: str
    partition: Sha256 | None = None
    """A commitment: SHA-256 of the record's salt and the partition's key."""
    components: dict[str, Sha256]
    """Everything that could change the result, such as code and declaration: digests by name."""
    inputs: dict[str, Sha256]
    """Upstream stage to the digest of the keys of the records that were read."""
    tables: dict[str, Sha256]
    """Table to the data version of its snapshot."""
    checks: Checks | None = None
    found: bool | None = None


class ModelTrained(VersionEntry):
    """A model version exists."""

    SUBJECT = "model/{pipeline}@{version}"

    kind: Literal["model_version"] = "model_version"
    digest: Sha256
    """The digest of the manifest of the model's files."""
    provenance: Sha256 | None = None
    """The digest of the manifest of how it was trained: declaration, rows, environment."""


class VerdictGiven(VersionEntry):
    """A model version was evaluated."""

    SUBJECT = "verdict/{pipeline}@{version}"

    kind: Literal["verdict"] = "verdict"
    passed: bool
    """Whether every gate was passed."""
    gates: dict[str, bool]


class ModelExported(VersionEntry):
    """A model version was exported for serving."""

    SUBJECT = "export/{pipeline}@{version}"

    kind: Literal["export"] = "export"
    graph: Sha256
    """The digest of the exported graph."""


class CandidateDecided(VersionEntry, SignedAct):
    """A person approved a candidate, or refused it."""

    SUBJECT = "approval/{pipeline}@{version}"

    kind: Literal["approval"] = "approval"
    decision: Literal["approved", "refused"]
    verdict: Sha256
    """The digest of the record of the evaluation that the person saw."""
    graph: Sha256
    """The digest of the exported graph."""
    replaces: int | None = None
    """The version that served when it was decided."""
    signed: str
    """When the person signed, by their own clock: UTC, ISO 8601."""


class ChampionMade(VersionEntry, SignedAct):
    """A model version serves from now on."""

    SUBJECT = "champion/{pipeline}"

    kind: Literal["champion"] = "champion"
    replaced: int | None = None
    """The version that served before."""
    graph: Sha256
    """The digest of the exported graph that serves."""
    rollback: bool | None = None
    """Whether a person went back to this version."""


class ServingChanged(SignedAct, Entry):
    """A person stopped a pipeline's champion, or let it serve again."""

    SUBJECT = "serving/{pipeline}"

    kind: Literal["serving"] = "serving"
    subject: str
    pipeline: str
    action: Literal["stopped", "resumed"]
    version: int
    """The champion at that moment."""


class FilesRemoved(Entry):
    """Files that nothing needed any more were removed."""

    kind: Literal["removed"] = "removed"
    paths: tuple[str, ...]
    """Paths in the home."""
    reason: str


class BackupMade(Entry):
    """The home was backed up."""

    SUBJECT = "backup"

    kind: Literal["backup"] = "backup"
    subject: str
    manifest: Sha256
    """The digest of the manifest, which names every file of the backup with its digest."""
    size: int
    """Entries of the ledger in the backup."""
    files: int
    bytes: int


class KeyChanged(Entry):
    """A key was added or withdrawn."""

    SUBJECT = "keys/{role}"

    kind: Literal["key"] = "key"
    subject: str
    role: Literal["witness"]
    action: Literal["added", "withdrawn"]
    key: str
    """The public key as a C2SP vkey."""


class PersonChanged(Entry):
    """What a person may do from now on; nothing if there are neither roles nor keys."""

    SUBJECT = "people"

    kind: Literal["person"] = "person"
    subject: str
    person: Sha256
    """A commitment: SHA-256 of a salt and the person's name."""
    roles: tuple[str, ...]
    keys: tuple[str, ...]
    """Their public keys, as in `people.yaml`."""
    account: Sha256 | None = None
    """A commitment to their account on the machine."""


class SettingChanged(Entry):
    """The factory's settings changed."""

    SUBJECT = "settings"

    kind: Literal["setting"] = "setting"
    subject: str
    sha256: Sha256


Kind = (
    LedgerStarted
    | RunStarted
    | BoundaryHeld
    | DeclarationChanged
    | StageComputed
    | ModelTrained
    | VerdictGiven
    | ModelExported
    | CandidateDecided
    | ChampionMade
    | RolloutStarted
    | RolloutEnded
    | ServingChanged
    | GovernanceSigned
    | SupplyChainRecorded
    | ErasureBegun
    | ErasureListed
    | ErasureDone
    | FilesRemoved
    | BackupMade
    | PredictionsLogged
    | PredictionsArchived
    | PredictionsRemoved
    | PredictionsErased
    | OutcomesRecorded
    | OutcomesErased
    | EdgePacked
    | EdgeLogReceived
    | PredictionKeysDestroyed
    | AlarmsChanged
    | ChangeAccepted
    | SessionStarted
    | SessionEnded
    | ActionTaken
    | AccessRefused
    | KeyChanged
    | PersonChanged
    | SettingChanged
)


@cache
def _reader() -> TypeAdapter[Kind]:
    return TypeAdapter(Annotated[Kind, Field(discriminator="kind")])


def read_entry(body: bytes) -> Kind:
    """Return the entry with these bytes.

    Raises:
        pydantic.ValidationError: they are not an entry.
    """
    return _reader().validate_json(body)
