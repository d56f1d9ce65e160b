"""Find the rows of a person in every file of every table.

The expression is asked of every file that has its columns. Rows that it finds are then known by
their source and number there, which every table has, and so are found in tables without these
columns too. By which values else a person is found belongs in `own_values`, writing in `rewriting`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.erasure.read_sources import Readings
from factory_resources.erasure.parquet import is_table_name, unreadable_table
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import parquet
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed
from factory_resources.sql.expressions import parse

if TYPE_CHECKING:
    import duckdb

_RULES = "_rules"
"""The column of a quarantine that names the broken rules."""

OWN_COLUMNS = ("_file", "_row", _RULES)
"""The columns that a source does not have."""

WHERE = "--where"


@dataclass(frozen=True)
class StoredTableFile:
    """A Parquet file below a table's folder."""

    table: str
    """`<pipeline>/<name>`."""
    path: Path
    columns: Mapping[str, str] = field(hash=False)
    """Column to DuckDB type."""

    @property
    def pipeline(self) -> str:
        return self.table.partition("/")[0]

    @property
    def sha256(self) -> str:
        return self.path.stem.partition("-")[0]

    def has(self, columns: Iterable[str]) -> bool:
        """Whether it has the columns that an expression names, in whatever case, as in SQL."""
        return folded(columns) <= folded(self.columns)


@dataclass(frozen=True)
class PersonalRows:
    """The rows of a person in the tables of a home."""

    sources: Mapping[str, frozenset[int]]
    """Key of a source to the numbers of its rows, from 1."""
    positions: Mapping[StoredTableFile, tuple[int, ...]] = field(default_factory=dict)
    """The places of the rows in each file that has some, from 0."""
    renumbered: Mapping[StoredTableFile, frozenset[str]] = field(default_factory=dict)
    """The files whose rows are known by their numbers in other files of tables that are written
    anew, with the SHA-256 of these."""

    @property
    def files(self) -> list[StoredTableFile]:
        """The files that are written anew; one whose rows are numbered by another after it."""
        every = {*self.positions, *self.renumbered}
        before = {file.sha256: self.renumbered.get(file, ()) for file in every}
        order = {digest: i for i, digest in enumerate(TopologicalSorter(before).static_order())}
        return sorted(every, key=lambda file: (order[file.sha256], file.table))

    @property
    def count(self) -> int:
        """Rows of sources that are no file of a table."""
        inner = {file.sha256 for file in self.positions}
        return sum(len(rows) for source, rows in self.sources.items() if source not in inner)


def table_paths(home: Home) -> list[Path]:
    """Return the paths of the files of all tables that the factory wrote, copies among them."""
    return sorted(path for path in home.tables.glob("*/*/*.parquet") if is_table_name(path.name))


def stored_files(home: Home, pipelines: Iterable[str] | None = None) -> list[StoredTableFile]:
    """Return the files of all tables, or of those of some pipelines; copies of one file once.

    Raises:
        StorageError: one of them is damaged.
    """
    import duckdb

    named = None if pipelines is None else set(pipelines)
    found = []
    with duckdb.connect(":memory:") as connection:
        for path in table_paths(home):
            table = f"{path.parent.parent.name}/{path.parent.name}"
            if "-" in path.stem or (named is not None and path.parent.parent.name not in named):
                continue
            try:
                described = connection.execute(f"DESCRIBE FROM {parquet(path)}").fetchall()
            except duckdb.Error as error:
                raise unreadable_table(path) from error
            found.append(StoredTableFile(table, path, {name: kind for name, kind, *_ in described}))
    return found


@contextmanager
def opened(
    files: Iterable[StoredTableFile], scratch: Path
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open a sealed engine that reads these files, and writes to scratch."""
    with sealed(read=[file.path for file in files], write=scratch) as connection:
        yield connection


def find_rows(
    connection: "duckdb.DuckDBPyConnection",
    files: list[StoredTableFile],
    where: str,
    read: Readings,
) -> PersonalRows:
    """Return the rows that satisfy an expression, in every file.

    Args:
        connection: an engine that reads the files.
        where: what `person_expression` has accepted.
        read: what the pipelines have read.

    Raises:
        ExpressionError: the expression fails on a value, which the message may quote.
    """
    columns = parse(where, WHERE).columns
    kinds, packed = validated_kinds(files, columns), _packed(read)
    inner = frozenset(digest for sources in read.values() for digest in sources)
    connection.execute("CREATE TEMP TABLE erased (source VARCHAR, _row BIGINT)")
    for file in files:
        if not file.has(columns):
            continue
        with engine_errors(WHERE):
            connection.execute(
                f"INSERT INTO erased SELECT {_sources(file, packed)}, _row "
                f"FROM {_typed(file, kinds)} WHERE ({where}\n)"
            )
    known: dict[str, set[int]] = {}
    while True:
        positions = {
            file: places for file in files if (places := _places(connection, file, packed))
        }
        derived: dict[str, set[int]] = {}
        for file, places in positions.items():
            if file.sha256 in inner:
                derived.setdefault(file.sha256, set()).update(place + 1 for place in places)
        if derived == known:
            break
        for digest, rows in derived.items():
            _add_rows(connection, digest, sorted(rows - known.get(digest, set())))
        known = derived
    sources: dict[str, set[int]] = {}
    for source, row in connection.execute("SELECT DISTINCT source, _row FROM erased").fetchall():
        sources.setdefault(source, set()).add(row)
    renumbered = _renumbered(connection, files, positions, inner)
    return PersonalRows({k: frozenset(rows) for k, rows in sources.items()}, positions, renumbered)


def rows_left(
    connection: "duckdb.DuckDBPyConnection",
    files: list[StoredTableFile],
    where: str,
    sources: Mapping[str, Iterable[int]],
    read: Readings,
) -> int:
    """Return how many rows of these files satisfy the expression, or are rows of the sources.

    Args:
        sources: key of a source to the numbers of rows that are erased.
        read: what the pipelines have read.
    """
    columns = parse(where, WHERE).columns
    kinds, packed, count = validated_kinds(files, columns), _packed(read), 0
    connection.execute("CREATE TEMP TABLE erased (source VARCHAR, _row BIGINT)")
    for source, rows in sources.items():
        _add_rows(connection, source, sorted(rows))
    for file in files:
        satisfied = 0
        if file.has(columns):
            # It may fail on a value that came since the rows were found, as none of theirs did.
            query = f"SELECT count(*) FROM {_typed(file, kinds)} WHERE TRY(({where}\n))"
            [satisfied] = connection.execute(query).fetchone() or (0,)
        count += max(satisfied, len(_places(connection, file, packed)))
    return count


def _add_rows(connection: "duckdb.DuckDBPyConnection", source: str, rows: Sequence[int]) -> None:
    connection.execute("INSERT INTO erased SELECT ?, unnest(?::BIGINT[])", [source, rows])


def values_at(
    connection: "duckdb.DuckDBPyConnection",
    file: StoredTableFile,
    places: Iterable[int],
    columns: Collection[str] | None = None,
) -> dict[str, list[object]]:
    """Return the values of columns at some places of a file, without missing ones.

    The columns that a source does not have say nothing of a person.

    Args:
        columns: of these alone; None for all.
    """
    wanted = folded(file.columns if columns is None else columns)
    names = [name for name in file.columns if name.casefold() in wanted and name not in OWN_COLUMNS]
    if not names:
        return {}
    selected = ", ".join(map(identifier, names))
    chosen = f"file_row_number IN ({', '.join(map(str, places))})"
    query = f"SELECT {selected} FROM {relation(file)} WHERE {chosen}"
    values = [*zip(*connection.execute(query).fetchall(), strict=True)]
    return {
        name: [value for value in some if value is not None]
        for name, some in zip(names, values, strict=True)
    }


def rules_at(
    connection: "duckdb.DuckDBPyConnection", file: StoredTableFile, places: Iterable[int]
) -> list[str]:
    """Return the rules that each row at some places broke, joined by commas.

    Only a quarantine has such rows.
    """
    if _RULES not in file.columns:
        return []
    chosen = f"file_row_number IN ({', '.join(map(str, places))})"
    query = f"SELECT {_RULES} FROM {relation(file)} WHERE {chosen}"
    return [rules for (rules,) in connection.execute(query).fetchall()]


def _places(
    connection: "duckdb.DuckDBPyConnection", file: StoredTableFile, packed: Readings
) -> tuple[int, ...]:
    query = (
        f"SELECT file_row_number FROM (SELECT file_row_number, {_sources(file, packed)} AS source, "
        f"_row FROM {relation(file)}) SEMI JOIN erased USING (source, _row) ORDER BY 1"
    )
    return tuple(dict.fromkeys(place for (place,) in connection.execute(query).fetchall()))


def _packed(read: Readings) -> Readings:
    """Return the readings of zips alone: their rows name the zip, and not the member."""
    zips = {
        digest
        for files in read.values()
        for digest, by_labels in files.items()
        if {key for keys in by_labels.values() for key in keys} != {digest}
    }
    return {
        pipeline: {digest: one for digest, one in files.items() if digest in zips}
        for pipeline, files in read.items()
    }


def _sources(file: StoredTableFile, packed: Readings) -> str:
    """Return SQL for the keys of the sources that a row can be of, one a row.

    Which member of a zip its pipeline reads, is known; of several, the labels of the row tell which
    it is.
    """
    cases = ""
    for digest in sorted({digest for files in packed.values() for digest in files}):
        own = packed.get(file.pipeline, {}).get(digest)
        readings = [own] if own else [files[digest] for files in packed.values() if digest in files]
        keys = {key for one in readings for some in one.values() for key in some}
        is_file = f"_file = {literal(digest)}"
        for labels, some in (own or {}).items():
            if len(keys) > 1 and file.has(name for name, _ in labels):
                tests = (f"{identifier(name)} = {literal(value)}" for name, value in labels)
                cases += f" WHEN {' AND '.join((is_file, *tests))} THEN {_listed(some)}"
        cases += f" WHEN {is_file} THEN {_listed(keys)}"
    return f"unnest(CASE{cases} ELSE [_file] END)" if cases else "_file"


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(literal, sorted(texts)))}]"


def _renumbered(
    connection: "duckdb.DuckDBPyConnection",
    files: Iterable[StoredTableFile],
    positions: Mapping[StoredTableFile, tuple[int, ...]],
    read: frozenset[str],
) -> dict[StoredTableFile, frozenset[str]]:
    """Return the files with rows of a file that is written anew, and with the SHA-256 of it.

    They are written anew too, and so are those with rows of theirs.
    """
    found: dict[StoredTableFile, frozenset[str]] = {}
    anew = {file.sha256 for file in positions}
    while sources := anew & read:
        listed = ", ".join(map(literal, sorted(sources)))
        for file in files:
            query = f"SELECT DISTINCT _file FROM {relation(file)} WHERE _file IN ({listed})"
            if names := frozenset(name for (name,) in connection.execute(query).fetchall()):
                found[file] = names
        added = {file.sha256 for file in found} - anew
        if not added:
            break
        anew |= added
    return found


def relation(file: StoredTableFile) -> str:
    """Return the table expression, whose `file_row_number` counts the rows from 0."""
    return parquet(file.path)


def _typed(file: StoredTableFile, kinds: Mapping[tuple[str, str], str]) -> str:
    """Return the file as a table whose columns have the types of the validated rows.

    Rows in quarantine are stored as the text of their source.
    """
    casts = [
        f"TRY_CAST({identifier(name)} AS {kind}) AS {identifier(name)}"
        for name, own in file.columns.items()
        if (kind := kinds.get((file.pipeline, name.casefold()), own)) != own
    ]
    replaced = f" REPLACE ({', '.join(casts)})" if casts else ""
    return f"(SELECT *{replaced} FROM {parquet(file.path)})"


def validated_kinds(
    files: Iterable[StoredTableFile], columns: Iterable[str]
) -> dict[tuple[str, str], str]:
    """Return the types of columns in validated rows, by pipeline and by name with case folded."""
    wanted = folded(columns)
    return {
        (file.pipeline, name.casefold()): kind
        for file in files
        if file.table.endswith("/ingest")
        for name, kind in file.columns.items()
        if name.casefold() in wanted
    }


def folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}
