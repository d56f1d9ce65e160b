"""The version of the code that computes a stage: digests of source files, versions of libraries.

Reuse of results rests on this: whatever code could change a stage's result must be covered, and
nothing else.
"""

import ast
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from os.path import isfile
from pathlib import Path

from factory_resources.errors import DeclarationError
from factory_resources.user_imports import file_beside

_ROOT = Path(__file__).resolve().parent.parent.parent

_OURS = (
    *(f"factory_assets.{room}" for room in ("stages", "results", "data", "ml", "spec")),
    "factory_resources",
)

# These are covered otherwise, or cannot change a result.
_SPEC = "factory_assets.spec"

_APART = frozenset(
    {
        *(f"factory_resources.{name}" for name in ("errors", "instance")),
        *(f"factory_resources.tracking.{name}" for name in ("record", "records")),
        *(f"factory_resources.home.{name}" for name in ("home", "sqlite_files", "storage_faults")),
        "factory_resources.sources.digest_cache",
        # A source is reached, or the stage fails.
        "factory_resources.boundary.allowed",
        *(f"factory_resources.ledger.{name}" for name in ("entries", "ledger")),
        # A file is fetched and has its digest, or the stage fails.
        *(f"factory_resources.store.{name}" for name in ("location", "store")),
        *(f"factory_resources.metering.{name}" for name in ("meter", "energy")),
        *(f"factory_resources.security.{name}" for name in ("offline", "secrets")),
        # What answers and outcomes are is in their digests; a value is decrypted as it was, or not.
        *(f"factory_resources.outcomes.{name}" for name in ("engines", "targets")),
        *(f"factory_resources.prediction_log.{n}" for n in ("prediction_log", "protection")),
        # It imports the modules of all sections, and stages name those that they read themselves.
        f"{_SPEC}.pipeline",
    }
)

_LIBRARIES = {
    "ingest": ("duckdb", "pyarrow"),
    "clean": ("duckdb",),
    "split": ("duckdb",),
    "train": ("torch", "lightning", "scikit-learn", "scipy", "numpy", "pyarrow"),
    # Measuring influence trains models.
    "evaluate": ("scikit-learn", "numpy", "pyarrow", "torch", "lightning", "scipy"),
    "deploy": ("onnx", "onnxruntime", "skl2onnx", "torch"),
}

_OUR_IMPORT = re.compile(r"^ *from ([\w.]+) import (\([^)]*\)|[^\n]+)", re.MULTILINE)

Resolve = Callable[[str], Path | None]

Imports = Callable[[Path], Iterable[str]]


@cache
def stage_code(stage: str) -> str:
    """Return the digest of the stage's module and all that it imports of the factory."""
    return _digest([_content(path) for path in _sources(stage)])


@cache
def _content(path: Path) -> bytes:
    """Return the content of one of the factory's files, most of which every stage imports."""
    return path.read_bytes()


def stage_files(stage: str) -> dict[str, str]:
    """Return the files behind `stage_code`, relative to the project, with the SHA-256 of each."""
    return {
        path.relative_to(_ROOT).as_posix(): sha256(_content(path)).hexdigest()
        for path in _sources(stage)
    }


def libraries(stage: str, *more: str) -> dict[str, str]:
    """Return the versions of the libraries that the stage computes with, and of `more`."""
    return {name: version_of(name) for name in (*_LIBRARIES[stage], *more)}


@cache
def version_of(name: str) -> str:
    """Return the version of a distribution; empty if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def module_code(reference: str, folder: Path) -> str:
    """Return the digest of a user's module `pkg.module:name` and all it imports of its own package.

    For scikit-learn itself, return its version.

    Raises:
        DeclarationError: there is no such module.
    """
    module = reference.partition(":")[0]
    package = module.partition(".")[0]
    if package == "sklearn":
        # Thousands of files, identified by their version.
        return importlib.metadata.version("scikit-learn")

    def resolve(name: str) -> Path | None:
        if beside := file_beside(name, folder):
            return beside
        return _find(name) if name.partition(".")[0] == package else None

    start = resolve(module)
    if start is None:
        raise DeclarationError(
            f"there is no module {module!r}",
            where=str(folder),
            remedy="put it beside the defs.yaml, or install its package",
        )
    if start.parent == folder and _is_alone(start):
        # Parsing it would take a tenth of the time in which a pipeline is loaded.
        return _digest([start.read_bytes()])
    return _digest([path.read_bytes() for path in closure(start, resolve)])


def _is_alone(module: Path) -> bool:
    """Whether there is no other module or package beside a module, which it could import."""
    with os.scandir(module.parent) as entries:
        return not any(
            entry.name.endswith(".py") or isfile(f"{entry.path}/__init__.py")
            for entry in entries
            if entry.name != module.name
        )


def closure(start: Path, resolve: Resolve, imports: Imports | None = None) -> list[Path]:
    """Return `start` and every file that it imports, directly or indirectly.

    Args:
        start: a Python file.
        resolve: returns the file of a module's name, or None to leave the module out.
        imports: returns the names that a file imports; the default parses the file.
    """
    found = {start}
    waiting = [start]
    while waiting:
        for name in (imports or imports_of)(waiting.pop()):
            path = resolve(name)
            if path is not None and path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found)


@cache
def our_imports(path: Path) -> tuple[str, ...]:
    """Return the absolute imports of one of the factory's files, cached for the process.

    A pattern finds them, since parsing the files that every stage shares takes .3 s of CPU on every
    start. A test compares the pattern with the parser.
    """
    found: dict[str, None] = {}
    for module, names in _OUR_IMPORT.findall(_content(path).decode()):
        found[module] = None
        found.update((f"{module}.{name}", None) for name in re.findall(r"\w+", names))
    return tuple(found)


def imports_of(path: Path) -> Iterator[str]:
    """Yield the absolute names that a file imports, also within functions.

    Of one that is no Python there are none; whoever imports it is told why.
    """
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError):
        return
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parents = _package_of(path)
                module = ".".join(
                    [*parents[: len(parents) - node.level + 1], *filter(None, [module])]
                )
            yield from [module] if module else []
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement, nested ones too; `ast.walk` visits each expression, ten times more."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, field, None)
            waiting += inner if isinstance(inner, list) else []


def _package_of(path: Path) -> list[str]:
    names: list[str] = []
    folder = path.parent
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return names


def _sources(stage: str) -> list[Path]:
    return closure(_ROOT / f"factory_assets/stages/{stage}.py", _ours, our_imports)


@cache
def _ours(name: str) -> Path | None:
    # The package of the spec only hands on what its modules define.
    name = _spec_modules().get(name, name)
    if not name.startswith(_OURS) or name in _APART or name == _SPEC:
        return None
    stem = f"{_ROOT}/{name.replace('.', '/')}"
    return next((Path(p) for p in (f"{stem}.py", f"{stem}/__init__.py") if isfile(p)), None)


@cache
def _spec_modules() -> dict[str, str]:
    """Map each name that the package of the spec hands on to the module that defines it."""
    path = _ROOT / f"{_SPEC.replace('.', '/')}/__init__.py"
    found = {}
    for module, names in _OUR_IMPORT.findall(path.read_text(encoding="utf-8")):
        found.update({f"{_SPEC}.{name}": module for name in re.findall(r"\w+", names)})
    return found


def _find(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _digest(parts: list[bytes]) -> str:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
