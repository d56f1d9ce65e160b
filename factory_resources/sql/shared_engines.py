"""Sealed engines that many small jobs share, since starting one takes longer than such a job.

What an engine may do belongs in `engine`.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Self

from factory_resources.home.home import storage_errors
from factory_resources.sql.engine import Statistics, count_rows, open_sealed, sealed

if TYPE_CHECKING:
    import duckdb


SMALL = 2_000_000
"""The size up to which files are copied, which takes a tenth of the time to start an engine."""


class SharedEngines:
    """Engines that see one folder and nothing else, for jobs whose files are below it.

    Each job has its own connection, and should remove its files, so that the next one cannot see
    them. A job that needs other files gets an engine for itself.

    Args:
        folder: an existing folder; None to share nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._engines: dict[tuple[Statistics, bool, bool], duckdb.DuckDBPyConnection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for kind in [*self._engines]:
            self._close(kind)

    def visible_path(self, path: Path, folder: Path) -> Path:
        """Return where a shared engine sees the file: its own path, or that of a copy in `folder`.

        A large file is not copied: its own path makes `sealed` start an engine for the job alone.

        Raises:
            StorageError: it cannot be copied.
        """
        if not self._sees([folder]) or self._sees([path]) or path.stat().st_size > SMALL:
            return path
        with storage_errors(folder):
            return Path(shutil.copyfile(path, Path(mkdtemp(dir=folder), path.name)))

    @contextmanager
    def sealed(
        self,
        *,
        read: Iterable[Path],
        write: Path,
        statistics: Statistics = "used",
        wide: bool = False,
        profile: bool = False,
    ) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Open a connection to a shared engine, or an engine for this job alone.

        Arguments and errors are those of `engine.sealed`.
        """
        read = [*read]
        if not self._sees([*read, write]):
            with sealed(
                read=read, write=write, statistics=statistics, wide=wide, profile=profile
            ) as connection:
                yield connection
            return
        kind = (statistics, wide, profile)
        try:
            with self._engine(kind).cursor() as connection:
                if profile:
                    count_rows(connection)
                yield connection
        except BaseException:
            # A fault may leave an engine unusable, or holding memory.
            self._close(kind)
            raise

    @contextmanager
    def seeing(
        self, path: Path, folder: Path
    ) -> Iterator[tuple["duckdb.DuckDBPyConnection", Path]]:
        """Open a connection that reads a file, and yield it with where it sees the file.

        A copy in `folder` is removed in the end.
        """
        seen = self.visible_path(path, folder)
        try:
            with self.sealed(read=[seen], write=folder) as connection:
                yield connection, seen
        finally:
            if seen != path:
                shutil.rmtree(seen.parent)

    def _sees(self, paths: Iterable[Path]) -> bool:
        folder = self.folder
        return folder is not None and all(path.is_relative_to(folder) for path in paths)

    def _engine(self, kind: tuple[Statistics, bool, bool]) -> "duckdb.DuckDBPyConnection":
        assert self.folder is not None
        if kind not in self._engines:
            statistics, wide, profile = kind
            self._engines[kind] = open_sealed(
                read=[], write=self.folder, statistics=statistics, wide=wide, profile=profile
            )
        return self._engines[kind]

    def _close(self, kind: tuple[Statistics, bool, bool]) -> None:
        if engine := self._engines.pop(kind, None):
            engine.close()
