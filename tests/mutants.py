"""Change the files on which everything rests, a little at a time, and count what their tests see.

`python -m tests.mutants`, which `make test-long` runs, changes one operator, bound, sign or entry
of a file, runs the tests that mirror the file, and lists the changes that no test noticed. It ends
with exit code 1 if the tests see too small a share of the changes.
"""

import argparse
import ast
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parent.parent

TARGETS: dict[str, tuple[str, ...]] = {
    "results.base": ("execution/test_cache_key.py",),
    "execution.cache_key": ("execution/test_cache_key.py",),
    "execution.loaded_components": ("execution/test_loaded_components.py",),
    "execution.retention": ("execution/test_retention.py",),
    "ml.evaluation.gates": ("ml/evaluation/test_gates.py",),
    "stages.split": ("stages/test_split.py", "stages/test_split_names.py"),
    "data.contract.rules": ("data/contract/test_rules.py", "stages/test_ingest.py"),
    "data.contract.table_checks": ("data/contract/test_table_checks.py",),
    "data.contract.validation": ("stages/test_ingest.py", "stages/test_bad_input.py"),
    "data.blocks": ("stages/test_conservation.py", "data/test_block_plan.py"),
    "data.cleaned_blocks": ("stages/test_conservation.py", "stages/test_clean.py"),
    "results.data": ("stages/test_conservation.py", "stages/test_split.py"),
}
"""Module of `factory_assets` to the tests that must notice a change in it."""

EACH = 10
"""Changes of one file; drawn at random, but always the same ones."""

ENOUGH = 0.75
"""Share of the changes that the tests must see; raise it with the figure, never lower it."""

_SECONDS = 600

_PROCESSES = 2

_SWAPPED: dict[type[ast.AST], type[Any]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult},
    **{ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr},
}

_SQL = ((" <= ", " < "), (" < ", " <= "), (" AND ", " OR "), ("NOT ", ""), (" DESC", " ASC"))
_SQL += ((" + ", " - "),)

Edit = tuple[str, dict[str, Any]]
"""The change of one node: in words, and the new values of its fields."""


@dataclass(frozen=True)
class Mutant:
    """One small change of one module."""

    module: str
    number: int
    """Position among all possible changes of the module."""
    line: int
    what: str


def edits(node: ast.AST) -> Iterator[Edit]:
    """Yield the small changes of one node; a text changes only where it is SQL."""
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                new = _SWAPPED[type(op)]
                yield _words(op, new), {"ops": [*ops[:i], new(), *ops[i + 1 :]]}
        case ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op) in _SWAPPED:
            yield _words(op, _SWAPPED[type(op)]), {"op": _SWAPPED[type(op)]()}
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "without not", {"operand": ast.UnaryOp(ast.Not(), operand)}
        case ast.IfExp(body=body, orelse=orelse):
            yield "the other case", {"body": orelse, "orelse": body}
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() as test):
            yield "the opposite", {"test": ast.UnaryOp(ast.Not(), test)}
        case ast.comprehension(ifs=[_, *_]):
            yield "without its condition", {"ifs": []}
        case ast.Dict(keys=keys, values=values) if len(keys) > 1:
            for i, key in enumerate(keys):
                rest = {"keys": keys[:i] + keys[i + 1 :], "values": values[:i] + values[i + 1 :]}
                yield f"without the entry {ast.unparse(key or values[i])}", rest
        case ast.Constant(value=bool() as value):
            yield f"{value} to {not value}", {"value": not value}
        case ast.Constant(value=int() as value):
            yield f"{value} to {value + 1}", {"value": value + 1}
        case ast.Constant(value=str() as text):
            for old, new_text in _SQL:
                if old in text and any(word.isupper() for word in text.split()):
                    changed = text.replace(old, new_text, 1)
                    yield f"{old.strip()} to {new_text.strip()}", {"value": changed}


def _words(old: ast.AST, new: type[Any]) -> str:
    return f"{type(old).__name__} to {new.__name__}"


def _without_effect(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what computes nothing: docstrings, annotations, and texts of errors."""
    match node:
        case ast.Expr(value=ast.Constant()):
            yield from ast.walk(node)
        case ast.arg(annotation=ast.AST() as kind) | ast.AnnAssign(annotation=kind):
            yield from ast.walk(kind)
        case ast.FunctionDef(returns=ast.AST() as kind):
            yield from ast.walk(kind)
        case ast.ClassDef(decorator_list=[_, *_] as decorators):
            yield from (part for one in decorators for part in ast.walk(one))
        case ast.Raise() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield from ast.walk(node)


def mutants(module: str) -> list[tuple[Mutant, str]]:
    """Return every small change of a module, each with the changed source."""
    source = _file(module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    skipped = {id(part) for node in ast.walk(tree) for part in _without_effect(node)}
    found: list[tuple[Mutant, str]] = []
    for node in [node for node in ast.walk(tree) if id(node) not in skipped]:
        for what, fields in edits(node):
            before = {name: getattr(node, name) for name in fields}
            vars(node).update(fields)
            changed = ast.unparse(ast.fix_missing_locations(tree))
            vars(node).update(before)
            line = getattr(node, "lineno", 0) or getattr(getattr(node, "target", None), "lineno", 0)
            found.append((Mutant(module, len(found), line, what), changed))
    return found


def _file(module: str) -> Path:
    return PROJECT / "factory_assets" / f"{module.replace('.', '/')}.py"


class _Changed(MetaPathFinder, SourceFileLoader):
    """Finds one module, with another source than that of its file."""

    def __init__(self, module: str, source: str) -> None:
        super().__init__(f"factory_assets.{module}", str(_file(module)))
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path) if fullname == self.name else None
        if spec:
            spec.loader = self
        return spec

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self._source.encode(), self.path)


def _run_tests(module: str, number: int | None) -> int:
    """Run the tests of a module in this process, changed if there is a number."""
    if number is not None:
        sys.meta_path.insert(0, _Changed(module, mutants(module)[number][1]))
    tests = [f"tests/factory_assets/{name}" for name in TARGETS[module]]
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])


def _passes(module: str, number: int | None) -> bool:
    """Whether the tests pass in a process of their own; whoever hangs does not pass."""
    command = [sys.executable, "-m", "tests.mutants", "--one", module]
    command += [] if number is None else [str(number)]
    try:
        done = subprocess.run(
            command, cwd=PROJECT, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="modules of factory_assets (default: all)")
    parser.add_argument("--each", type=int, default=EACH, help="changes of each module")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        module, *number = arguments.one
        return _run_tests(module, int(number[0]) if number else None)
    modules = arguments.modules or [*TARGETS]
    chosen: list[Mutant] = []
    for module in modules:
        every = [mutant for mutant, _ in mutants(module)]
        chosen += random.Random(module).sample(every, min(arguments.each, len(every)))
    with ThreadPoolExecutor(_PROCESSES) as pool:
        sound = pool.map(lambda module: _passes(module, None), modules)
        if broken := [module for module, passes in zip(modules, sound, strict=True) if not passes]:
            sys.stderr.write(f"the tests fail without a change, too: {', '.join(broken)}\n")
            return 1
        unseen = []
        results = pool.map(lambda mutant: _passes(mutant.module, mutant.number), chosen)
        for mutant, passes in zip(chosen, results, strict=True):
            if passes:
                unseen.append(mutant)
                place = _file(mutant.module).relative_to(PROJECT)
                sys.stdout.write(f"{place}:{mutant.line}: {mutant.what}\n")
                sys.stdout.flush()
    seen = len(chosen) - len(unseen)
    sys.stdout.write(f"{seen} of {len(chosen)} small changes were seen by the tests\n")
    return 0 if seen >= ENOUGH * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
