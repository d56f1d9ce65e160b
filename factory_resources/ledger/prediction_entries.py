"""The kinds of entries about answers: which were logged, where they are, and what came of them."""

from typing import Annotated, Literal

from pydantic import Field

from factory_resources.ledger.entry import Entry, Sha256

PredictionId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The id of an answered request, a UUID without hyphens."""

Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
"""In UTC."""


class PredictionsLogged(Entry):
    """A block of answers was logged."""

    SUBJECT = "predictions/{block}"

    kind: Literal["predictions"] = "predictions"
    subject: str
    block: str
    """Its UUID."""
    root: Sha256
    """The root of the Merkle tree over its records; each leaf is an id and a digest."""
    first: PredictionId
    last: PredictionId
    count: int
    bytes: int
    """The size of the records together."""


class PredictionsMoved(Entry):
    """An entry about the answers of a pipeline on one day."""

    SUBJECT = "predictions/{pipeline}/{day}"

    subject: str
    pipeline: str
    day: Day
    count: int
    """Of requests."""


class PredictionsArchived(PredictionsMoved):
    """Answers of a day are in a file of the archive from now on."""

    kind: Literal["predictions_archived"] = "predictions_archived"
    first: PredictionId
    last: PredictionId
    sha256: Sha256
    """The digest of the file."""
    leaves: Sha256
    """The digest of the list of their leaves, which stays when they are removed."""


class PredictionsRemoved(PredictionsMoved):
    """Answers of a day are removed from the archive."""

    kind: Literal["predictions_removed"] = "predictions_removed"
    files: tuple[Sha256, ...]
    """The digests of the files that had them."""
    reason: str


class PredictionsErased(PredictionsMoved):
    """Answers of a day are erased, one by one, wherever they are; their leaves stay."""

    kind: Literal["predictions_erased"] = "predictions_erased"
    erasure: str
    """The UUID of the erasure that they are part of."""
    blocks: dict[str, dict[PredictionId, int]]
    """Block to the requests of it, each with the number of its leaf."""
    file: Sha256 | None = None
    """The digest of the file of the archive that had them. It is removed; what else it had is in a
    file of an entry of its own."""

    @property
    def requests(self) -> frozenset[bytes]:
        """The ids of the requests, 16 bytes each."""
        return frozenset(bytes.fromhex(one) for leaves in self.blocks.values() for one in leaves)


class PredictionKeysDestroyed(Entry):
    """What the keys of some months protected in answers is unreadable from now on."""

    SUBJECT = "prediction_keys/{pipeline}"

    kind: Literal["prediction_keys_destroyed"] = "prediction_keys_destroyed"
    subject: str
    pipeline: str
    months: tuple[str, ...]
    """Such as `2026-03`, in UTC."""
    reason: str


class OutcomesRecorded(Entry):
    """A batch of outcomes was recorded: what turned out to be true of answers."""

    SUBJECT = "outcomes/{batch}"

    kind: Literal["outcomes"] = "outcomes"
    subject: str
    batch: str
    """Its UUID."""
    root: Sha256
    """The root of the Merkle tree over the outcomes."""
    count: int


class OutcomesErased(Entry):
    """Outcomes of answers are erased; their hashes stay."""

    SUBJECT = "outcomes_erased/{pipeline}"

    kind: Literal["outcomes_erased"] = "outcomes_erased"
    subject: str
    pipeline: str
    erasure: str
    """The UUID of the erasure that they are part of."""
    outcomes: tuple[int, ...]
    """Their numbers."""


class EdgePacked(Entry):
    """A champion was packed to score on another machine."""

    SUBJECT = "edge/{pack}"

    kind: Literal["edge_pack"] = "edge_pack"
    subject: str
    pack: Sha256
    """The digest of its contract, which names everything else."""
    pipeline: str
    version: int
    graph: Sha256
    """The digest of the graph in it, which is the deployed one."""
    program: Sha256
    """The digest of the program in it."""
    key: str
    """The public key that its log is signed with: Ed25519, in base64."""


class EdgeLogReceived(Entry):
    """The log of a pack came home; what it says is in blocks of predictions."""

    SUBJECT = "edge_log/{pack}"

    kind: Literal["edge_log"] = "edge_log"
    subject: str
    pack: Sha256
    pipeline: str
    version: int
    file: Sha256
    """The digest of the log as it came."""
    lines: int
    """The line of its last checkpoint; 0 if there is none."""
    head: Sha256
    """The digest of that line, or of the contract."""
    answers: int
    """How many answers were new, and are proven by a signature."""
    findings: tuple[str, ...]
    """What is missing or was changed."""
    more: int
    """How many more findings there are."""
