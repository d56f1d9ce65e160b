"""A source that is there and not read yet: what each kind of source comes down to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from factory_resources.home.home import Home
from factory_resources.sources.files.reader import SourceTable


@dataclass(frozen=True)
class SourceHandle:
    """One source that is there and not read yet."""

    version: str
    """Digest of its content, or of everything that determines it."""
    labels: Mapping[str, str]
    """Columns that hold the same value in each of its rows."""
    read: Callable[[Path], SourceTable]
    """Brings it into the common form, in an empty folder of its own."""
    bytes: int = 0
    """Its size; 0 where that is not known."""
    join: str | None = None
    """The join whose table it is; None for a source of rows."""
    require_unchanged: Callable[[], None] = lambda: None
    """To be called when all has been read: raises where it is another by now."""
    name: str = ""
    """Of a file, as declared."""


@dataclass(frozen=True)
class SourceContext:
    """What finding a source needs to know beside its declaration."""

    folder: Path
    """Of the `defs.yaml`, where relative paths start."""
    home: Home
    scratch_path: Path
    """Where `scratch` is to be."""

    @property
    def scratch(self) -> Path:
        """A folder of the source's own, for what must be read to be known."""
        self.scratch_path.mkdir(parents=True, exist_ok=True)
        return self.scratch_path
