"""Find the data files that a draft is made from, and put their rows one after another.

How one file is read belongs in `reading`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path

from factory_assets.cli.new.footer import lines_below
from factory_assets.cli.new.reading import (
    data_members,
    is_data_file,
    read_by_fitting_rules,
    require_data_file,
)
from factory_assets.cli.new.unread_columns import without_unread_columns
from factory_resources.delta_protocol import LOG
from factory_resources.errors import SourceError
from factory_resources.sources.files.archives import first_bytes
from factory_resources.sources.files.delimited_text import TextRules, find_layout
from factory_resources.sources.files.discovery import File, find_files, format_of, is_hidden
from factory_resources.sources.files.reader import SourceTable, parquet, read_file
from factory_resources.sources.files.text_errors import LONGEST
from factory_resources.sql.engine import WIDE, identifier, literal
from factory_resources.sql.shared_engines import SharedEngines

_NAMED = 5
"""Columns that a message names at most of those that a file lacks, or has in addition."""

_TELLING = 10
"""Columns by which a row that repeats the header is looked for first."""


def source_pattern(source: Path) -> Path:
    """Return the file or glob that a declaration names: of a folder, all its data files.

    Raises:
        SourceError: the folder has no data files, or some of several kinds; or it is a Delta table.
    """
    _require_no_table(source if source.is_dir() else source.parent)
    if not source.is_dir():
        return source
    names = [
        path.name
        for path in source.iterdir()
        if path.is_file() and is_data_file(path.name) and not is_hidden(path.name, "*")
    ]
    kinds = {_suffix(Path(name)) for name in names}
    if len(kinds) != 1:
        kept = f"data files of several kinds: {', '.join(sorted(kinds))}" if kinds else "no data"
        raise SourceError(
            f"is a folder with {kept}",
            where=str(source),
            remedy=f"name the files, such as {source.name}/*.csv",
        )
    return source / f"*{kinds.pop()}"


def _require_no_table(folder: Path) -> None:
    """Refuse a Delta table: its folder also has files of earlier versions and of removed rows.

    Raises:
        SourceError: it is one.
    """
    if (folder / LOG).is_dir():
        raise SourceError(
            "is a Delta table, and only files are drafted",
            where=str(folder),
            remedy="write some of its rows as CSV or Parquet, draft from them, and then declare "
            "the table as the source: {delta: PATH}",
        )


def _suffix(path: Path) -> str:
    packed = path.suffix.lower() in (".gz", ".zst")
    return Path(path.stem).suffix + path.suffix if packed else path.suffix


@dataclass(frozen=True)
class DataFiles:
    """The files that a draft is made from, read as one table."""

    raw: SourceTable
    """The rows of all files."""
    headers: int
    """How many lines among the rows repeat the names of the columns; `raw` is without them."""
    rules: TextRules
    """The rules that they were read by, if they are text."""
    member: str | None
    """The file that was read from a zip with several; None otherwise."""
    other_members: tuple[str, ...]
    """The other data files of that zip, which are not read."""
    unread: tuple[str, ...]
    """The lines below the rows, which are not read."""
    unread_columns: Mapping[str, str]
    """The columns that are not read, each with the reason; `raw` is without them."""
    delimiter: str
    """What separates the columns of the first one; empty if that is not known."""


def read_files(source: Path, scratch: Path, engines: SharedEngines) -> DataFiles:
    """Read all files of a path or glob by the rules that fit the first one.

    Args:
        source: the path or glob.
        scratch: where the rows are stored.
        engines: they see `scratch`.

    Raises:
        SourceError: there is no file, one cannot be read, or one has other columns.
    """
    several = has_magic(str(source)) and not source.exists()
    paths = [file.path for file in find_files((str(source),), Path())] if several else [source]
    for path in paths:
        require_data_file(path)
    members = data_members(paths[0])
    member = members[0] if members else None
    raw, rules = read_by_fitting_rules(paths[0], member, scratch, engines)
    raw, unread_columns = without_unread_columns(raw, scratch, engines)
    raws = [raw]
    for number, path in enumerate(paths[1:]):
        folder = scratch / f"file{number}"
        folder.mkdir()
        file = File(path, str(path))
        other = read_file(file, folder, member=member, rules=rules, engines=engines)
        raws.append(without_unread_columns(other, folder, engines)[0])
        if raws[-1].columns != raw.columns:
            raise SourceError(
                f"has other columns than {paths[0].name}{_differences(raw, raws[-1])}",
                where=str(path),
                remedy="draft from files of one layout, and bring the others to the same columns "
                "in a pipeline of their own",
            )
    unread = tuple(line for path in paths for line in lines_below(path, rules))
    table = raw if len(raws) == 1 else _together(raws, scratch, engines)
    table = _without_headers(table, scratch, engines)
    headers = sum(raw.rows for raw in raws) - table.rows
    return DataFiles(
        table,
        headers,
        rules,
        member,
        tuple(members[1:]),
        unread,
        unread_columns,
        _delimiter(paths[0], rules),
    )


def _differences(first: SourceTable, other: SourceTable) -> str:
    """Return which columns one of two tables lacks; nothing if only their order differs."""
    lacks = [name for name in first.columns if name not in other.columns]
    more = [name for name in other.columns if name not in first.columns]
    told = [
        f"{verb} {', '.join(map(repr, names[:_NAMED]))}{' and more' * (len(names) > _NAMED)}"
        for verb, names in (("lacks", lacks), ("has", more))
        if names
    ]
    return f": it {' and '.join(told)}" if told else " in another order"


def _delimiter(path: Path, rules: TextRules) -> str:
    kind, packing = format_of(path.name) if is_data_file(path.name) else ("", "zip")
    if kind != "csv" or packing == "zip":
        return ""
    return find_layout(first_bytes(path, path.name, packing, LONGEST), path.name, rules).delimiter


def _together(raws: Sequence[SourceTable], scratch: Path, engines: SharedEngines) -> SourceTable:
    target = scratch / "all.parquet"
    paths = [raw.path for raw in raws]
    with engines.sealed(read=paths, write=scratch) as connection:
        union = " UNION ALL ".join(f"FROM {parquet(path)}" for path in paths)
        connection.execute(f"COPY ({union}) TO {literal(str(target))} (FORMAT parquet)")
    return replace(raws[0], path=target, rows=sum(raw.rows for raw in raws))


def _without_headers(raw: SourceTable, scratch: Path, engines: SharedEngines) -> SourceTable:
    """Return a text without the lines that repeat its header, as in files put one behind another.

    They are no rows: one of them would make every column a text.
    """
    if raw.format != "csv" or len(raw.columns) < 2:
        return raw
    tests = [
        f"coalesce(trim({identifier(cell)}), {literal(f'column_{place}')}) = {literal(source)}"
        for place, (source, (cell, _)) in enumerate(raw.columns.items(), 1)
    ]
    is_header, target = " AND ".join(tests), scratch / "rows.parquet"
    is_wide = len(tests) > WIDE
    with engines.sealed(read=[raw.path], write=scratch, wide=is_wide) as connection:
        # The first columns nearly always tell; to test thousands takes the engine seconds to plan.
        for condition in (" AND ".join(tests[:_TELLING]), is_header):
            [(count,)] = connection.execute(
                f"SELECT count(*) FROM {parquet(raw.path)} WHERE {condition}"
            ).fetchall()
            if not count:
                return raw
        rows = f"FROM {parquet(raw.path)} WHERE NOT ({is_header})"
        connection.execute(f"COPY ({rows}) TO {literal(str(target))} (FORMAT parquet)")
    return replace(raw, path=target, rows=raw.rows - count)
