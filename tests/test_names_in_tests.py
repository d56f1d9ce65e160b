"""Scripts in strings and patched attributes of the tests name things that exist.

Neither the linter nor mypy looks into them; a rename that misses one shows only in a slow test.
"""

import ast
import builtins
import importlib
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory_resources.home.home import PROJECT

_OURS = ("factory_assets", "factory_resources", "schedules", "tests")
_FILES = sorted((PROJECT / "tests").rglob("*.py"))


def _scripts(tree: ast.AST) -> Iterator[ast.Module]:
    """The Python scripts that stand in strings and import something of the factory."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if "import" not in node.value or not any(name in node.value for name in _OURS):
                continue
            try:
                yield ast.parse(textwrap.dedent(node.value))
            except SyntaxError:
                continue


def _exists(module: str, name: str) -> bool:
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def _imports(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """(module, name, local name) of what is imported from the factory."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_OURS):
            yield from ((node.module or "", a.name, a.asname or a.name) for a in node.names)


def _bound(tree: ast.AST) -> set[str]:
    names = set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Import() | ast.ImportFrom():
                names |= {(a.asname or a.name).partition(".")[0] for a in node.names}
            case ast.FunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.arg():
                names.add(node.arg)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.ExceptHandler(name=str(name)):
                names.add(name)
    return names


def _read(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.relative_to(PROJECT).as_posix())
def test_names_exist(file: Path) -> None:
    tree = ast.parse(file.read_bytes())
    for script in _scripts(tree):
        assert not [f"{m}.{n}" for m, n, _ in _imports(script) if not _exists(m, n)]
        assert not _read(script) - _bound(script)
    modules = {local: f"{module}.{name}" for module, name, local in _imports(tree)}
    assert not [place for place in _patched(tree, modules) if not _exists(*place)]


def _patched(tree: ast.AST, modules: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(module, attribute) of each `setattr(module, "attribute", …)` on a module of the factory."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "delattr"),
                args=[ast.Name(id=local), ast.Constant(value=str(name)), *_],
            ) if _is_module(modules.get(local, "")):
                yield modules[local], name


def _is_module(dotted: str) -> bool:
    path = PROJECT.joinpath(*dotted.split("."))
    return bool(dotted) and path.with_suffix(".py").is_file()


def test_a_script_with_an_unknown_name_is_found() -> None:
    tree: Any = ast.parse('RUN = "from factory_assets.spec import Pipeline\\nPipelin()"')
    [script] = _scripts(tree)
    assert _read(script) - _bound(script) == {"Pipelin"}
