"""What is made of sensitive columns is sensitive; messages keep what others wrote to themselves."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.privacy.sensitive_columns import (
    redact_errors,
    sensitive_columns,
    sensitive_misuses,
)
from factory_resources.errors import ContractError, FactoryError, StorageError
from tests.data_stages import pipeline

_COLUMNS = [
    {"name": "Who", "type": "string", "sensitive": "secret"},
    {"name": "born", "type": "date", "sensitive": "secret"},
    {"name": "city", "type": "string", "sensitive": "personal"},
    {"name": "dose", "type": "float64", "sensitive": "personal"},
    {"name": "day", "type": "int64"},
    {"name": "y", "type": "int64"},
]


def _declared(folder: Path, **parts: Any) -> Any:
    ingest = {"source": {"files": "data.csv"}, "contract": _COLUMNS}
    return pipeline(folder, **{"ingest": ingest, **parts})


def test_what_is_made_of_them_is_as_they_are(tmp_path: Path) -> None:
    derive = {"a": "lower(who)", "b": "a || city", "c": "day + 1", "d": "length(city)"}
    windows = {"by": "day", "order": "day", "size": 3, "columns": ["dose"], "statistics": ["mean"]}
    made = _declared(tmp_path, clean={"derive": derive, "windows": windows})
    assert sensitive_columns(made) == {
        "Who": "secret",
        "born": "secret",
        "city": "personal",
        "dose": "personal",
        "a": "secret",
        "b": "secret",
        "d": "personal",
        "dose_mean": "personal",
    }


def test_a_secret_is_no_input_unless_it_is_no_input_anyway(tmp_path: Path) -> None:
    places = [
        (where, what.partition(" ")[0]) for where, what in sensitive_misuses(_declared(tmp_path))
    ]
    assert places == [("train.exclude", "'Who'")]
    train = {"target": "y", "exclude": ["Who"], "model": {"kind": "linear"}}
    assert list(sensitive_misuses(_declared(tmp_path, train=train))) == []
    made = _declared(tmp_path, train=train, clean={"derive": {"year": "year(born)"}})
    assert [where for where, _ in sensitive_misuses(made)] == ["train.exclude"]


def _fails(folder: Path, told: str, error: Exception, kind: type[FactoryError]) -> None:
    """As a stage does when something else fails inside it."""
    with redact_errors(_declared(folder)):
        try:
            raise error
        except type(error) as cause:
            raise kind(told.format(cause), where="x", remedy="mend it") from cause


def test_words_of_others_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as told:
        _fails(tmp_path, "failed: {}", ValueError("bad value 'Ann'"), ContractError)
    assert "Ann" not in str(told.value)
    assert str(told.value).endswith("mend it")
    assert told.value.__cause__ is None


def test_our_own_words_stay(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="5 rows too many") as told:
        _fails(tmp_path, "5 rows too many", ValueError("Ann"), ContractError)
    assert told.value.__cause__ is None
    with pytest.raises(StorageError, match="disk full"):
        _fails(tmp_path, "cannot write ({})", OSError("disk full"), StorageError)


def test_an_error_that_is_nobodys_mistake_loses_its_words_not_its_place(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="KeyError; its words are not shown") as told,
        redact_errors(_declared(tmp_path)),
    ):
        raise KeyError("Ann")
    assert told.value.__suppress_context__
    with pytest.raises(KeyError, match="Ann"), redact_errors(pipeline(tmp_path, files="data.csv")):
        raise KeyError("Ann")
