"""What a trace says: the shape of `factory trace --json`, whose JSON Schema is published.

A field is added, never renamed or given another meaning, without another `version`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["whole", "changed", "gone", "unchecked"]
"""Whether bytes are those of the digest: read and equal, read and others, not there, not read."""


class Fact(BaseModel):
    """A part of a trace."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SnapshotFile(Fact):
    """One Parquet file of a snapshot."""

    sha256: str
    rows: int
    bytes: int
    state: State


class Table(Fact):
    """One snapshot."""

    name: str
    """As the command line takes it."""
    part: str
    data_version: str
    rows: int
    state: State
    files: tuple[SnapshotFile, ...]


class Step(Fact):
    """One stage as it was computed."""

    name: str
    """Pipeline, stage and data version; of a stage that stores tables, as the command takes it."""
    pipeline: str
    stage: str
    partition: str | None
    key: str
    """Digest of all that could change the result; the record's name."""
    data_version: str
    run_id: str
    """The run that computed it."""
    finished: str
    """UTC, ISO 8601."""
    code: str | None
    """Digest of the stage's own code."""
    declaration: str
    """SHA-256 of the part of the declaration that it read."""
    libraries: dict[str, str]
    rows: dict[str, int]
    """What came in and what became of it."""
    rules: dict[str, int]
    """Rule to the number of rows that broke it; a row may break several."""
    conserved: bool | None
    """Whether the rows add up; None where none are counted."""
    tables: tuple[Table, ...]
    inputs: tuple[str, ...]
    """The names of the steps whose results went in."""


class Source(Fact):
    """One source of an ingest."""

    name: str
    """As declared."""
    sha256: str
    rows: int
    labels: dict[str, str]
    state: State | Literal["not a file"]
    path: str | None
    """Where it is now, if it is found."""
    snapshot: str | None
    """The snapshot of another pipeline that it is."""
    read_by: str
    """The step that read it."""
    join: str = ""
    """The join whose table it is; empty for a source of rows."""


class GateOutcome(Fact):
    name: str
    passed: bool
    explanation: str


class ModelFact(Fact):
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
    """Whether its gates passed; None where it was not judged."""
    gates: tuple[GateOutcome, ...]
    metrics: dict[str, float]
    """On the test rows."""
    deployed: tuple[str, ...]
    """When it was made the champion; UTC."""
    mlflow_run: str
    run_id: str | None
    code_version: str | None
    spec_sha256: str | None
    """Of the whole declaration."""


class ColumnOrigin(Fact):
    """Where a column's values come from."""

    name: str
    role: Literal["feature", "target", "column"]
    ingested: tuple[str, ...]
    """The columns of the ingested table."""
    sources: tuple[str, ...]
    """The columns of the source, as it names them."""
    by: str | None
    """The expression or statistic that makes it."""


class Hop(Fact):
    """A row of one snapshot."""

    table: str
    row: int
    """Its number in the snapshot, from 1."""


class RowOrigin(Fact):
    """The way of one row back to its source."""

    hops: tuple[Hop, ...]
    """From the row that was asked for to that of the first snapshot."""
    sha256: str
    """Of the source: the row's `_file`."""
    record: int
    """The row's `_row`: which record of the source it is, from 1."""
    source: Source | None
    lines: tuple[int, int] | None
    """The first and the last line of the record in the unpacked text file."""
    lines_unknown: str | None
    """Why the lines cannot be told."""


class RowPlace(Fact):
    """Where one row went."""

    part: str
    """The part that holds it, `duplicate`, or `not there`."""
    row: int | None
    """Its number there, from 1."""
    rules: tuple[str, ...]
    """The rules that it broke."""
    same_as: int | None = None
    """Of a duplicate: the record whose key it has."""


class Passage(Fact):
    """What one stage did with the rows that are followed."""

    step: str
    stage: str
    partition: str | None
    state: State
    rows: dict[str, int]
    """Part, or `duplicates`, to the number of rows that went there."""
    rules: dict[str, int]
    places: tuple[RowPlace, ...]
    """Of a single row."""
    joined: str = ""
    """The join by which the source came in; then its own rows cannot be counted."""


class Fed(Fact):
    """A model version that was made of the parts."""

    name: str
    champion: bool
    passed: bool | None
    """Whether its gates passed; None where it was not judged."""
    rows: dict[str, int]
    """How many of the rows it learned from (`train`), stopped at (`validation`), was judged on."""


class RowRoute(Fact):
    """One way that the rows went, stage by stage."""

    passages: tuple[Passage, ...]
    models: tuple[Fed, ...]
    into: tuple["RowRoute", ...]
    """The ways through pipelines that read the clean snapshot."""


class Trace(Fact):
    """The whole answer."""

    format: Literal["factory.trace"] = "factory.trace"
    version: Literal[1] = 1
    """Of this shape."""
    name: str
    kind: Literal["model", "snapshot", "source"]
    verified: bool
    """Whether the bytes of all files were read."""
    problems: tuple[str, ...]
    """What is not as it was: changed or lost files, records that contradict themselves."""
    model: ModelFact | None = None
    steps: tuple[Step, ...] = ()
    """Back, the last step first."""
    sources: tuple[Source, ...] = ()
    columns: tuple[ColumnOrigin, ...] = ()
    row: RowOrigin | None = None
    fates: tuple[RowRoute, ...] = ()
    """Forward, of a source."""
