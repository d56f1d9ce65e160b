"""Which code computes a stage: digests of source files, and versions of libraries.

Whatever could change a stage's result must be covered here, and nothing else: the reuse of results
rests on it.
"""

import ast
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from factory_resources.errors import DeclarationError

_ROOT = Path(__file__).resolve().parent.parent.parent

_OURS = (
    *(f"factory_assets.{room}" for room in ("stages", "results", "data", "ml")),
    "factory_resources",
)

# What these hold is covered otherwise, or cannot change a result.
_APART = frozenset(
    f"factory_resources.{name}"
    for name in (
        *("errors", "instance", "home.home", "tracking.records", "sources.digest_cache"),
        *("metering.meter", "metering.energy", "security.offline", "security.secrets"),
    )
)

_LIBRARIES = {
    "ingest": ("duckdb", "pyarrow"),
    "clean": ("duckdb",),
    "split": ("duckdb",),
    "train": ("torch", "lightning", "scikit-learn", "numpy", "pyarrow"),
    # Influence trains again.
    "evaluate": ("scikit-learn", "numpy", "pyarrow", "torch", "lightning", "scipy"),
    "deploy": ("onnx", "onnxruntime", "skl2onnx", "torch"),
}

_OUR_IMPORT = re.compile(r"^ *from ([\w.]+) import (\([^)]*\)|[^\n]+)", re.MULTILINE)

Resolve = Callable[[str], Path | None]

Imports = Callable[[Path], Iterable[str]]


@cache
def stage_code(stage: str) -> str:
    """Digest of the stage's module and all it imports of ours."""
    return _digest([path.read_bytes() for path in _sources(stage)])


def stage_files(stage: str) -> dict[str, str]:
    """The files of `stage_code`, below the project's folder, and the SHA-256 of each."""
    return {
        path.relative_to(_ROOT).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in _sources(stage)
    }


@cache
def libraries(stage: str, *more: str) -> dict[str, str]:
    """The versions of the libraries that the stage computes with, and of `more`."""
    return {name: _version(name) for name in (*_LIBRARIES[stage], *more)}


def _version(name: str) -> str:
    """Empty where an optional one is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def module_code(reference: str, folder: Path) -> str:
    """Digest of a user's module `pkg.module:name` and all it imports of its own package; the
    version of scikit-learn, where that is the package.

    Raises:
        DeclarationError: when there is no such module.
    """
    module = reference.partition(":")[0]
    package = module.partition(".")[0]
    if package == "sklearn":
        # Thousands of files, and known by its version.
        return importlib.metadata.version("scikit-learn")

    def resolve(name: str) -> Path | None:
        beside = folder / f"{name}.py"
        if "." not in name and beside.is_file():
            return beside
        return _find(name) if name.partition(".")[0] == package else None

    start = resolve(module)
    if start is None:
        raise DeclarationError(
            f"there is no module {module!r}",
            where=str(folder),
            remedy="put it beside the defs.yaml, or install its package",
        )
    return _digest([path.read_bytes() for path in closure(start, resolve)])


def closure(start: Path, resolve: Resolve, imports: Imports | None = None) -> list[Path]:
    """`start` and every file that it imports, directly or not.

    Args:
        start: a Python file.
        resolve: the file of a module's name, or None where that is nobody's business.
        imports: the names that a file imports, where its source need not be read again.
    """
    found = {start}
    waiting = [start]
    while waiting:
        for name in (imports or _imports)(waiting.pop()):
            path = resolve(name)
            if path is not None and path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found)


@cache
def our_imports(path: Path) -> tuple[str, ...]:
    """The absolute imports of one of our own files, which do not change while a process lives.

    By a pattern: parsing the files that every stage shares takes .3 s of CPU on every start. A test
    compares it with what the parser finds.
    """
    found: dict[str, None] = {}
    for module, names in _OUR_IMPORT.findall(path.read_text(encoding="utf-8")):
        found[module] = None
        found.update((f"{module}.{name}", None) for name in re.findall(r"\w+", names))
    return tuple(found)


def _imports(path: Path) -> Iterator[str]:
    for node in _statements(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parents = _package_of(path)
                module = ".".join(
                    [*parents[: len(parents) - node.level + 1], *filter(None, [module])]
                )
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement, nested ones too; `ast.walk` visits ten times more, each expression."""
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


def _ours(name: str) -> Path | None:
    if not name.startswith(_OURS) or name in _APART:
        return None
    for path in (
        _ROOT / f"{name.replace('.', '/')}.py",
        _ROOT / name.replace(".", "/") / "__init__.py",
    ):
        if path.is_file():
            return path
    return None


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
