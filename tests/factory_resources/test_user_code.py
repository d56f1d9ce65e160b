"""Which objects a declaration may name, and with which arguments they are called."""

import sys
from pathlib import Path

import pytest

from factory_resources.errors import DeclarationError
from factory_resources.user_callables import require_arguments
from factory_resources.user_code import load_callable, load_object

BESIDE = """\
import functools, json, os, subprocess
from subprocess import Popen

class Own:
    def __init__(self, width=3): ...

def rows(year, *, site="x"): ...

def anything(**options): ...

cached = functools.cache(rows)
half = functools.partial(rows, 2024)
shell = functools.partial(os.system, "true")
decode = json.JSONDecoder().decode
number = 5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "made.py").write_text(BESIDE)
    return tmp_path


@pytest.mark.parametrize(
    "reference",
    [
        "subprocess:Popen",
        "os:system",
        "posix:system",
        "os.path:join",
        "builtins:eval",
        "sys:exit",
        "_thread:start_new_thread",
        "test.support:run_in_subinterp",
        "__main__:main",
        "made:Popen",
        "made:shell",
        "made:decode",
    ],
)
def test_callables_of_python_itself_are_refused(reference: str, folder: Path) -> None:
    with pytest.raises(DeclarationError, match="belongs to Python itself") as caught:
        load_object(reference, folder)
    assert "beside the defs.yaml" in caught.value.remedy


def test_a_module_that_ends_python_is_told(folder: Path) -> None:
    (folder / "made.py").write_text("import sys\nsys.exit('set PLANT_DB first')")
    with pytest.raises(DeclarationError, match="cannot import 'made': SystemExit: set PLANT_DB"):
        load_object("made:rows", folder)


def test_a_refused_module_is_not_even_imported(folder: Path) -> None:
    """Importing `this` prints a poem; others open a browser or a window."""
    sys.modules.pop("this", None)
    with pytest.raises(DeclarationError, match="belongs to Python itself"):
        load_callable("this:s", folder)
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "reference",
    [
        "made:Own",
        "made:rows",
        "made:cached",
        "made:half",
        "made:anything",
        "pandas:DataFrame",
        "pyarrow.csv:read_csv",
        "sklearn.ensemble:ExtraTreesClassifier",
    ],
)
def test_own_and_installed_callables_are_loaded(reference: str, folder: Path) -> None:
    assert callable(load_callable(reference, folder))


def test_a_module_beside_the_declaration_may_be_named_like_one_of_python(folder: Path) -> None:
    (folder / "statistics.py").write_text("def rows(): ...\n")
    assert callable(load_callable("statistics:rows", folder))


def test_what_is_not_callable_is_named_as_such(folder: Path) -> None:
    with pytest.raises(DeclarationError, match="is int, not a function or class"):
        load_callable("made:number", folder)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("rows", {"year": 1}, None),
        ("rows", {"year": 1, "site": "a"}, None),
        ("rows", {}, "missing a required argument: 'year'"),
        ("rows", {"year": 1, "syte": "a"}, "unexpected keyword argument 'syte'"),
        ("half", {}, None),
        ("half", {"site": "a"}, None),
        ("anything", {"x": 1}, None),
        ("Own", {"width": 4}, None),
        ("Own", {"depth": 4}, "unexpected keyword argument 'depth'"),
    ],
)
def test_arguments_are_compared_with_the_signature(
    name: str, arguments: dict[str, object], message: str | None, folder: Path
) -> None:
    function = load_callable(f"made:{name}", folder)
    if message is None:
        require_arguments(function, f"made:{name}", folder, arguments)
        return
    with pytest.raises(DeclarationError, match=message):
        require_arguments(function, f"made:{name}", folder, arguments)


def test_positional_arguments_count_too(folder: Path) -> None:
    function = load_callable("made:Own", folder)
    with pytest.raises(DeclarationError, match="too many positional arguments"):
        require_arguments(function, "made:Own", folder, {}, (1, 2, 3))
