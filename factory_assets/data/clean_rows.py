"""Turn sources into clean rows in one pass, in scratch, with the code of the stages.

The stages `ingest` and `clean` call the same two steps with storage and reuse between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from factory_assets.data.cleaned_blocks import RowFiles, clean_files, require_clean_rows
from factory_assets.data.failing_rows import without_failing
from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.transforms.cleaning import CleanQueries
from factory_assets.data.validated_blocks import require_valid_rows, validate_sources
from factory_assets.results.data import SourceFile
from factory_assets.spec import Clean, Ingest
from factory_resources.errors import ExpressionError
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.writer import StagedTable


@dataclass(frozen=True)
class CleanRows:
    """Rows in scratch: those that satisfy the contract and every rule, and the others."""

    valid: StagedTable
    refused: tuple[StagedTable, ...]
    """Rows that broke the contract or a rule; their column `_rules` names which."""
    sources: tuple[SourceFile, ...]
    """What was read, joined tables included."""


def clean_rows(
    name: str,
    ingest: Ingest,
    clean: Clean,
    sources: Sequence[SourceHandle],
    scratch: Path,
    *,
    may_refuse_all: bool = False,
    refuse_failing: bool = False,
) -> CleanRows:
    """Read all sources, validate their rows and clean them.

    Args:
        name: the name of the pipeline, for messages.
        sources: in the order of their rows.
        scratch: an empty folder.
        may_refuse_all: whether it is no error if no row is left.
        refuse_failing: whether a row is refused alone if an expression fails on its values.

    Raises:
        SourceError: a source cannot be read.
        ContractError: a column is missing, or too many rows break the contract.
        ExpressionError: a declared expression is wrong, or fails on a value.
        DataError: no row is left.
    """
    table, engines = f"{name}/ingest", SharedEngines()
    valid = validate_sources(
        ingest, sources, key="rows", table=table, scratch=scratch, engines=engines
    )
    for source in sources:
        source.require_unchanged()
    if not may_refuse_all:
        require_valid_rows(ingest, [valid], valid.quarantined, valid.sources)
    where = f"{name}/clean"
    queries = CleanQueries.of(clean, tuple(valid.good.columns), where)
    whole = RowFiles("rows", (valid.good.path,), (valid.good.rows,))
    failing: StagedTable | None = None
    try:
        [cleaned] = clean_files(queries, [whole], (), scratch, engines).values()
    except ExpressionError:
        parts = without_failing(queries, valid.good, scratch, engines) if refuse_failing else None
        if parts is None:
            raise
        others, failing = parts
        whole = RowFiles("rows", (others.path,), (others.rows,))
        [cleaned] = clean_files(queries, [whole], (), scratch, engines).values()
        if not (cleaned.good.rows or may_refuse_all):
            raise
    if not may_refuse_all:
        require_clean_rows([cleaned], cleaned.quarantined, where)
    refused = (valid.broken, failing, cleaned.broken)
    return CleanRows(cleaned.good, tuple(table for table in refused if table), valid.sources)
