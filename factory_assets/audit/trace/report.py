"""The shape of a trace, as `factory trace --json` prints it; its JSON Schema is published.

A field may be added. Renaming one or changing its meaning requires a new `version`. How a trace is
computed belongs in `backward` and `forward`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from factory_assets.spec.base import is_unset

State = Literal["whole", "changed", "gone", "erased", "unchecked", "not in the archive"]
"""How stored bytes compare with the recorded digest.

Read and equal, read and different, missing, removed by the erasure of a person, not read, or left
out of the evidence archive that the trace is made from.
"""


class TracePart(BaseModel):
    """Base class of the parts of a trace."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SnapshotFile(TracePart):
    """One Parquet file of a snapshot."""

    sha256: str
    rows: int
    bytes: int
    state: State


class Table(TracePart):
    """One snapshot."""

    name: str
    """Name of the snapshot, as the command line accepts it."""
    part: str
    data_version: str
    rows: int
    state: State
    files: tuple[SnapshotFile, ...]


class Step(TracePart):
    """One computed stage."""

    name: str
    """Pipeline, stage and data version; the command line accepts it if the stage stores tables."""
    pipeline: str
    stage: str
    partition: str | None
    key: str
    """Cache key: digest of everything that could change the result; also the record's name."""
    data_version: str
    run_id: str
    """The run that computed the stage."""
    finished: str
    """When the stage finished: UTC, ISO 8601."""
    code: str | None
    """Digest of the stage's own code."""
    declaration: str
    """SHA-256 of the part of the declaration that the stage read."""
    libraries: dict[str, str]
    rows: dict[str, int]
    """Row counts: how many came in, and what happened to them."""
    rules: dict[str, int]
    """Rule to the number of rows that broke it; one row may break several."""
    conserved: bool | None
    """Whether the row counts add up; null if the stage has nothing to add up."""
    tables: tuple[Table, ...]
    inputs: tuple[str, ...]
    """Names of the steps whose results the stage read."""


class Source(TracePart):
    """One source that an ingest read."""

    name: str
    """Name as declared."""
    sha256: str
    rows: int
    labels: dict[str, str]
    state: State | Literal["not a file"]
    path: str | None
    """Current path; null if no file was found."""
    snapshot: str | None
    """Name of the snapshot, if the source is a snapshot of another pipeline."""
    read_by: str
    """Name of the step that read the source."""
    join: str = ""
    """Name of the join whose table the source is; empty for a source of rows."""
    answers: Annotated[tuple[str, ...], Field(exclude_if=is_unset)] = ()
    """The ids of the answers that the source is, in the order of its rows; empty for others, and if
    some of them were removed."""


class GateOutcome(TracePart):
    """The outcome of one gate."""

    name: str
    passed: bool
    explanation: str


class RowsErased(TracePart):
    """An erasure of rows behind a model version."""

    erasure: str
    entry: int
    """The number of its entry in the ledger."""
    time: str
    """UTC, ISO 8601."""


class ModelFact(TracePart):
    """One model version."""

    name: str
    kind: str
    task: str
    target: str
    digest: str
    """SHA-256 over the model's files."""
    state: State
    champion: bool
    passed: bool | None
    """Whether its gates passed; null if it was not evaluated."""
    gates: tuple[GateOutcome, ...]
    metrics: dict[str, float]
    """Metrics on the test rows."""
    deployed: tuple[str, ...]
    """Each time that it became the champion, also by a roll-back: UTC."""
    mlflow_run: str
    run_id: str | None
    code_version: str | None
    spec_sha256: str | None
    """SHA-256 of the whole declaration."""
    erased: Annotated[tuple[RowsErased, ...], Field(exclude_if=is_unset)] = ()
    """Erasures that took rows which it learned from: it cannot be trained again."""
    erased_beside: Annotated[tuple[RowsErased, ...], Field(exclude_if=is_unset)] = ()
    """Those of other rows behind it, such as rows that it was evaluated on."""


class ColumnOrigin(TracePart):
    """Where the values of a column come from."""

    name: str
    role: Literal["feature", "target", "column"]
    ingested: tuple[str, ...]
    """Columns of the ingested table that the values come from."""
    sources: tuple[str, ...]
    """Columns of the sources that the values come from, named as in the source."""
    by: str | None
    """The expression or statistic that computes the column; null if none does."""


class Hop(TracePart):
    """One row of one snapshot."""

    table: str
    row: int
    """Number of the row in the snapshot, from 1."""


class RowOrigin(TracePart):
    """The path of one row back to its source."""

    hops: tuple[Hop, ...]
    """From the requested row to the row of the first snapshot."""
    sha256: str
    """SHA-256 of the source: the row's `_file`."""
    record: int
    """Number of the record in the source, from 1: the row's `_row`."""
    source: Source | None
    lines: tuple[int, int] | None
    """First and last line of the record in the unpacked text file; null if they are unknown."""
    lines_unknown: str | None
    """Why the lines are unknown."""
    answer: Annotated[str | None, Field(exclude_if=is_unset)] = None
    """The id of the answer that the record is; null for other sources."""


class RowPlace(TracePart):
    """Where one stage put one row."""

    part: str
    """The part that contains the row, `duplicate`, `erased`, or `not there`."""
    row: int | None
    """Number of the row in that part, from 1."""
    rules: tuple[str, ...]
    """The rules that the row broke."""
    same_as: int | None = None
    """For a duplicate: the record of the same source with the same key that was kept, if any."""


class StagePassage(TracePart):
    """What one stage did with the followed rows."""

    step: str
    stage: str
    partition: str | None
    state: State
    rows: dict[str, int]
    """Part, or `duplicates`, to the number of rows that went there."""
    rules: dict[str, int]
    places: tuple[RowPlace, ...]
    """Where the row went, if a single row is followed."""
    joined: str = ""
    """Name of the join that read the source; its rows cannot be counted then. Empty otherwise."""


class AnswersGiven(TracePart):
    """The answers that a model version gave; those that were removed since are counted too."""

    count: int
    """Rows that were answered or refused, without requests that were refused as a whole."""
    first: str
    """When the first one was asked for: UTC, ISO 8601."""
    last: str
    ids: Annotated[tuple[str, ...], Field(exclude_if=is_unset)] = ()
    """Their ids, in order, those that are on record; empty unless they were asked for."""


class ModelUse(TracePart):
    """A model version that used the parts of the split."""

    name: str
    champion: bool
    passed: bool | None
    """Whether its gates passed; null if it was not evaluated."""
    rows: dict[str, int]
    """Followed rows that it was trained on (`train`), validated on (`validation`), tested on."""
    knows_validation: Annotated[bool | None, Field(exclude_if=is_unset)] = None
    """Whether it learned from the rows of `validation` too, after they had decided."""
    answers: Annotated[AnswersGiven | None, Field(exclude_if=is_unset)] = None
    """What it answered; null if it gave no answer."""


class RowRoute(TracePart):
    """One route of the followed rows, stage by stage."""

    passages: tuple[StagePassage, ...]
    models: tuple[ModelUse, ...]
    into: tuple["RowRoute", ...]
    """Routes through other pipelines that read a snapshot of this one."""


class Trace(TracePart):
    """The complete answer of a trace."""

    format: Literal["factory.trace"] = "factory.trace"
    version: Literal[1] = 1
    """Version of this format."""
    name: str
    kind: Literal["model", "snapshot", "source"]
    verified: bool
    """Whether the bytes of all files were read and compared."""
    problems: tuple[str, ...]
    """Changed or missing files, and records that contradict themselves or each other."""
    model: ModelFact | None = None
    steps: tuple[Step, ...] = ()
    """For a model or a snapshot: the stages behind it, the last one first."""
    sources: tuple[Source, ...] = ()
    columns: tuple[ColumnOrigin, ...] = ()
    row: RowOrigin | None = None
    fates: tuple[RowRoute, ...] = ()
    """For a source: the routes of its rows."""
