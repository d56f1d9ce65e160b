"""Check the declared sources without running anything, and read the columns of local files.

Of a file it reads no more than the header needs, and of SQLite no row; PostgreSQL is not asked.
"""

import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.data.privacy.first_lines import suggest_column
from factory_assets.data.sources.files import text_rules
from factory_assets.data.sources.partition_listing import list_partitions
from factory_assets.data.sources.partition_patterns import bind
from factory_assets.data.sources.tables import database_query
from factory_assets.data.transforms.joins import rename_remedy
from factory_assets.declarations.dependencies import (
    other_source,
    require_no_circle,
    require_own_job,
)
from factory_assets.declarations.loader import pipeline_folders
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
from factory_resources.sources.databases.sqlite import column_names
from factory_resources.sources.files.archives import first_bytes, take_member
from factory_resources.sources.files.arff_header import attribute_names
from factory_resources.sources.files.delimited_text import find_layout
from factory_resources.sources.files.discovery import File, find_files, format_of, require_distinct
from factory_resources.sources.files.reader import parquet_columns
from factory_resources.sources.files.text_errors import LONGEST
from factory_resources.sql.engine import sealed

Headers = dict[str, tuple[str, ...]]
"""File name to its columns."""


def placed_sources(pipeline: Pipeline) -> Iterator[tuple[At, Source]]:
    """Yield every declared source with its place in the declaration, that of outcomes last."""
    ingest, watch = pipeline.spec.ingest, pipeline.spec.watch
    for name, source in ingest.tables.items():
        yield ("ingest", "source") if name is None else ("ingest", "sources", name), source
    for name, join in ingest.joins.items():
        yield ("ingest", "joins", name, "source"), join.source
    if watch and watch.outcomes:
        yield ("watch", "outcomes", "source"), watch.outcomes.source


def bind_newest_partition(pipeline: Pipeline) -> Pipeline:
    """Bind the sources to the newest partition that has data; unchanged if there is none."""
    if not pipeline.spec.partitions:
        return pipeline
    try:
        partitions = list_partitions(pipeline, datetime.now(UTC), {}, Home.from_env()).partitions
    except SourceError:
        return pipeline
    return bind(pipeline, partitions[-1]) if partitions else pipeline


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
    """Yield source pipelines that do not exist or are read as assets, circles, and a taken name."""
    names = [folder.name for folder in pipeline_folders()]
    for at, source in placed_sources(pipeline):
        if isinstance(source, SnapshotSource) and source.pipeline not in names:
            message = f"no pipeline {source.pipeline!r}; {suggest(source.pipeline, names)}"
            yield Mistake((*at, "pipeline"), message)
        if isinstance(source, AnswersSource) and source.answers not in names:
            message = f"no pipeline {source.answers!r}; {suggest(source.answers, names)}"
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


def _require_query(source: DatabaseSource) -> None:
    from factory_resources.sources.databases.query import bound_query
    from factory_resources.sources.databases.reader import dialect_of

    bound_query(
        source.query or "", dialect_of(source.database), source.parameters, str, source.database
    )


def headers(pipeline: Pipeline) -> Headers | None:
    """Return the columns of each source file and those joined to it; None if some are unknown."""
    ingest, files = pipeline.spec.ingest, dict[str, tuple[str, ...]]()
    for source in ingest.tables.values():
        columns = _columns(source, pipeline.folder)
        if not columns:
            return None
        files |= columns
    for _, join in sorted(ingest.joins.items()):
        joined = _joined_columns(join, pipeline.folder)
        if join.columns is None and not joined:
            return None
        files = _widened(files, join, joined)
    return files


def join_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield columns of joins that the tables do not have."""
    ingest = pipeline.spec.ingest
    hidden = [c.source_name for c in ingest.contract.columns if c.sensitive]
    tables = [_columns(source, pipeline.folder) for source in ingest.tables.values()]
    # In this order, each join reads what those before it add.
    for name, join in sorted(ingest.joins.items()):
        at: At = ("ingest", "joins", name)
        joined = _joined_columns(join, pipeline.folder)
        mistakes = [m for table in tables for m in _missing((*at, "on"), join.on, table, hidden)]
        if join.key or not mistakes:
            key = "key" if join.key else "on"
            mistakes += _missing((*at, key), join.key or join.on, joined, hidden)
        mistakes += _missing((*at, "columns"), join.columns or (), joined, hidden)
        mistakes += _missing((*at, "rename"), tuple(join.rename), joined, hidden)
        yield from mistakes or _clashes(at, join, tables, joined)
        unknown = join.columns is None and not joined
        tables = [] if unknown else [_widened(table, join, joined) for table in tables]


def outcome_mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield columns of declared outcomes that their source does not have."""
    if not (pipeline.spec.watch and (outcomes := pipeline.spec.watch.outcomes)):
        return
    columns = _columns(outcomes.source, pipeline.folder)
    for key in ("key" if outcomes.key else "id", "outcome", "observed"):
        if name := getattr(outcomes, key):
            yield from _missing(("watch", "outcomes", key), (name,), columns, ())


def _joined_columns(join: Join, folder: Path) -> Headers:
    """Return the columns of each joined file, with the label of the files."""
    source = join.source
    label = (source.label,) if isinstance(source, FileSource) and source.label else ()
    return {name: (*columns, *label) for name, columns in _columns(source, folder).items()}


def _widened(files: Headers, join: Join, joined: Headers) -> Headers:
    """Return the columns of each file with those that a join adds to it."""
    added = [name for columns in joined.values() or [()] for name in join.adds(columns).values()]
    return {name: tuple(dict.fromkeys((*columns, *added))) for name, columns in files.items()}


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


def _columns(source: Source, folder: Path) -> Headers:
    try:
        match source:
            case FileSource():
                return source_columns(source, folder)
            case DatabaseSource():
                return database_columns(source, folder)
    except SourceError:
        pass
    return {}


def database_columns(source: DatabaseSource, folder: Path) -> Headers:
    """Return the columns of a table or query of SQLite; nothing of a database that is not local.

    Raises:
        SourceError: the database cannot be read, or refuses the query.
    """
    try:
        address = address_of(source.database, folder, Home.from_env())
        query = database_query(source)
    except SourceError:
        return {}
    if address.dialect != "sqlite":
        return {}
    return {query.name: column_names(query, address.url)}


MAX_ZIP_BYTES = 50_000_000
"""Bytes of the largest zip that is unpacked only to read a header."""


def source_columns(source: FileSource, folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of each file; missing files, and headers that cost too much, are left out.

    Raises:
        SourceError: an existing file cannot be read, or would be read twice.
    """
    try:
        files = find_files(source.files, folder)
    except SourceError:
        return {}
    require_distinct(files, "source.files")
    headers_of_files = ((file.name, _header(file, source)) for file in files[:20])
    return {name: columns for name, columns in headers_of_files if columns}


def _header(file: File, source: FileSource) -> tuple[str, ...]:
    """Return the columns of a file; empty if reading them would cost too much."""
    path, name = file.path, file.name
    kind, packing = format_of(str(path), source.format)
    if path.stat().st_size > MAX_ZIP_BYTES and packing == "zip":
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        if packing == "zip":
            path, inner = take_member(path, name, source.member, Path(scratch))
            kind, packing = format_of(inner, source.format)
        # Both would need the whole file: any line of JSON Lines may add a key, and the schema of
        # Parquet is at its end, which cannot be unpacked alone.
        if kind == "jsonl" or (kind == "parquet" and packing != "plain"):
            return ()
        if kind == "parquet":
            with sealed(read=[path], write=Path(scratch)) as connection:
                return tuple(parquet_columns(connection, path, name))
        head = first_bytes(path, name, packing, LONGEST)
        if kind == "arff":
            return attribute_names(head, name, source.encoding)
        return find_layout(head, name, text_rules(source)).columns
