"""Clean: rules, then duplicates, then derived columns, then windows; every row is accounted for.

Rules, keys and derived columns see the ingested columns; derived columns also those before them.
Rules come first, so that an invalid row never hides a valid one with the same key. A table that
grew by a file is cleaned by that file alone, as far as no row depends on later ones. The queries
belong in `data.transforms.cleaning`.
"""

from factory_assets.data.blocks import is_complete, unite_blocks
from factory_assets.data.cleaned_blocks import RowFiles, clean_files, require_clean_rows
from factory_assets.data.text_order import ordering_of_cleaning
from factory_assets.data.transforms.cleaning import CleanQueries
from factory_assets.results.base import KeyComponents, digest, result_as
from factory_assets.results.data import Block, CleanResult, IngestResult, add_counts
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.snapshot import Snapshot, fetch, require_unchanged
from factory_resources.tracking.records import Records


def clean(
    pipeline: Pipeline,
    ingested: IngestResult,
    home: Home,
    partition: str | None = None,
    *,
    key: KeyComponents | None = None,
    engines: SharedEngines | None = None,
) -> CleanResult:
    """Store the clean rows in the source's order, and those that broke a rule.

    Args:
        partition: the key of the partition that the rows belong to.
        key: the components of the blocks' keys apart from their rows; None to reuse no block.
        engines: those of the partitions of a run.

    Raises:
        ExpressionError: a declared expression is wrong, or fails on a value.
        DataError: no row is left, of a pipeline without partitions, or texts do not order the rows.
        StorageError: the disk refuses to write, or a file of the ingested rows was changed.
    """
    where = f"{pipeline.name}/clean"
    queries = CleanQueries.of(pipeline.spec.clean, tuple(ingested.snapshot.columns), where)
    known = _stored_blocks(pipeline, home, partition)
    groups = _groups(queries, ingested.snapshot, home, key or {})
    reused = [known[group.key] for group in groups if group.key in known]
    new = {group.key: group for group in groups if group.key not in known}
    earlier = [path for block in reused for path in block.good.paths(home)]
    read = [path for group in new.values() for path in group.paths]
    read += earlier if new and queries.spec.deduplicate else []
    fetch(read, home)
    require_unchanged(read)
    engines = engines or SharedEngines()
    with home.scratch(engines.folder) as scratch:
        ordering = ordering_of_cleaning(pipeline)
        staged = clean_files(queries, [*new.values()], earlier, scratch, engines, ordering)
        counted = [known.get(group.key) or staged[group.key] for group in groups]
        quarantined = add_counts([block.quarantined for block in counted])
        # What a partition lacks today, such as a target that comes later, must not stop the others.
        if partition is None:
            require_clean_rows(counted, quarantined, where)
        stored = {key: block.kept(home, where) for key, block in staged.items()}
    blocks = [known.get(group.key) or stored[group.key] for group in groups]
    snapshot, quarantine = unite_blocks(blocks)
    return CleanResult(
        snapshot=snapshot,
        quarantine=quarantine,
        rows_in=ingested.snapshot.rows,
        quarantined=quarantined,
        duplicates=sum(block.duplicates for block in blocks),
        blocks=tuple(blocks),
    )


def _stored_blocks(pipeline: Pipeline, home: Home, partition: str | None) -> dict[str, Block]:
    """Return the blocks of the latest result whose files are complete, by key."""
    record = Records(home).latest(pipeline.name, "clean", partition)
    blocks = result_as(CleanResult, record).blocks if record else ()
    return {block.key: block for block in blocks if is_complete(block, home)}


def _groups(
    queries: CleanQueries, source: Snapshot, home: Home, key: KeyComponents
) -> list[RowFiles]:
    """Divide the snapshot's files into groups that can be cleaned by themselves."""
    files = [*zip(source.files, source.paths(home), strict=True)]
    groups = []
    before = ""
    for group in [[file] for file in files] if queries.separable else [files]:
        content = digest({"before": before, "files": [file.sha256 for file, _ in group]})
        if queries.spec.deduplicate:
            # The rows before a group decide which of its rows are duplicates. A block after a
            # changed one stays known: no key of its clean rows is among the rows before it.
            before = content
        groups.append(
            RowFiles(
                digest({**key, "inputs": content}),
                tuple(path for _, path in group),
                tuple(file.rows for file, _ in group),
            )
        )
    return groups
