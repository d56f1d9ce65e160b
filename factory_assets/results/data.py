"""What ingest, clean and split hand on: snapshots, and what was found out about their rows."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Literal

from factory_assets.results.base import StageResult
from factory_resources.tables.snapshot import Snapshot


class SourceFile(StageResult):
    """One source: a file, or what a Python source returned."""

    name: str
    """As declared, with the home's and the user's folders left out."""
    sha256: str
    rows: int
    labels: dict[str, str] = {}
    """Columns that hold the same value in each of its rows."""
    join: str = ""
    """The join whose table it is; empty for a source of rows."""


class Block(StageResult):
    """A part of a table that is made by itself, and kept as long as nothing in it changes."""

    key: str
    good: Snapshot
    broken: Snapshot | None
    rows_in: int
    quarantined: dict[str, int]
    duplicates: int = 0
    sources: int = 0
    """Of ingest: of how many sources it holds the rows."""
    ignored: tuple[str, ...] = ()


class ColumnDrift(StageResult):
    """A column whose values, or whose missing ones, are not as they were."""

    column: str
    index: float
    """Population stability index, less what chance may give."""
    what: str
    """Before and after, in words."""


class Drift(StageResult):
    """What changed since another snapshot."""

    against: str
    """The data version of the earlier snapshot."""
    rows_before: int
    schema_changes: tuple[str, ...]
    """Columns that came, went or changed their type, in words."""
    moved: tuple[ColumnDrift, ...]
    """Those that changed most come first."""


class Findings(StageResult):
    """What was found out about the whole table, to be held against the contract in every run."""

    newest: str | None = None
    """Newest value of the column of `contract.freshness`, ISO 8601, UTC."""
    drift: Drift | None = None
    """None where there was no snapshot before."""
    personal: dict[str, str] = {}
    """Columns that look like personal data, each with why."""


class IngestResult(StageResult):
    """rows_read = snapshot.rows + quarantined_rows"""

    snapshot: Snapshot
    quarantine: Snapshot | None
    sources: tuple[SourceFile, ...]
    rows_read: int
    quarantined: dict[str, int]
    """Rule to the number of rows that broke it; a row may break several."""
    ignored_columns: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    """What the snapshot is made of, in order."""
    findings: Findings = Findings()

    @property
    def data_version(self) -> str:
        """The snapshot's: what follows reads nothing else."""
        return self.snapshot.data_version

    @property
    def quarantined_rows(self) -> int:
        return self.quarantine.rows if self.quarantine else 0


class CleanResult(StageResult):
    """rows_in = snapshot.rows + quarantined_rows + duplicates"""

    snapshot: Snapshot
    quarantine: Snapshot | None
    rows_in: int
    quarantined: dict[str, int]
    duplicates: int
    blocks: tuple[Block, ...] = ()
    """What the snapshot is made of, in order."""

    @property
    def data_version(self) -> str:
        """The snapshot's: what follows reads nothing else."""
        return self.snapshot.data_version

    @property
    def quarantined_rows(self) -> int:
        return self.quarantine.rows if self.quarantine else 0


class Implied(StageResult):
    """A value of an input that comes with one class only."""

    value: str
    """In words that begin with a verb: `is 1`, `is missing`."""
    target: str
    """The class."""
    hits: int
    """Training rows of the class among those with the value."""
    rows: int
    share: float
    """Of the class among all training rows."""


class Duplicates(StageResult):
    """Test rows whose inputs are, every one of them, those of a training row."""

    rows: int
    share: float
    coincidence: bool
    """Whether so many rows are alike in half of their inputs that some must be alike in all."""


class Leaks(StageResult):
    """What was found out about inputs and parts, to be judged in every run; see `leak_check`."""

    inputs: tuple[str, ...] = ()
    measure: Literal["AUC", "R²"] = "AUC"
    limit: float | None = None
    """Of the measure, from which on an input alone tells the target; None with too few rows."""
    power: dict[str, float] = {}
    """Input to what it alone reaches, on training rows that it was not fitted on."""
    implied: dict[str, Implied] = {}
    duplicates: Duplicates | None = None
    groups: dict[str, float] = {}
    """Column that names somebody or something to the share of test rows whose name training rows
    have too."""
    later: dict[str, float] = {}
    """Column of time to the share of training rows that are later than half of the test rows."""


class SplitResult(StageResult):
    """The clean rows, each in exactly one part."""

    train: Snapshot
    validation: Snapshot
    test: Snapshot
    leaks: Leaks = Leaks()

    @property
    def data_version(self) -> str:
        """Of the rows: what is known about them changes nothing that is learned from them."""
        return sha256(self.model_dump_json(exclude={"leaks"}).encode()).hexdigest()


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Rule to rows, over several tables."""
    total: dict[str, int] = {}
    for count in counts:
        for rule, rows in count.items():
            total[rule] = total.get(rule, 0) + rows
    return total


def most(counts: Mapping[str, int]) -> str:
    """The rule that most rows broke."""
    return max(counts, key=lambda name: counts[name])
