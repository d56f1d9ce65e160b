"""The common form of every kind of source that was found and identified, but not read yet.

Finding sources belongs in the modules beside this one, one for each kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import DigestCache, Hashing
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.shared_engines import SharedEngines


class ReadSource(Protocol):
    """A function that reads a source into the common form."""

    def __call__(
        self, folder: Path, /, *, engines: SharedEngines | None = None, once: bool = False
    ) -> SourceTable:
        """Read the source; one to which they make no difference ignores `engines` and `once`.

        Args:
            folder: an empty folder.
            engines: that the caller shares among many sources; None to start one.
            once: whether the caller reads the rows only once.
        """


@dataclass(frozen=True)
class SourceHandle:
    """One source that was found and is not read yet."""

    version: str
    """Digest of the content, or of everything that determines it."""
    labels: Mapping[str, str]
    """Columns that hold the same value in every row of the source."""
    read: ReadSource
    bytes: int = 0
    """Size of the source; 0 if unknown."""
    join: str | None = None
    """The join that adds the table to the rows; None for a source of rows."""
    require_unchanged: Callable[[], None] = lambda: None
    """Raises if the source has changed since it was found; call it after everything was read."""
    name: str = ""
    """Name of a file, as declared."""
    identity: str | None = None
    """The digest that identifies its rows; None if it must be read to know that."""
    erased: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Numbers of rows, from 1, that were erased and are left out, by the key of the table
    (`source_key`)."""


@dataclass(frozen=True)
class SourceContext:
    """What is needed to find a source, in addition to its declaration."""

    folder: Path
    """Folder of the `defs.yaml`, from which relative paths start."""
    home: Home
    scratch_path: Path
    """Path of `scratch`, which is created when it is first used."""
    hashing: Hashing = field(default_factory=Hashing)
    """What is hashed although its digest is known."""

    @property
    def scratch(self) -> Path:
        """The source's own folder, for content that must be read to be identified."""
        self.scratch_path.mkdir(parents=True, exist_ok=True)
        return self.scratch_path

    @property
    def digests(self) -> DigestCache:
        """The digests of the files of this home."""
        return DigestCache(self.home, self.hashing)
