"""What may be declared of the champion and of its answers, and what that does not change."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.spec import Pipeline
from factory_resources.errors import DeclarationError
from tests.pipelines import APPLES, declare, write_apples


def _declared(folder: Path, **deploy: Any) -> Pipeline:
    write_apples(folder)
    return declare(folder, {**APPLES, **({"deploy": deploy} if deploy else {})})


def test_it_is_kept_unless_declared_otherwise(tmp_path: Path) -> None:
    plain = _declared(tmp_path / "apples")
    assert plain.spec.deploy.after_erasure == "keep"
    assert "after_erasure" not in str(plain.spec.model_dump(mode="json"))
    unchanged = declaration_digest(plain)
    kept = _declared(tmp_path / "apples", after_erasure="keep")
    assert declaration_digest(kept) == unchanged
    stopped = _declared(tmp_path / "apples", after_erasure="stop")
    assert stopped.spec.deploy.after_erasure == "stop"
    assert declaration_digest(stopped) != unchanged


def test_declaring_it_exports_nothing_again(tmp_path: Path) -> None:
    specs = [
        relevant_spec(_declared(tmp_path / "apples", **deploy), "deploy")
        for deploy in (
            {},
            {"after_erasure": "stop"},
            {"log": {"keep": "3y"}},
            {"log": {"keys": "size"}},
        )
    ]
    assert specs[0] == specs[1] == specs[2] == specs[3]


def test_another_word_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        _declared(tmp_path / "apples", after_erasure="stopp")
    assert "after_erasure" in str(caught.value)
    assert "stop" in str(caught.value)
    assert (tmp_path / "apples" / "defs.yaml").exists()
    with pytest.raises(DeclarationError):
        load_pipeline(tmp_path / "apples")


def test_keys_are_columns_of_the_source(tmp_path: Path) -> None:
    plain = _declared(tmp_path / "apples", log={"keep": "3y"})
    assert "keys" not in str(plain.spec.model_dump(mode="json"))
    keyed = _declared(tmp_path / "apples", log={"keys": "colour"})
    assert keyed.spec.deploy.log.keys == ("colour",)
    write_apples(tmp_path / "apples")
    for keys, words in (
        (["id"], "scored files have a column 'id' of their own"),
        (["shade"], "no column 'shade'; valid: size, colour, label"),
        (["twice"], "'twice' is computed, so that no request brings it; name a column"),
    ):
        with pytest.raises(DeclarationError) as error:
            declare(
                tmp_path / "apples",
                {
                    **APPLES,
                    "clean": {"derive": {"twice": "size * 2"}},
                    "deploy": {"log": {"keys": keys}},
                },
            )
        assert words in str(error.value)
