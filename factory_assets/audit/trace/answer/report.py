"""The shape of the trace of an answer, as `factory trace ID --json` prints it; it is published.

A field may be added. Renaming one or changing its meaning requires a new `format_version`. How it
is found belongs in `trace`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.trace.report import State, Trace, TracePart
from factory_assets.spec.base import is_unset
from factory_resources.prediction_log.record import WireProtocol


class BlockFact(TracePart):
    """The block of the prediction log that contains the answer."""

    block: str
    """Its UUID."""
    entry: int | None
    """The number of its entry in the ledger; null if there is none."""
    root: str | None
    """The root of the Merkle tree over its records."""
    count: int
    """Requests in it."""
    entered: str | None
    """When it was entered: UTC, ISO 8601."""
    proven: bool | None
    """Whether the record leads to that root; null if it was not checked."""


class EdgeFact(TracePart):
    """The pack that gave the answer on another machine, and how its log came here."""

    pack: str
    """SHA-256 of its contract."""
    entry: int | None
    """The entry of the pack; null if only the pack itself tells of it."""
    packed: str
    """When it was packed: UTC, ISO 8601."""
    key: str
    """The public key of the device, by which it signs its log: Ed25519, in base64."""
    graph: str
    """SHA-256 of its graph."""
    program: str
    """SHA-256 of its program."""
    received: str | None
    """When the log came home; null if it did not, and was read from a file."""
    received_entry: int | None
    file: str | None
    """SHA-256 of the log as it came."""
    line: int | None
    """The line of the answer in a log that was read from a file."""
    findings: tuple[str, ...]
    """What is missing from that log, or was changed."""


Role = Literal["champion", "canary", "shadow", "pack", "former champion", "none"]
"""What a version was at a moment; `pack`: it answered on another machine."""


class StandingFact(TracePart):
    """What the version was when it answered, as the ledger says."""

    role: Role
    entry: int | None
    """The entry that made it so."""
    since: str | None
    """When that was: UTC, ISO 8601."""
    champion: int | None
    """The version that was champion at that moment."""
    stopped: bool
    """Whether a person had stopped the champion at that moment."""


class LedgerEvent(TracePart):
    """An entry about the version: who decided, or when it began or ceased to serve."""

    entry: int
    kind: Literal["approval", "champion", "rollout", "rollout_ended", "serving"]
    what: str
    """In words, such as `approved` or `became champion, in place of version 2`."""
    time: str
    """When it was entered: UTC, ISO 8601."""
    before: bool
    """Whether it was there when the answer was given."""
    signed: str | None
    """When the person signed, by their clock."""
    person: str | None
    """The commitment to the person's name."""
    name: str | None
    """The name, if the signed statement or a salt of this home opens the commitment."""
    role: str | None
    """The role in which they signed."""
    reason: str | None
    statement: State | None
    """Of the signed statement; null if there is none."""


class VerdictFact(TracePart):
    """The last evaluation before the answer."""

    entry: int
    time: str
    passed: bool
    gates: dict[str, bool]


class RunFact(TracePart):
    """The run that trained the version."""

    run_id: str
    """Its id in Dagster."""
    entry: int | None
    """The number of its entry; null if there is none."""
    started: str | None
    declaration: str | None
    """SHA-256 of the declaration, defaults included."""
    account: str | None
    """The commitment to the account that started it."""
    account_name: str | None
    """The account, if a salt of this home opens the commitment."""
    boundary: str | None
    """How much held around it: `namespaces`, `seccomp` or `none`; null if it is not recorded."""
    report: str | None
    """The name of the report of its boundary."""


class ContractFact(TracePart):
    """The contract under which the rows were ingested, and how many rows broke its rules."""

    pipeline: str
    sha256: str
    """Of the declared columns and limits, as JSON with sorted names."""
    columns: int
    broken: dict[str, int]
    """Rule, of the contract or of `clean`, to the rows that broke it."""


class EnvironmentFact(TracePart):
    """With what the version was trained, as its provenance says."""

    python: str
    libraries: dict[str, str]
    libraries_sha256: str
    """Of their names and versions, as JSON with sorted names: it locks what was installed."""
    code_sha256: str
    """Of the names and digests of the factory's files that training uses, as JSON, sorted."""
    user_code: str | None
    """Digest of the user's own module."""
    system: str
    processor: str
    device: str
    threads: int


class StageCost(TracePart):
    """What one computation behind the version took."""

    step: str
    """Name of the step."""
    seconds: float
    cpu_seconds: float | None
    wh: float
    """Energy."""
    method: str
    """How the energy was determined."""
    grid: float | None
    """Grams of CO2e per kWh."""
    co2e: float | None
    """Grams."""


class OutcomeFact(TracePart):
    """What turned out to be true of the answer; a later one corrects an earlier one."""

    number: int
    value: Any
    """Null if the target is sensitive."""
    hidden: bool
    """Whether the value is left out because the target is sensitive."""
    observed: str
    """When it turned out: UTC, ISO 8601."""
    recorded: str
    source: str
    caller: str


class ArchiveFact(TracePart):
    """The evidence archive of a factory from which an answer was traced."""

    sha256: str
    """Of the archive."""
    pipeline: str
    version: int
    """The version that it is about."""
    origin: str
    """The name of the factory's ledger."""
    key: str
    """The ledger's public key, as the archive gives it: compare it with the one that you know."""
    size: int
    """How many entries the ledger had; the archive has some of them."""


class AnswerTrace(TracePart):
    """The complete trace of an answer."""

    format: Literal["factory.answer_trace"] = "factory.answer_trace"
    format_version: Literal[1] = 1
    id: str
    time: str
    """When it was asked: UTC, ISO 8601."""
    milliseconds: float
    """How long the answer took."""
    pipeline: str
    version: int
    """The version of the model that answered."""
    caller: str
    """Name of the token that asked; empty if there was none."""
    protocol: WireProtocol
    kind: Literal["answer", "error", "shadow"]
    status: int
    row: int
    """Which row of the request it is, from 0."""
    rows: int
    """How many rows the request had."""
    input: dict[str, Any] | None
    """The needed columns and the keys of the row, sensitive values replaced; null if the request
    was refused."""
    output: dict[str, Any]
    """The prediction, probabilities, set or interval, or the reasons of a refusal."""
    classes: Annotated[tuple[str, ...], Field(exclude_if=is_unset)] = ()
    """The classes, in the order of the probabilities; left out for numbers, or if the version is
    gone."""
    block: str | None
    """The block of the ledger that contains it; null as long as there is none."""
    proof: BlockFact | None
    """That block; null as long as there is none."""
    edge: EdgeFact | None
    """Null if the factory answered itself."""
    standing: StandingFact
    verdict: VerdictFact | None
    approvals: tuple[LedgerEvent, ...]
    """What people decided about the version, oldest first."""
    serving: tuple[LedgerEvent, ...]
    """When the version rolled out, served and ceased to, oldest first."""
    run: RunFact | None
    contracts: tuple[ContractFact, ...]
    """One for each pipeline whose sources the rows come from."""
    environment: EnvironmentFact | None
    costs: tuple[StageCost, ...]
    outcomes: tuple[OutcomeFact, ...]
    """Oldest first; the last one counts."""
    influence: InfluenceReport | None = None
    """The training rows that moved the answer; null unless they were asked for."""
    lineage: Trace | None
    """The trace of the version, back to its sources; null if the version is gone."""
    archive: Annotated[ArchiveFact | None, Field(exclude_if=is_unset)] = None
    """Left out if the answer was traced in a home."""
    missing: Annotated[tuple[str, ...], Field(exclude_if=is_unset)] = ()
    """What the archive does not have; left out if nothing is missing."""
    problems: tuple[str, ...]
    """What is missing, was changed or does not agree, those of the lineage included."""

    @property
    def named_output(self) -> dict[str, Any]:
        """What was answered, with the class of each probability."""
        numbers = self.output.get("probabilities")
        if not isinstance(numbers, list) or len(numbers) != len(self.classes):
            return self.output
        return {**self.output, "probabilities": dict(zip(self.classes, numbers, strict=True))}
