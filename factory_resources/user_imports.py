"""Import modules that lie beside a declaration.

The folder of a declaration is imported as a package with a generated name: the equally named
modules of two pipelines stay apart, and `sys.path` stays as it is. In these modules, `import x`
means the `x` beside them first. What to load, and how to report that it fails, belongs in
`user_code`.
"""

import builtins
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from factory_resources.import_record import digest_of, note_content

_PREFIX = "_factory_"

Import = Callable[..., ModuleType]


@dataclass(frozen=True)
class _Folder:
    """A folder of modules, imported as a package."""

    path: Path
    package: str
    """The generated name."""
    loaded: dict[Path, str] = field(default_factory=dict)
    """Each file that was loaded, to the SHA-256 of its content then."""

    @property
    def unchanged(self) -> bool:
        return all(digest == digest_of(path) for path, digest in self.loaded.items())


_folders: dict[Path, _Folder] = {}
"""The package of each folder, in its present content."""

_packages: dict[str, _Folder] = {}
"""Every package by its generated name, also those whose files have changed since."""


def file_beside(name: str, folder: Path) -> Path | None:
    """Return the file of a module beside the declaration, or None if there is no such module."""
    first = name.partition(".")[0]
    if first != name and not (folder / first / "__init__.py").is_file():
        return None
    base = folder / name.replace(".", "/")
    files = (base / "__init__.py", base.with_name(f"{base.name}.py"))
    return next((file for file in files if file.is_file()), None)


def import_beside(name: str, folder: Path) -> ModuleType:
    """Import the module of that name in the folder; exceptions of the import are passed on.

    If a file that was loaded from the folder has changed, all its modules are loaded anew.
    """
    return import_module(f"{_package_of(folder.absolute())}.{name}")


def without_generated_names(text: str) -> str:
    """Return a message with the modules' plain names."""
    return re.sub(rf"{_PREFIX}[0-9a-f]{{16}}_\d+\.", "", text)


def loaded_name(name: str, folder: Path, importer: str = "") -> str:
    """Return the name that a module has in `sys.modules`, beside the declaration or elsewhere.

    Args:
        name: as a declaration names it, or the module `importer`.
        importer: the name that the importing module has there; empty for the declaration.
    """
    known = _folders.get(folder.absolute())
    if known is None or not (importer or known.package).startswith(known.package):
        return name
    full = f"{known.package}.{name}"
    return full if full != importer and file_beside(name, folder) else name


def plain_names(folder: Path) -> dict[str, str]:
    """Map the generated name of each loaded module of the folder to its plain name."""
    start = f"{_package_of(folder.absolute())}."
    return {name: name.removeprefix(start) for name in [*sys.modules] if name.startswith(start)}


def _package_of(path: Path) -> str:
    known = _folders.get(path)
    if known is None or not known.unchanged:
        # Named by the path and by how often its files have changed in this process.
        place = f"{_PREFIX}{sha256(bytes(path)).hexdigest()[:16]}_"
        count = sum(name.startswith(place) for name in _packages)
        known = _Folder(path, f"{place}{count}")
        _folders[path] = _packages[known.package] = known
        spec = ModuleSpec(known.package, None, is_package=True)
        sys.modules[known.package] = module_from_spec(spec)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
    return known.package


class _Finder(MetaPathFinder):
    """Finds the modules of the generated packages, and no others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        folder = _packages.get(package)
        file = file_beside(name, folder.path) if folder and name else None
        if folder is None or file is None:
            return None
        parts = [str(file.parent)] if file.name == "__init__.py" else None
        loader = _Loader(fullname, file, folder)
        return spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=parts
        )


class _Loader(SourceFileLoader):
    """Loads one module, and gives it an `import` that looks beside it first.

    It reads the source each time: a stored `.pyc` may be of another edit in the same second.
    """

    def __init__(self, fullname: str, file: Path, folder: _Folder) -> None:
        super().__init__(fullname, str(file))
        self._file = file
        self._folder = folder

    def get_code(self, fullname: str) -> Any:
        content = self._file.read_bytes()
        self._folder.loaded[self._file] = sha256(content).hexdigest()
        note_content(self._file, content)
        return self.source_to_code(content, str(self._file))

    def exec_module(self, module: ModuleType) -> None:
        importing = _import_in(self._folder, module)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": importing}
        super().exec_module(module)


def _import_in(folder: _Folder, module: ModuleType) -> Import:
    """Return the `__import__` of a module beside the declaration."""
    own = module.__name__.removeprefix(f"{folder.package}.") if not _is_package(module) else ""

    def importing(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        first = name.partition(".")[0]
        # A module that imports its own name means an installed one.
        if level or first == own or not file_beside(first, folder.path):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        full = f"{folder.package}.{name}"
        found = builtins.__import__(full, globals, locals, fromlist or (), 0)
        # As the statement `import a.b` does, return the first module of the name.
        return found if fromlist else sys.modules[f"{folder.package}.{first}"]

    return importing


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")
