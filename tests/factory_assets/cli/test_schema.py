"""The JSON Schemas agree with the loaders; published copies and docs are current."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from factory_assets.cli.schema import (
    GOVERNANCE,
    PUBLISHED,
    governance_schema,
    governance_schema_text,
    schema,
    schema_line,
    schema_text,
)
from factory_assets.declarations.loader import DEFS
from factory_assets.declarations.yaml_document import parse
from factory_assets.spec.models import Cnn, Gru, Mlp, OwnModule, Tabm, Tcn, Transformer
from factory_resources.home.home import PROJECT
from tests.factory_assets.declarations.cases import FULL, SHOWN_DIGITS

_VALIDATOR = jsonschema.Draft202012Validator(schema())

_DECLARED = sorted(DEFS.glob("*/defs.yaml")) + sorted(PROJECT.glob("examples/*/defs.yaml"))

_GOVERNED = [file for one in _DECLARED if (file := one.with_name("governance.yaml")).is_file()]


def test_published_copy_is_current() -> None:
    assert PUBLISHED.read_text() == schema_text(), "run: factory schema > docs/defs.schema.json"


def test_it_is_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", _DECLARED, ids=lambda file: file.parent.name)
def test_shipped_declarations_are_valid(file: Path) -> None:
    assert [e.message for e in _VALIDATOR.iter_errors(parse(file.read_bytes()).data)] == []


def test_published_schema_of_governance_is_current() -> None:
    remedy = "run: factory schema governance > docs/governance.schema.json"
    assert GOVERNANCE.read_text() == governance_schema_text(), remedy


@pytest.mark.parametrize("file", _GOVERNED, ids=lambda file: file.parent.name)
def test_shipped_governance_is_valid(file: Path) -> None:
    validator = jsonschema.Draft202012Validator(governance_schema())
    assert [e.message for e in validator.iter_errors(parse(file.read_bytes()).data)] == []


def test_a_statement_about_an_unknown_requirement_is_not_valid() -> None:
    validator = jsonschema.Draft202012Validator(governance_schema())
    assert validator.is_valid({"statements": {"annex-iv.2g": "x", "article.9": None}})
    assert not validator.is_valid({"statements": {"annex-iv.2z": "x"}})


@pytest.mark.parametrize("text", [FULL, SHOWN_DIGITS])
def test_long_and_short_declarations_are_valid(text: str) -> None:
    assert [e.message for e in _VALIDATOR.iter_errors(parse(text.encode()).data)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tier: high", "tier: hihg"),
        ("kind: mlp", "kind: mpl"),
        ("target: failed", "targt: failed"),
        ("type: float64", "type: 5"),
        ("test: 0.25", "test: 2"),
        ("deduplicate: speed", "deduplicate: [1]"),
        ("type: factory_assets.ModelPipeline", "type: other"),
    ],
)
def test_mistakes_are_not_valid(old: str, new: str) -> None:
    text = FULL.replace(old, new, 1)
    assert text != FULL
    assert not _VALIDATOR.is_valid(parse(text.encode()).data)


def test_every_key_is_described() -> None:
    governance = json.loads(governance_schema_text())
    own = {"governance": {"properties": governance["properties"]}}
    parts = {**json.loads(schema_text())["$defs"], **governance["$defs"], **own}
    undescribed = [
        f"{part}.{key}"
        for part, content in parts.items()
        for key, value in content["properties"].items()
        if "description" not in value
    ]
    assert undescribed == []


def test_only_a_declaration_inside_the_project_names_the_schema(tmp_path: Path) -> None:
    assert schema_line(tmp_path) == ""
    line = schema_line(DEFS / "new_one")
    assert line == "# yaml-language-server: $schema=../../../docs/defs.schema.json\n"


def test_the_declaration_pages_name_every_key_and_word() -> None:
    page = re.sub(r"```.*?```", "", _declaration_pages(), flags=re.DOTALL)
    words = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", page))))
    parts = schema()["$defs"].values()
    keys = {key for part in parts for key in part["properties"]}
    assert keys - {"attributes"} <= words
    assert {word for part in parts for word in _literals(part)} <= words


@pytest.mark.parametrize("kind", [Tabm, Cnn, Gru, Tcn, Transformer, OwnModule])
def test_the_declaration_pages_name_each_default_in_which_a_network_differs_from_an_mlp(
    kind: type[BaseModel],
) -> None:
    named = "python" if kind is OwnModule else kind.__name__.lower()
    lines = _declaration_pages().splitlines()
    rows = [line for line in lines if line.startswith("| ") and f"`{named}`" in line.split("|")[1]]
    written = " ".join(rows)
    for key in kind.model_fields.keys() & Mlp.model_fields.keys() - {"kind"}:
        default = kind.model_fields[key].default
        if default != Mlp.model_fields[key].default:
            value = json.dumps(default).replace('"', "")
            assert f"`{key}: {value}`" in written


def test_the_page_about_the_ai_act_names_every_key_and_word_of_governance() -> None:
    page = re.sub(r"```.*?```", "", (PROJECT / "docs" / "ai-act.md").read_text(), flags=re.DOTALL)
    words = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", page))))
    whole = governance_schema()
    parts = [{"properties": whole["properties"]}, *whole["$defs"].values()]
    assert {key for part in parts for key in part["properties"]} <= words
    assert {word for part in whole["$defs"].values() for word in _literals(part)} <= words


def test_the_declaration_pages_name_the_defaults_of_models() -> None:
    page = _declaration_pages()
    for model in (
        "Mlp",
        "RandomForest",
        "GradientBoosting",
        "LightGbm",
        "Linear",
        "Gru",
        "Tcn",
        "Transformer",
    ):
        for key, value in schema()["$defs"][model]["properties"].items():
            default = value.get("default")
            if default is not None:
                assert f"`{key}: {default}`" in page, (model, key, default)


def _declaration_pages() -> str:
    pages = ("declare.md", "train.md", "evaluate.md")
    return "\n".join((PROJECT / "docs" / page).read_text() for page in pages)


def _literals(value: Any) -> set[str]:
    """Return every word that an enumeration anywhere in a schema allows."""
    if isinstance(value, list):
        return {word for item in value for word in _literals(item)}
    if not isinstance(value, dict):
        return set()
    own = {word for word in value.get("enum", ()) if isinstance(word, str)}
    return own.union(*(_literals(item) for key, item in value.items() if key != "enum"))
