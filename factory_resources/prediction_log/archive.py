"""The archive: answers of past days in Parquet files, by pipeline and day, looked up by id.

A file has some hundred thousand records in the order of their ids, so that the smallest id of each
row group is the index. Its name has its first and last id. A list beside it names the leaves of the
blocks that its records are. Moving records there belongs in `archiving`.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, unreadable
from factory_resources.prediction_log.ids import day_of
from factory_resources.prediction_log.store import StoredBlock, StoredPrediction

if TYPE_CHECKING:
    import pyarrow
    from numpy.typing import NDArray

GROUP_ROWS, FILE_ROWS, FILE_BYTES = 2048, 500_000, 256 * 1024 * 1024
"""Of a row group and of a file: a look-up reads the smallest ids of all groups, and one group. A
file ends with the batch that exceeds one of its limits."""

_LOCK = "predictions_archive"

STAGED = ".new"
"""The end of the name of a file that is not part of the archive yet."""


@dataclass(frozen=True)
class ArchivedFile:
    """A file of the archive."""

    path: Path

    @classmethod
    def named(
        cls, home: Home, pipeline: str, day: date, first: bytes, last: bytes, digest: str
    ) -> "ArchivedFile":
        """Return the file with these records, whether it exists or not."""
        name = f"{first.hex()}-{last.hex()}-{digest[:8]}.parquet"
        return cls(archive_folder(home) / pipeline / day.isoformat() / name)

    @property
    def leaves(self) -> Path:
        """The path of the list of leaves."""
        return self.path.with_suffix(".leaves")

    @property
    def staged(self) -> Path:
        """Its path until it is part of the archive."""
        return self.path.with_suffix(STAGED)

    @property
    def first(self) -> bytes:
        return bytes.fromhex(self.path.name[:32])

    @property
    def last(self) -> bytes:
        return bytes.fromhex(self.path.name[33:65])

    def find(self, request: bytes, footer: Any) -> StoredPrediction | None:
        """Return the record of a request.

        Args:
            footer: of this file, as `read_footer` returns it.
        """
        import pyarrow.compute as pc
        from pyarrow.parquet import ParquetFile

        # Reading ahead and threads take longer than reading the little that is asked for.
        with (
            _undamaged(self.path),
            ParquetFile(self.path, metadata=footer, memory_map=True, pre_buffer=False) as file,
        ):
            group = _group_of(footer, request)
            ids = file.read_row_group(group, ["id"], use_threads=False).column(0)
            place = pc.index(ids, request).as_py()
            if place < 0:
                return None
            rest = ["block", "leaf", "record"]
            rows = file.read_row_group(group, rest, use_threads=False).slice(place, 1)
        return StoredPrediction(request, *rows.to_pylist()[0].values())

    def find_without_arrow(self, request: bytes) -> StoredPrediction | None:
        """Return the record of a request, in a process that may not import Arrow.

        It takes some hundredths of a second, a hundred times as long as `find`.
        """
        return next(iter(self._without_arrow("id", request)), None)

    def of_block(self, block: str) -> list[StoredPrediction]:
        """Return the records of a block that are in this file."""
        if not _has_arrow():
            return self._without_arrow("block", block)
        rows = self.of_blocks([block]).to_pylist()
        return [StoredPrediction(r["id"], r["block"], r["leaf"], r["record"]) for r in rows]

    def _without_arrow(self, column: str, value: bytes | str) -> list[StoredPrediction]:
        """Return the records with a value in a column; none if there is no file any more."""
        import duckdb

        from factory_resources.sql.engine import sealed

        query = f"SELECT id, block, leaf, record FROM read_parquet(?) WHERE {column} = ?"
        try:
            with (
                tempfile.TemporaryDirectory() as scratch,
                sealed(read=[self.path], write=Path(scratch)) as connection,
            ):
                rows = connection.execute(query, [str(self.path), value]).fetchall()
        except duckdb.Error as error:
            # It may be removed by now.
            if self.path.exists():
                raise _damaged(self.path) from error
            return []
        return [StoredPrediction(*row) for row in rows]

    def find_several(self, requests: Sequence[bytes], footer: Any) -> Iterator[tuple[bytes, bytes]]:
        """Yield id and record of those of these requests that are in the file."""
        groups: dict[int, list[bytes]] = {}
        for request in requests:
            groups.setdefault(_group_of(footer, request), []).append(request)
        yield from self._rows(footer, groups)

    def every(self, footer: Any) -> Iterator[tuple[bytes, bytes]]:
        """Yield id and record of every request of the file."""
        yield from self._rows(footer, dict.fromkeys(range(footer.num_row_groups)))

    def _rows(
        self, footer: Any, groups: Mapping[int, Sequence[bytes] | None]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows of row groups that have the ids listed for each; all for None."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow.parquet import ParquetFile

        with (
            _undamaged(self.path),
            ParquetFile(self.path, metadata=footer, memory_map=True, pre_buffer=False) as file,
        ):
            for group, wanted in groups.items():
                rows = file.read_row_group(group, ["id", "record"], use_threads=False)
                if wanted is not None:
                    known = pa.array(wanted, rows.schema.field("id").type)
                    rows = rows.filter(pc.is_in(rows.column("id"), known))
                for row in rows.to_pylist():
                    yield row["id"], row["record"]

    def ids(self) -> list[bytes]:
        """Return the ids of all requests in this file."""
        from pyarrow.parquet import read_table

        with _undamaged(self.path):
            rows = read_table(self.path, columns=["id"], use_threads=False)
        found: list[bytes] = rows.column("id").to_pylist()
        return found

    def of_blocks(self, blocks: Collection[str]) -> "pyarrow.Table":
        """Return the records of blocks that are in this file."""
        from pyarrow.parquet import read_table

        with _undamaged(self.path):
            return read_table(self.path, filters=[("block", "in", [*blocks])], use_threads=False)

    def rows(self) -> "pyarrow.Table":
        """Return every record of this file."""
        from pyarrow.parquet import read_table

        with _undamaged(self.path):
            return read_table(self.path, use_threads=False)


def read_footer(path: Path) -> Any:
    """Return the footer of a Parquet file, which says where its row groups are."""
    from pyarrow.parquet import read_metadata

    with _undamaged(path):
        return read_metadata(path)


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Raise what Arrow says of a damaged file as one line.

    Raises:
        StorageError: the file is damaged, or cannot be read.
        FileNotFoundError: there is none.
    """
    from pyarrow import ArrowException

    try:
        yield
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise unreadable(path, error) from error
    except (OSError, ArrowException) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> StorageError:
    return StorageError(
        "a file of the archive of answers is damaged",
        where=str(path),
        remedy="restore it from a backup; nothing else has these answers",
    )


def _group_of(metadata: Any, request: bytes) -> int:
    """Return the number of the only row group that may have an id."""
    low, high = 0, metadata.num_row_groups
    while high - low > 1:
        middle = (low + high) // 2
        if metadata.row_group(middle).column(0).statistics.min <= request:
            low = middle
        else:
            high = middle
    return low


def archive_folder(home: Home) -> Path:
    """Return the folder of the archive of a home."""
    return home.predictions / "archive"


def archiving_paused(home: Home) -> AbstractContextManager[None]:
    """Keep all processes from moving, removing and erasing records during the `with` block.

    It waits for what is going on. Use it to compare a copy of the ledger with the files.
    """
    return home.lock(_LOCK)


def files_of(home: Home, day: date, pipeline: str = "*") -> list[ArchivedFile]:
    """Return the files of a day, of one pipeline or all."""
    found = archive_folder(home).glob(f"{pipeline}/{day.isoformat()}/*.parquet")
    return [ArchivedFile(path) for path in sorted(found)]


def removed_days(home: Home, pipeline: str) -> frozenset[date]:
    """Return the days of a pipeline whose answers were removed: only lists of leaves remain."""
    return frozenset(
        date.fromisoformat(path.parent.name)
        for path in (archive_folder(home) / pipeline).glob("*/*.leaves")
        if not path.with_suffix(".parquet").exists()
    )


def find_archived(
    home: Home, request: bytes, footer: Callable[[Path], Any] = read_footer
) -> StoredPrediction | None:
    """Return the record of a request that is in the archive.

    Args:
        footer: `read_footer`, or a cache of it: reading a footer takes longer than the rest of a
            look-up.
    """
    for file in files_of(home, day_of(request)):
        if file.first <= request <= file.last:
            # A file may be removed by now.
            with suppress(FileNotFoundError):
                found = (
                    file.find(request, footer(file.path))
                    if _has_arrow()
                    else file.find_without_arrow(request)
                )
                if found:
                    return found
    return None


def _has_arrow() -> bool:
    """Whether this process may import Arrow, which the front door may not."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def archived_neighbours(
    home: Home, block: StoredBlock, request: bytes
) -> tuple[StoredPrediction | None, StoredPrediction | None]:
    """Return the records of a block, of those that are in the archive, before and after an id."""
    rows = sorted(_rows(home, block), key=lambda row: row.id)
    before = [row for row in rows if row.id < request]
    after = [row for row in rows if row.id > request]
    return (before[-1] if before else None, after[0] if after else None)


def _rows(home: Home, block: StoredBlock) -> Iterator[StoredPrediction]:
    for number in range(day_of(block.first).toordinal(), day_of(block.last).toordinal() + 1):
        for file in files_of(home, date.fromordinal(number)):
            if file.first <= block.last and block.first <= file.last:
                yield from file.of_block(block.identity)


def list_leaves(names: Mapping[int, str], blocks: "NDArray[Any]", leaves: "NDArray[Any]") -> bytes:
    """Return the list of the leaves that records are: a line of text for each block.

    A line has the UUID of the block and ranges of leaves, such as `0-3,7-7`.

    Args:
        names: number of a block to its UUID.
        blocks: the number of the block of each record.
        leaves: the number of its leaf; those of a block ascend.
    """
    import numpy as np

    order = np.argsort(blocks, kind="stable")
    blocks, leaves = blocks[order], leaves[order]
    [breaks] = np.nonzero((np.diff(blocks) != 0) | (np.diff(leaves) != 1))
    starts = np.concatenate(([0], breaks + 1))
    stops = np.concatenate((breaks, [len(leaves) - 1]))
    lines = dict[str, list[str]]()
    ranges = zip(
        blocks[starts].tolist(), leaves[starts].tolist(), leaves[stops].tolist(), strict=True
    )
    for block, start, stop in ranges:
        lines.setdefault(names[block], []).append(f"{start}-{stop}")
    return "".join(f"{block} {','.join(parts)}\n" for block, parts in lines.items()).encode()


def blocks_in(content: bytes) -> list[str]:
    """Return the blocks that a list of leaves names."""
    return [line.partition(" ")[0] for line in content.decode().splitlines()]
