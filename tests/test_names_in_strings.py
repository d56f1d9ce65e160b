"""Dotted names and file paths in strings, docstrings, pages and configuration exist.

Linters check imports, but not the names that monkeypatch, `python -m` and the documents use.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT

_ROOTS = ("factory_assets", "factory_resources", "schedules", "benchmarks", "tests")
_DOTTED = re.compile(rf"(?:{'|'.join(_ROOTS)})(?:\.\w+)+")
_PATH = re.compile(rf"(?<![\w/.])(?:{'|'.join(_ROOTS)}|docs|examples)/[\w./-]*\w")
_PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
_CONFIGURATION = [PROJECT / name for name in ("Makefile", "pyproject.toml", "workspace.yaml")]


def _python_files() -> list[Path]:
    return sorted(path for root in _ROOTS for path in (PROJECT / root).rglob("*.py"))


@cache
def _strings(path: Path) -> list[str]:
    found = (one for one in ast.walk(ast.parse(path.read_bytes())) if isinstance(one, ast.Constant))
    return [one.value for one in found if isinstance(one.value, str)]


def _resolves(dotted: str) -> bool:
    """Whether the name is a module or an attribute of one."""
    names = dotted.split(".")
    for end in range(len(names), 0, -1):
        path = PROJECT.joinpath(*names[:end])
        if path.is_dir() or path.with_suffix(".py").is_file():
            break
    value = importlib.import_module(".".join(names[:end]))
    for name in names[end:]:
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


@pytest.mark.parametrize("root", _ROOTS)
def test_a_dotted_name_in_a_string_exists(root: str) -> None:
    names = {
        (path.relative_to(PROJECT).as_posix(), match)
        for path in sorted((PROJECT / root).rglob("*.py"))
        for text in _strings(path)
        for match in _DOTTED.findall(text)
        if text == match
    }
    assert not [(file, name) for file, name in sorted(names) if not _resolves(name)]


def test_a_module_named_in_a_configuration_exists() -> None:
    names = {match for path in _CONFIGURATION for match in _DOTTED.findall(path.read_text("utf-8"))}
    assert names
    assert not [name for name in sorted(names) if not _resolves(name)]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_a_path_named_in_a_page_exists(page: Path) -> None:
    paths = set(_PATH.findall(page.read_text("utf-8")))
    assert not [path for path in sorted(paths) if not (PROJECT / path).exists()]


def test_a_path_named_in_a_docstring_exists() -> None:
    missing = [
        (file.relative_to(PROJECT).as_posix(), match)
        for file in _python_files()
        for text in _strings(file)
        for match in _PATH.findall(text)
        if not (PROJECT / match).exists()
    ]
    assert not missing
