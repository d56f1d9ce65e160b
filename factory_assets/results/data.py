"""The results of ingest, clean and split: snapshots, and measurements of their rows."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import Field

from factory_assets.results.base import StageResult
from factory_assets.spec.base import is_unset
from factory_resources.tables.snapshot import Snapshot

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""How the name of a folder says that a column has no value."""


class SourceFile(StageResult):
    """One source: a file, or what a Python source returned."""

    name: str
    """The declared name, without the paths of the home and of the user's folder."""
    sha256: str
    rows: int
    labels: dict[str, str] = {}
    """Columns that hold the same value in every row of the source."""
    join: str = ""
    """The join that adds the table to the rows; empty for a source of rows."""

    def constants(self, columns: Collection[str]) -> dict[str, str | None]:
        """Return which of the columns have one value in all rows of the source, and that value.

        They are its labels, and what the folders of a Delta table say, such as `site=munich`.
        """
        said = (part.partition("=") for part in self.name.split("/")[:-1] if "=" in part)
        folders = {
            unquote(key): None if value == _NO_VALUE else unquote(value) for key, _, value in said
        }
        return {name: v for name, v in {**folders, **self.labels}.items() if name in columns}


class Block(StageResult):
    """A part of a table that is computed on its own, and reused until its sources change."""

    key: str
    """Digest of everything that the block is computed from."""
    good: Snapshot
    """The valid rows."""
    broken: Snapshot | None
    """The rows in quarantine; None if there are none."""
    rows_in: int
    quarantined: dict[str, int]
    """Rule to the number of rows that broke it."""
    duplicates: int = 0
    sources: int = 0
    """Number of sources whose rows the block holds; only `ingest` sets it."""
    ignored: tuple[str, ...] = ()
    """Source columns that are not in the table."""
    offsets: dict[str, tuple[int, int]] = {}
    """Time columns without a declared zone: the number of values with an offset, and without."""
    matched: Annotated[dict[str, int], Field(exclude_if=is_unset)] = {}
    """Number of rows with a match in the table of each join."""
    added: Annotated[dict[str, dict[str, str]], Field(exclude_if=is_unset)] = {}
    """By join that declares no columns: those that it adds, each with its name in its own table."""


CLEAR_DRIFT = 0.2
"""Index from which a change is clear."""


MISSING = "missing "
"""How the words of a drift begin that is one of the share of missing values."""


class ColumnDrift(StageResult):
    """A column whose values or share of missing values drifted."""

    column: str
    index: float
    """Population stability index, less what chance may add."""
    what: str
    """The change in words, with before and after."""

    @property
    def shows_values(self) -> bool:
        """Whether the words contain values of the column, not only how many are missing."""
        return not self.what.startswith(MISSING)


class Drift(StageResult):
    """What changed since the previous snapshot."""

    against: str
    """The data version of the previous snapshot."""
    rows_before: int
    schema_changes: tuple[str, ...]
    """Columns that were added, were removed or changed their type, in words."""
    moved: tuple[ColumnDrift, ...]
    """Columns that drifted, the largest change first."""


class Findings(StageResult):
    """Measurements of the whole table, which every run compares with the contract."""

    newest: str | None = None
    """Newest value of the column that `contract.freshness` names: ISO 8601, UTC."""
    drift: Drift | None = None
    """None if there was no previous snapshot."""
    personal: dict[str, str] = {}
    """Columns that look like personal data, each with the reason."""
    offsets: dict[str, tuple[int, int]] = {}
    """Time columns that have values both with an offset and without: the number of each."""
    copies: Annotated[dict[str, str], Field(exclude_if=is_unset)] = {}
    """Files of rows that repeat another one, each with that one."""
    matched: Annotated[dict[str, int], Field(exclude_if=is_unset)] = {}
    """Number of rows with a match in the table of each join."""


class _TableResult(StageResult):
    """What `ingest` and `clean` have in common: the rows that stay, and those in quarantine."""

    snapshot: Snapshot
    quarantine: Snapshot | None

    @property
    def data_version(self) -> str:
        """The data version of the snapshot: later stages read nothing else."""
        return self.snapshot.data_version

    @property
    def quarantined_rows(self) -> int:
        return self.quarantine.rows if self.quarantine else 0


class IngestResult(_TableResult):
    """The result of `ingest`: rows_read = snapshot.rows + quarantined_rows."""

    sources: tuple[SourceFile, ...]
    rows_read: int
    quarantined: dict[str, int]
    """Rule to the number of rows that broke it; a row may break several."""
    ignored_columns: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    """The blocks that form the snapshot, in order."""
    findings: Findings = Findings()

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns that name the source of a row."""
        return tuple(dict.fromkeys(label for source in self.sources for label in source.labels))

    @property
    def added(self) -> dict[str, dict[str, str]]:
        """By join that declares no columns: those that it adds, each with its own name."""
        found: dict[str, dict[str, str]] = {}
        for block in self.blocks:
            for join, columns in block.added.items():
                found.setdefault(join, {}).update(columns)
        return found


class CleanResult(_TableResult):
    """The result of `clean`: rows_in = snapshot.rows + quarantined_rows + duplicates."""

    rows_in: int
    quarantined: dict[str, int]
    duplicates: int
    blocks: tuple[Block, ...] = ()
    """The blocks that form the snapshot, in order."""


class Implied(StageResult):
    """A condition on an input that gives one class away, such as a value."""

    value: str
    """The condition in words, beginning with a verb: `is 1`, `is missing`."""
    target: str
    """The class."""
    hits: int
    """Training rows of the class that satisfy the condition."""
    rows: int
    """Training rows that satisfy the condition."""
    share: float
    """Share of the class among all training rows."""


Relation = Literal["sum", "difference", "ratio"]


class InputPair(StageResult):
    """Two inputs that tell the target together."""

    columns: tuple[str, str]
    relation: Relation
    """What of the two tells it."""
    order: float
    """Chatterjee's ξ: 1 if the target is a function of it, 0 by chance."""


class Duplicates(StageResult):
    """Test rows that repeat a training row in all inputs."""

    rows: int
    share: float
    """Share of the test rows."""
    coincidence: bool
    """Whether chance explains the repetition; see `data.leakage.overlap`."""


class Leaks(StageResult):
    """Measurements of inputs and parts, which every run judges; see `data.leakage.policy`."""

    inputs: tuple[str, ...] = ()
    measure: Literal["AUC", "R²"] = "AUC"
    limit: float | None = None
    """Value of the measure from which an input alone decides the target; None with too few rows."""
    power: dict[str, float] = {}
    """Value of the measure that each input alone reaches, on training rows that were held out."""
    implied: dict[str, Implied] = {}
    """Inputs with a condition that gives a class away."""
    pairs: tuple[InputPair, ...] = ()
    """Pairs of inputs that tell the target almost exactly, while neither does alone."""
    duplicates: Duplicates | None = None
    groups: dict[str, float] = {}
    """Columns that name somebody or something: the share of test rows whose name a training row has
    too."""
    later: dict[str, float] = {}
    """Time columns: the share of training rows that are later than half of the test rows, or for
    `split.time` than the earliest one."""


class Spellings(StageResult):
    """Values of a column that differ only in case, blanks or Unicode form."""

    values: int
    """The number of values that are spelt in several ways."""
    rows: int
    """The rows with another spelling than the most frequent one of their value."""
    examples: tuple[dict[str, int], ...]
    """Values with most such rows: each spelling with its rows. Empty if the column is sensitive."""


class SplitResult(StageResult):
    """The clean rows, each in exactly one part."""

    train: Snapshot
    validation: Snapshot
    test: Snapshot
    leaks: Leaks = Leaks()
    spellings: dict[str, Spellings] = {}
    """Categories and the target, if they have values that are spelt in several ways."""

    @property
    def data_version(self) -> str:
        """Digest of the rows alone: what was measured does not change what is learned from them."""
        measured = {"leaks", "spellings"}
        return sha256(self.model_dump_json(exclude=measured).encode()).hexdigest()


def add_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up the counts of several tables by rule."""
    total: dict[str, int] = {}
    for count in counts:
        for rule, rows in count.items():
            total[rule] = total.get(rule, 0) + rows
    return total


def most_broken_rule(counts: Mapping[str, int]) -> str:
    """Return the rule that most rows broke."""
    return max(counts, key=lambda name: counts[name])
