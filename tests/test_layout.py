"""The layout: no import cycle, short chains, short files, unique class names, nothing astray.

Which package may import which other one is checked by import-linter (`pyproject.toml`).
"""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT

_ROOTS = ("factory_assets", "factory_resources", "schedules")
_LONGEST_CHAIN = 25
"""Modules, from one that no other imports to one that imports none of these packages."""
_LONGEST_FILE = 350
"""Lines."""
_ONE_FILE = {"factory_resources.ledger.factory_verify", "factory_assets.serving.edge.score"}
"""May be longer: somebody carries one file to a machine without the factory."""
_TOP = {
    *_ROOTS,
    *("benchmarks", "docs", "examples", "tests"),
    *(".ci", ".gitignore", ".pre-commit-config.yaml", "Containerfile", "Makefile"),
    *("README.md", "constraints.txt", "pyproject.toml", "workspace.yaml"),
}
"""What git has; a trial of a command may leave homes or units there, even with secrets."""


@cache
def _modules() -> dict[str, Path]:
    """Return dotted name to file; the shipped pipelines are data, not code."""
    modules = {}
    for root in _ROOTS:
        for path in (PROJECT / root).rglob("*.py"):
            names = path.relative_to(PROJECT).with_suffix("").parts
            if "defs" not in names:
                modules[".".join(names).removesuffix(".__init__")] = path
    return modules


def _imports(path: Path) -> Iterator[str]:
    """Yield every import of these packages, also inside functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in _modules() else node.module


@cache
def _graph() -> dict[str, set[str]]:
    modules = _modules()
    return {name: set(_imports(path)) & modules.keys() - {name} for name, path in modules.items()}


def test_no_modules_import_each_other_in_a_cycle() -> None:
    try:
        order = [*TopologicalSorter(_graph()).static_order()]
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
    assert len(order) == len(_modules()) > 200


def test_the_longest_chain_of_imports_is_short() -> None:
    graph = _graph()
    chains: dict[str, list[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        longest = max((chains[other] for other in graph[name]), key=len, default=[])
        chains[name] = [name, *longest]
    chain = max(chains.values(), key=len)
    assert len(chain) <= _LONGEST_CHAIN, "\n".join(chain)


def test_no_file_is_long() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in _modules().items()}
    assert not {
        name: lines
        for name, lines in lengths.items()
        if lines > _LONGEST_FILE and name not in _ONE_FILE
    }


def test_no_two_public_classes_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for name, path in _modules().items():
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    # Who carries that file away knows no other model.
    places["Model"].remove("factory_assets.serving.edge.score")
    assert not {cls: where for cls, where in places.items() if len(where) > 1}


def test_a_package_has_a_docstring_and_no_code() -> None:
    """Except for the spec, which re-exports, and two that import names of a `defs.yaml` lazily."""
    exceptions = {"factory_assets", "factory_assets.components", "factory_assets.spec"}
    for name, path in _modules().items():
        if path.name == "__init__.py":
            body = ast.parse(path.read_bytes()).body
            assert body, name
            assert isinstance(body[0], ast.Expr), name
            assert name in exceptions or len(body) == 1, name


def test_the_contracts_between_packages_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.skipif(not (shutil.which("git") and (PROJECT / ".git").exists()), reason="no checkout")
def test_nothing_else_is_at_the_top() -> None:
    command = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z"]
    files = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert {name.partition("/")[0] for name in files.split("\0") if name} == _TOP
