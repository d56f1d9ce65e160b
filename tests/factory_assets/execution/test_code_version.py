"""What counts as the code of a stage."""

from pathlib import Path

import pytest

from factory_assets.execution import code_version
from factory_assets.results.stages import STAGES
from factory_resources.errors import DeclarationError
from factory_resources.home.home import PROJECT

_STAGES = PROJECT / "factory_assets" / "stages"


def _closure(stage: str) -> set[str]:
    return set(code_version.stage_files(stage))


def test_the_stage_and_what_it_imports() -> None:
    assert {
        "factory_assets/stages/clean.py",
        "factory_resources/sql/engine.py",
        "factory_resources/tables/writer.py",
    } <= _closure("clean")
    assert {
        "factory_assets/stages/train.py",
        "factory_assets/ml/features/features.py",
        "factory_resources/tracking/registry.py",
    } <= _closure("train")


def test_training_is_no_part_of_cleaning() -> None:
    assert not [path for path in _closure("clean") if "/ml/" in path or "/tracking/" in path]
    assert "factory_assets/stages/evaluate.py" not in _closure("train")


def test_reading_sources_is_no_part_of_cleaning() -> None:
    assert "factory_assets/data/sources/discovery.py" in _closure("ingest")
    assert "factory_resources/sources/databases/reader.py" in _closure("ingest")
    assert not {
        "factory_assets/data/sources/discovery.py",
        "factory_resources/sources/databases/reader.py",
        "factory_resources/sources/object_storage.py",
    } & _closure("clean")


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_of_a_stage_are_as_reviewed(stage: str, snapshot) -> None:  # type: ignore[no-untyped-def]
    """A file that leaves the list no longer computes anything anew when it is edited."""
    assert sorted(code_version.stage_files(stage)) == snapshot


def test_what_is_apart_is_there() -> None:
    assert all(_module_file(name) for name in code_version._APART)


def _module_file(name: str) -> bool:
    path = PROJECT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "lab_for_code_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "model.py").write_text("import json\nfrom .layers import Layer\n")
    (folder / "layers.py").write_text("class Layer: ...\n")
    (folder / "unrelated.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_an_edit_of_an_imported_module_is_noticed(package: Path, tmp_path: Path) -> None:
    before = code_version.module_code("lab_for_code_test.model:Net", tmp_path)
    (package / "unrelated.py").write_text("x = 2\n")
    assert code_version.module_code("lab_for_code_test.model:Net", tmp_path) == before
    (package / "layers.py").write_text("class Layer: size = 3\n")
    assert code_version.module_code("lab_for_code_test.model:Net", tmp_path) != before


def test_a_module_beside_the_declaration(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text("def load(): ...\n")
    before = code_version.module_code("source:load", tmp_path)
    (tmp_path / "source.py").write_text("def load(): return 1\n")
    assert code_version.module_code("source:load", tmp_path) != before


@pytest.mark.parametrize("helper", ["helper.py", "helper/__init__.py"])
def test_a_module_beside_the_declaration_imports_another(helper: str, tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text("from . import helper\ndef load(): ...\n")
    versions = [code_version.module_code("source:load", tmp_path)]
    (tmp_path / helper).parent.mkdir(exist_ok=True)
    for text in ("", "x = 1\n"):
        (tmp_path / helper).write_text(text)
        versions.append(code_version.module_code("source:load", tmp_path))
    assert len(set(versions)) == 3


def test_a_module_that_is_no_python_is_left_to_whoever_imports_it(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text("from helper import LIMIT\ndef load(): ...\n")
    versions = set()
    for content in (b"def f(:\n", b"LIMIT = 1\n\0", b"# \xff\nLIMIT = 1\n", b"LIMIT = 1\n"):
        (tmp_path / "helper.py").write_bytes(content)
        versions.add(code_version.module_code("source:load", tmp_path))
    assert len(versions) == 4


def test_a_module_alone_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source.py").write_text("def load(): ...\n")
    (tmp_path / "data").mkdir()
    parsed = code_version.closure(tmp_path / "source.py", lambda _: None)
    whole = code_version._digest([path.read_bytes() for path in parsed])
    monkeypatch.setattr(code_version, "imports_of", lambda _: pytest.fail("it was parsed"))
    assert code_version.module_code("source:load", tmp_path) == whole


def test_a_missing_module_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="there is no module 'nowhere_at_all'"):
        code_version.module_code("nowhere_at_all:load", tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_the_pattern_finds_what_the_parser_finds(stage: str) -> None:
    start = _STAGES / f"{stage}.py"
    assert code_version.closure(
        start, code_version._ours, code_version.our_imports
    ) == code_version.closure(start, code_version._ours)
