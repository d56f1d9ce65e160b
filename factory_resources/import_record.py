"""Note what the user's modules import in this process, with the content that was loaded.

A module that is imported again is not noted again, so the notes are kept as long as the process
lives. What a function depends on in all belongs in `factory_assets.execution.loaded_code`.
"""

import site
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType

_PACKAGES = frozenset({"site-packages", "dist-packages"})

_imported: dict[str, set[str]] = {}
"""Module of the user to the modules that its code imported."""

_search_path: list[str] = []
"""`sys.path` before any code of the user ran, which may have changed it."""

_contents: dict[str, str] = {}
"""File of the user to the SHA-256 of what was loaded from it."""


def record_imports() -> None:
    """Note from now on what the user's modules import."""
    if not any(isinstance(finder, _Recorder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Recorder())
        _search_path[:] = sys.path


def search_path() -> list[str]:
    """Return where modules are found before any code of the user has run."""
    return _search_path or sys.path


def imported_by(module: str) -> frozenset[str]:
    """Return the modules that the code of a module was seen to import, in whatever way."""
    return frozenset(_imported.get(module, ()))


def loaded_content(path: Path) -> str:
    """Return the SHA-256 of what was loaded from a file; of what it holds now if that is unknown.

    A file that is gone has an empty one.
    """
    return _contents.get(str(path)) or digest_of(path)


def note_content(path: Path, content: bytes) -> None:
    """Note what is loaded from a file."""
    _contents[str(path)] = sha256(content).hexdigest()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def is_users(path: str) -> bool:
    """Whether a file of code belongs to no installed distribution and not to Python itself."""
    return path.endswith((".py", ".so", ".pyd")) and not (
        _PACKAGES & {*Path(path).parts} or path.startswith(_library())
    )


@cache
def _library() -> tuple[str, ...]:
    """Return the folders of Python's own library and of installed packages."""
    named = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    folders = (*named, *site.getsitepackages(), site.getusersitepackages())
    return tuple(f"{folder}/" for folder in folders if folder)


class _Recorder(MetaPathFinder):
    """Finds nothing; sees each module that is imported for the first time, and who imports it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        importer = _importer()
        if importer is not None:
            _imported.setdefault(importer, set()).add(fullname)
            found = PathFinder.find_spec(fullname, path)
            if found and found.origin and is_users(found.origin):
                _contents[found.origin] = digest_of(Path(found.origin))
        return None


def _importer() -> str | None:
    """Return the user's module whose code imports right now, directly or through Python's own."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in _OWN and not file.startswith("<frozen importlib"):
            if is_users(file) or file == _LOADING:
                return str(frame.f_globals.get("__name__", ""))
            if not file.startswith(_library()) or _PACKAGES & {*Path(file).parts}:
                return None
        frame = frame.f_back
    return None


_OWN = frozenset({__file__, str(Path(__file__).with_name("user_imports.py"))})

_LOADING = str(Path(__file__).with_name("user_code.py"))
