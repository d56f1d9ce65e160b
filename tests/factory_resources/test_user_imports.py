"""A user's modules beside a declaration: how they find each other, and stay apart from others."""

import sys
from pathlib import Path

import pytest

from factory_resources.errors import DeclarationError
from factory_resources.user_code import load_object, module_beside


def _write(folder: Path, **modules: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    return folder


def test_a_module_imports_its_sibling(tmp_path: Path) -> None:
    folder = _write(
        tmp_path / "one",
        source="import helper\nfrom helper import SIZE as size\nfrom . import helper as same\n"
        "def load(): return helper.SIZE, size, same is helper\n",
        helper="SIZE = 3\n",
    )
    assert load_object("source:load", folder)() == (3, 3, True)


def test_a_function_imports_a_sibling_when_it_is_called(tmp_path: Path) -> None:
    folder = _write(
        tmp_path / "one",
        source="def load():\n    import helper\n    return helper.SIZE\n",
        helper="SIZE = 3\n",
    )
    assert load_object("source:load", folder)() == 3


def test_equally_named_siblings_of_two_pipelines_stay_apart(tmp_path: Path) -> None:
    code = "import helper\ndef load():\n    import later\n    return helper.SIZE, later.SIZE\n"
    loads = [
        load_object(
            "source:load",
            _write(tmp_path / name, source=code, helper=f"SIZE = {i}\n", later=f"SIZE = {i}\n"),
        )
        for i, name in enumerate(("one", "two"))
    ]
    assert [load() for load in loads] == [(0, 0), (1, 1)]


def test_nothing_outside_the_folder_sees_its_modules(tmp_path: Path) -> None:
    path, modules = [*sys.path], set(sys.modules)
    folder = _write(tmp_path / "one", source="import helper_of_one\n", helper_of_one="")
    load_object("source:helper_of_one", folder)
    assert sys.path == path
    assert all(name.startswith("_factory_") for name in set(sys.modules) - modules)
    with pytest.raises(ImportError):
        __import__("helper_of_one")
    assert not (folder / "__pycache__").exists()


def test_a_package_beside_the_declaration(tmp_path: Path) -> None:
    folder = _write(tmp_path / "one", source="import lib.parts\nimport lib.parts as p\n")
    _write(folder / "lib", __init__="from lib.parts import SIZE\n", parts="SIZE = 4\n")
    assert load_object("source:lib", folder).SIZE == load_object("source:p", folder).SIZE == 4
    assert load_object("lib.parts:SIZE", folder) == 4


def test_an_edit_of_a_sibling_is_seen(tmp_path: Path) -> None:
    folder = _write(tmp_path / "one", source="from helper import SIZE\n", helper="SIZE = 3\n")
    assert load_object("source:SIZE", folder) == 3
    first = module_beside("source", folder)
    assert module_beside("source", folder) is first
    # Of the same length, and within the same second.
    _write(folder, helper="SIZE = 4\n")
    assert load_object("source:SIZE", folder) == 4


def test_a_module_that_imports_its_own_name_means_an_installed_one(tmp_path: Path) -> None:
    folder = _write(tmp_path / "one", yaml="import yaml\nload = yaml.safe_load\n")
    assert load_object("yaml:load", folder)("[1]") == [1]


def test_an_installed_module_with_the_name_of_a_sibling_stays_as_it_is(tmp_path: Path) -> None:
    folder = _write(
        tmp_path / "one",
        source="import statistics\nimport json\ndef load(): return statistics, json\n",
        statistics="mean = None\n",
    )
    own, shared = load_object("source:load", folder)()
    assert own.mean is None
    assert shared is sys.modules["json"]
    import statistics

    assert statistics.mean([1, 3]) == 2


@pytest.mark.parametrize(
    "code", ["import helper\n", "import helper.missing\n", "from helper import missing\n"]
)
def test_a_failing_import_is_one_clear_line(code: str, tmp_path: Path) -> None:
    folder = _write(tmp_path / "one", source=code, helper="import nowhere_at_all\n")
    with pytest.raises(DeclarationError, match=r"cannot import 'source'.*nowhere_at_all"):
        load_object("source:load", folder)
    _write(folder, helper="")
    if "missing" in code:
        with pytest.raises(DeclarationError, match=r"cannot import 'source'.*missing") as caught:
            load_object("source:load", folder)
        assert "_factory_" not in str(caught.value)
