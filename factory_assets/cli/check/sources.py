"""Check the declared sources without running anything. Their columns are found in `columns`."""

from collections.abc import Iterator, Sequence

from factory_assets.cli.check.columns import (
    Headers,
    columns_of,
    database_columns,
    joined_columns,
    source_columns,
    widened,
)
from factory_assets.data.privacy.first_lines import suggest_column
from factory_assets.data.transforms.joins import rename_remedy
from factory_assets.declarations.dependencies import (
    other_source,
    require_no_circle,
    require_own_job,
)
from factory_assets.declarations.loader import pipeline_folders, pipeline_named
from factory_assets.declarations.messages import Mistake
from factory_assets.declarations.yaml_document import At
from factory_assets.spec import (
    AnswersSource,
    AssetSource,
    DatabaseSource,
    FileSource,
    Join,
    Pipeline,
    SnapshotSource,
)
from factory_assets.spec.base import suggest
from factory_assets.spec.ingest import Source
from factory_resources.errors import DeclarationError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.databases.reader import address_of
from factory_resources.sources.files.discovery import find_files, format_of


def placed_sources(pipeline: Pipeline) -> Iterator[tuple[At, Source]]:
    """Yield every declared source with its place in the declaration, that of outcomes last."""
    ingest, watch = pipeline.spec.ingest, pipeline.spec.watch
    for name, source in ingest.tables.items():
        yield ("ingest", "source") if name is None else ("ingest", "sources", name), source
    for name, join in ingest.joins.items():
        yield ("ingest", "joins", name, "source"), join.source
    if watch and watch.outcomes:
        yield ("watch", "outcomes", "source"), watch.outcomes.source


def source_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield existing files that cannot be read, and invalid queries."""
    for at, source in placed_sources(pipeline):
        try:
            match source:
                case FileSource():
                    source_columns(source, pipeline.folder)
                case DatabaseSource():
                    if source.query:
                        _require_query(source)
                    database_columns(source, pipeline.folder)
        except SourceError as error:
            key: At = ()
            if isinstance(source, DatabaseSource):
                key = ("query" if source.query else "table",)
            yield Mistake((*at, *key), str(error), at_key=True)


def unread_settings(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield the settings of a source that are read of none of its files, by their names."""
    for at, source in placed_sources(pipeline):
        if isinstance(source, FileSource):
            for key, what in _unread_settings(source):
                yield Mistake((*at, key), f"{key} is for {what}; leave it out", at_key=True)


def _unread_settings(source: FileSource) -> Iterator[tuple[str, str]]:
    """Yield each key, and what it is for; none unless the names tell the format of every file."""
    try:
        formats = [format_of(pattern, source.format) for pattern in source.patterns]
    except SourceError:
        return
    packings = {packing for _, packing in formats}
    if source.member and "zip" not in packings:
        yield "member", f"a zip, and {' and '.join(source.patterns)} is not one"
    kinds = {kind for kind, _ in formats}
    named = " and ".join(dict.fromkeys(str(kind) for kind, _ in formats))
    keys = ["delimiter", "header", "columns", "skip", "until"] * kinds.isdisjoint({"csv", None})
    keys += ["encoding"] * (kinds == {"parquet"})
    for key in keys:
        if getattr(source, key) != FileSource.model_fields[key].default:
            text = "text" if key == "encoding" else "separated text"
            yield key, f"{text}, not for {named}"


def absent_sources(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield local files and databases that are not there, and secrets that are not set.

    Files of partitions come one by one, and outcomes once there are answers.
    """
    for at, source in placed_sources(pipeline):
        if at[0] != "ingest":
            continue
        try:
            match source:
                case FileSource() if not source.remote and not pipeline.spec.partitions:
                    find_files(source.files, pipeline.folder)
                case DatabaseSource():
                    address_of(source.database, pipeline.folder, Home.from_env())
        except SourceError as error:
            key = "files" if isinstance(source, FileSource) else "database"
            yield Mistake((*at, key), str(error))


def upstream_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield source pipelines that do not exist, answer nothing or are read as assets, circles, and
    a taken name."""
    names = [folder.name for folder in pipeline_folders()]
    for at, source in placed_sources(pipeline):
        if isinstance(source, SnapshotSource) and source.pipeline not in names:
            message = f"no pipeline {source.pipeline!r}; {suggest(source.pipeline, names)}"
            yield Mistake((*at, "pipeline"), message)
        if isinstance(source, AnswersSource) and source.answers not in names:
            message = f"no pipeline {source.answers!r}; {suggest(source.answers, names)}"
            yield Mistake((*at, "answers"), message)
        elif isinstance(source, AnswersSource) and not _has_model(source.answers):
            message = (
                f"{source.answers!r} has no model that answers; declare `train` in it, or read its "
                f"rows: {{pipeline: {source.answers}}}"
            )
            yield Mistake((*at, "answers"), message)
        if isinstance(source, AssetSource) and (remedy := other_source(source, pipeline)):
            yield Mistake((*at, "asset"), f"it is an asset of a pipeline; {remedy}")
    try:
        require_no_circle(pipeline)
    except DeclarationError as error:
        yield Mistake(("ingest",), f"{error.what}; {error.remedy}", at_key=True)
    try:
        require_own_job(pipeline)
    except DeclarationError as error:
        yield Mistake((), f"{error.what}; {error.remedy}")


def _has_model(name: str) -> bool:
    """Whether a pipeline trains a model; true of one that is wrong, which is reported elsewhere."""
    upstream = pipeline_named(name)
    return upstream is None or upstream.spec.train is not None


def _require_query(source: DatabaseSource) -> None:
    from factory_resources.sources.databases.query import bound_query
    from factory_resources.sources.databases.reader import dialect_of

    bound_query(
        source.query or "", dialect_of(source.database), source.parameters, str, source.database
    )


def join_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield columns of joins that the tables do not have."""
    ingest = pipeline.spec.ingest
    hidden = [c.source_name for c in ingest.contract.columns if c.sensitive]
    tables = [columns_of(source, pipeline.folder) for source in ingest.tables.values()]
    # In this order, each join reads what those before it add.
    for name, join in sorted(ingest.joins.items()):
        at: At = ("ingest", "joins", name)
        joined = joined_columns(join, pipeline.folder)
        mistakes = [m for table in tables for m in _missing((*at, "on"), join.on, table, hidden)]
        if join.key or not mistakes:
            key = "key" if join.key else "on"
            mistakes += _missing((*at, key), join.key or join.on, joined, hidden)
        mistakes += _missing((*at, "columns"), join.columns or (), joined, hidden)
        mistakes += _missing((*at, "rename"), tuple(join.rename), joined, hidden)
        yield from mistakes or _clashes(at, join, tables, joined)
        unknown = join.columns is None and not joined
        tables = [] if unknown else [widened(table, join, joined) for table in tables]


def unread_joined_columns(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield columns that a join names, and that neither the contract nor another join reads."""
    ingest = pipeline.spec.ingest
    read = {column.source_name for column in ingest.contract.columns}
    read |= {column for join in ingest.joins.values() for column in join.on}
    for name, join in ingest.joins.items() if ingest.contract.columns else ():
        if unread := [added for added in join.adds(()).values() if added not in read]:
            them = "them" if unread[1:] else "it"
            message = (
                f"the contract does not name {', '.join(map(repr, unread))}, so that the run does "
                f"not read {them}; name {them} there, or leave {them} out here"
            )
            yield Mistake(("ingest", "joins", name, "columns"), message, at_key=True)


def outcome_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield columns of declared outcomes that their source does not have."""
    if not (pipeline.spec.watch and (outcomes := pipeline.spec.watch.outcomes)):
        return
    columns = columns_of(outcomes.source, pipeline.folder)
    for key in ("key" if outcomes.key else "id", "outcome", "observed"):
        if name := getattr(outcomes, key):
            yield from _missing(("watch", "outcomes", key), (name,), columns, ())


def _clashes(at: At, join: Join, tables: Sequence[Headers], joined: Headers) -> Iterator[Mistake]:
    """Yield the added columns that a source has under the same name."""
    own = {column for table in tables for columns in table.values() for column in columns}
    for file, columns in joined.items():
        for column, name in join.adds(columns).items():
            if name in own:
                what = f"column {column!r} of {file} exists in the source too"
                yield Mistake(at, f"{what}; {rename_remedy(str(at[-1]), column)}", at_key=True)
                return


def _missing(
    at: At, required: tuple[str, ...], files: Headers, hidden: Sequence[str]
) -> Iterator[Mistake]:
    for file, columns in files.items():
        for column in required:
            if column not in columns:
                remedy = suggest_column(column, columns, required, hidden)
                yield Mistake(at, f"no column {column!r} in {file}; {remedy}")
                return
