"""Which columns must not leave the home, and which pipelines therefore stay there.

A column has `share: never` in the contract, or is computed from one that has, in the same pipeline
or in one whose table is read.
"""

from factory_assets.data.transforms.column_lineage import clean_origins
from factory_assets.declarations.folders import folders_by_name
from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec import Pipeline, SnapshotSource
from factory_assets.spec.base import suggest
from factory_assets.spec.ingest import Join, Source
from factory_assets.spec.sources import AnswersSource
from factory_resources.errors import DeclarationError

Unshared = dict[str, str]
"""Each column with where it is declared: `pipeline.column`."""


def unshared_columns(pipeline: Pipeline) -> Unshared:
    """Return the ingested columns that must not leave the home, each with its first declaration.

    Nothing that holds one is put into the factory's store: the tables of the pipeline, its records,
    which tell what values there are, its models and its plots.

    Raises:
        DeclarationError: a pipeline whose table is read does not load, or is not declared.
    """
    return _ingested(pipeline, frozenset())


def _ingested(pipeline: Pipeline, readers: frozenset[str]) -> Unshared:
    """Return the unshared columns; a pipeline that learns from its own answers ends the search."""
    spec, readers = pipeline.spec.ingest, readers | {pipeline.name}
    declared = spec.contract.columns
    found = {c.name: f"{pipeline.name}.{c.name}" for c in declared if c.share == "never"}
    offered: Unshared = {}
    for source in spec.tables.values():
        offered |= _of_source(source, readers)
    for _, join in sorted(spec.joins.items()):
        offered |= {_joined_name(join, name): at for name, at in _of_join(join, readers).items()}
    if not declared:
        return offered | found
    read = {column.source_name: column.name for column in declared}
    return {read[name]: at for name, at in offered.items() if name in read} | found


def _of_source(source: Source, readers: frozenset[str]) -> Unshared:
    """Return the unshared columns of the table of another pipeline, or of its answers."""
    if isinstance(source, SnapshotSource):
        upstream, ingested = _upstream(source.pipeline, readers)
        if source.stage == "ingest" or upstream is None:
            return ingested
        origins = clean_origins(upstream.spec.clean, [*ingested])
        return {
            column: ingested[origin]
            for column, of_column in origins.items()
            for origin in of_column
            if origin in ingested
        }
    if isinstance(source, AnswersSource):
        upstream, ingested = _upstream(source.answers, readers)
        # Answers have the columns by their names in the source.
        declared = upstream.spec.ingest.contract.columns if upstream else ()
        names = {column.name: column.source_name for column in declared}
        return {names.get(column, column): at for column, at in ingested.items()}
    return {}


def _upstream(name: str, readers: frozenset[str]) -> tuple[Pipeline | None, Unshared]:
    """Return another pipeline and its unshared ingested columns."""
    if name in readers:
        return None, {}
    folders = folders_by_name()
    if name not in folders:
        # Its tables may still be there to be read.
        raise DeclarationError(
            f"no pipeline {name!r} is declared, so that nobody knows which of its columns must "
            "not leave the home",
            remedy=f"declare it again, or read another one: {suggest(name, folders)}",
        )
    upstream = load_pipeline(folders[name])
    return upstream, _ingested(upstream, readers)


def _of_join(join: Join, readers: frozenset[str]) -> Unshared:
    offered = _of_source(join.source, readers)
    added = join.columns
    return {name: at for name, at in offered.items() if added is None or name in added}


def _joined_name(join: Join, name: str) -> str:
    return join.rename.get(name, f"{join.prefix}{name}")
