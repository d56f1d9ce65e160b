"""What the user's code of a stage loaded: files of modules, and versions of distributions.

It is known only after the code has run, so a record stores it, and a later run compares it with
what is there then. The code that the declaration names, with its own package, belongs in
`code_version`.
"""

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from factory_assets.execution.code_version import imports_of, version_of
from factory_assets.execution.installed import normalized_name
from factory_resources.import_record import (
    digest_of,
    imported_by,
    is_users,
    loaded_content,
    search_path,
)
from factory_resources.user_imports import file_beside, loaded_name, without_generated_names

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_EXTRA = re.compile(r"\bextra\b")
"""In the condition of a requirement that only an extra needs."""

Loaded = dict[str, dict[str, str]]
"""`modules`: name, or path if no import finds it, to the SHA-256 of the file. `libraries`:
distribution to version. An empty text stands for what is not there."""


def loaded_code(references: Iterable[str], folder: Path) -> Loaded:
    """Return what the named objects loaded in this process, with the content that was loaded.

    Args:
        references: `module:name` each, as declared.
        folder: the folder of the declaration.
    """
    modules: dict[str, str] = {}
    packages: set[str] = set()
    waiting = {loaded_name(reference.partition(":")[0], folder) for reference in references}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and is_users(file):
            modules[_key(name, Path(file), folder)] = loaded_content(Path(file))
            imported = {loaded_name(other, folder, name) for other in _imports(name, Path(file))}
            waiting |= imported - seen
        elif file:
            packages.add(name.partition(".")[0])
        elif name not in sys.modules and _is_nowhere(name):
            modules[name] = ""
    return {"modules": dict(sorted(modules.items())), "libraries": _versions(packages)}


def as_it_is_now(loaded: Loaded, folder: Path) -> Loaded:
    """Return the same modules and distributions with their present content and version."""
    return {
        "modules": {name: _present_content(name, folder) for name in loaded["modules"]},
        "libraries": {name: version_of(name) for name in loaded["libraries"]},
    }


def _imports(name: str, path: Path) -> Iterator[str]:
    """Yield what a module imports, by its text or as it was seen, with the parents."""
    named = {*imported_by(name), *(imports_of(path) if path.suffix == ".py" else ())}
    for other in named:
        parts = other.split(".")
        yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _key(name: str, path: Path, folder: Path) -> str:
    """Return the plain name of a module, or its path if an import would not find it."""
    plain = without_generated_names(name)
    if _locate(plain, folder) == path:
        return plain
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _present_content(name: str, folder: Path) -> str:
    path = _locate(name, folder)
    return digest_of(path) if path else ""


def _locate(name: str, folder: Path) -> Path | None:
    """Return the file of a module without importing anything."""
    if "/" in name or name.endswith((".py", ".so")):
        return folder / name
    if beside := file_beside(name, folder):
        return beside
    paths: Sequence[str] | None = search_path()
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), paths)
        if spec is None:
            return None
        paths = spec.submodule_search_locations
    return Path(spec.origin) if spec and spec.origin else None


def _is_nowhere(name: str) -> bool:
    """Whether a module could not be imported; of an attribute of a module this is not known."""
    if "." in name:
        return False
    try:
        return importlib.util.find_spec(name) is None
    except (ImportError, ValueError):
        return False


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the distributions of these packages, and those that they need or can make use of.

    What else this process has loaded does not matter: another one that runs the same code may have
    loaded less.
    """
    by_package = _distributions()
    installed = {one for ones in by_package.values() for one in ones}
    named = {one for package in packages for one in by_package.get(package, ())}
    waiting = named | {one for name in named for one in _required(name, optional=True)} & installed
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= (_required(name) & installed) - found
    return {name: version_of(name) for name in sorted(found)}


@cache
def _distributions() -> dict[str, frozenset[str]]:
    """Map each package that can be imported to the distributions that it is from."""
    return {
        package: frozenset(map(normalized_name, names))
        for package, names in importlib.metadata.packages_distributions().items()
    }


@cache
def _required(name: str, *, optional: bool = False) -> frozenset[str]:
    """Return what a distribution needs, or what it names as an extra."""
    try:
        declared = importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return frozenset()
    return frozenset(
        normalized_name(match[0])
        for text in declared
        if (match := _REQUIREMENT.match(text))
        and (_EXTRA.search(text.partition(";")[2]) is not None) == optional
    )
