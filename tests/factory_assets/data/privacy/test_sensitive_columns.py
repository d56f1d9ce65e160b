"""Columns computed from sensitive ones are sensitive; error messages repeat no data."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.privacy.sensitive_columns import (
    redact_errors,
    sensitive_columns,
    sensitive_misuses,
)
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, FactoryError, StorageError
from factory_resources.home.home import Home
from tests.data_stages import pipeline
from tests.postgres import Postgres

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


def test_a_computed_column_has_the_strictest_level_of_its_origins(tmp_path: Path) -> None:
    derive = {"a": "lower(who)", "b": "a || city", "c": "day + 1", "d": "length(city)"}
    windows = {"by": "day", "order": "day", "size": 3, "columns": ["dose"], "statistics": ["mean"]}
    declared = _declared(tmp_path, clean={"derive": derive, "windows": windows})
    assert sensitive_columns(declared) == {
        "Who": "secret",
        "born": "secret",
        "city": "personal",
        "dose": "personal",
        "a": "secret",
        "b": "secret",
        "d": "personal",
        "dose_mean": "personal",
    }


def _misused(declared: Any) -> list[tuple[str, str]]:
    return [(where, what.partition(" ")[0]) for where, what in sensitive_misuses(declared)]


def test_a_secret_input_is_a_misuse_unless_it_is_excluded(tmp_path: Path) -> None:
    places = [("train.exclude", "'Who'"), ("train.exclude", "'born'")]
    assert _misused(_declared(tmp_path)) == places
    train = {"target": "y", "exclude": ["Who", "born"], "model": {"kind": "linear"}}
    assert _misused(_declared(tmp_path, train=train)) == []
    declared = _declared(tmp_path, train=train, clean={"derive": {"year": "year(born)"}})
    assert _misused(declared) == [("train.exclude", "'year'")]
    declared = _declared(tmp_path, train=train, deploy={"log": {"keys": ["Who", "city"]}})
    assert _misused(declared) == [("deploy.log.keys", "'Who'")]


@pytest.mark.parametrize(
    ("model", "order", "misused"),
    [
        ({"kind": "linear"}, "day", ["'born'"]),
        ({"kind": "linear"}, "born", []),
        ({"kind": "gru", "by": "day", "order": "born"}, None, []),
        ({"kind": "cnn", "image": "city"}, None, []),
    ],
)
def test_a_secret_date_may_order_rows_and_be_beside_what_networks_read(
    tmp_path: Path, model: dict[str, Any], order: str | None, misused: list[str]
) -> None:
    windows = {"by": "y", "order": order, "size": 3, "columns": ["day"]} if order else None
    train = {"target": "y", "exclude": ["Who"], "model": model}
    declared = _declared(tmp_path, train=train, clean={"windows": windows}, split={"time": "born"})
    assert _misused(declared) == [("train.exclude", name) for name in misused]


def test_groups_of_uncertainty_must_not_be_sensitive(tmp_path: Path) -> None:
    train = {"target": "y", "exclude": ["Who", "born"], "model": {"kind": "linear"}}
    for by, misuses in (("city", ["train.uncertainty.by"]), ("y", [])):
        declared = _declared(tmp_path, train={**train, "uncertainty": {"by": by}})
        assert [where for where, _ in sensitive_misuses(declared)] == misuses


def _fails(folder: Path, message: str, error: Exception, kind: type[FactoryError]) -> None:
    """Raise an error of the factory as a stage does if a library fails inside it."""
    with redact_errors(_declared(folder)):
        try:
            raise error
        except type(error) as cause:
            raise kind(message.format(cause), where="x", remedy="mend it") from cause


def test_messages_of_libraries_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as error:
        _fails(tmp_path, "failed: {}", ValueError("bad value 'Ann'"), ContractError)
    assert "Ann" not in str(error.value)
    assert str(error.value).endswith("mend it")
    assert error.value.__cause__ is None


def test_messages_of_the_factory_stay(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="5 rows too many") as error:
        _fails(tmp_path, "5 rows too many", ValueError("Ann"), ContractError)
    assert error.value.__cause__ is None
    with pytest.raises(StorageError, match="disk full"):
        _fails(tmp_path, "cannot write ({})", OSError("disk full"), StorageError)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT n::int AS y FROM people", "details are hidden, as some columns are sensitive"),
        ("SELECT id AS y FROM people", "details are hidden, as some columns are sensitive"),
        ("SELECT nam AS y FROM people", 'column "nam" does not exist'),
    ],
)
def test_a_value_that_a_database_quotes_is_not_repeated(
    query: str,
    said: str,
    postgres: Postgres,
    tmp_path: Path,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgres.database() as url:
        table = "CREATE TABLE people AS SELECT 'Ann'::text AS n, 12345678901234567::numeric AS id"
        postgres.execute(table, database=url)
        monkeypatch.setenv("PEOPLE_DB", url)
        source = {"database": "PEOPLE_DB", "query": query}
        declared = _declared(tmp_path, ingest={"source": source, "contract": _COLUMNS})
        with pytest.raises(FactoryError) as error, redact_errors(declared):
            ingest(declared, home)
    assert said in str(error.value)
    assert "Ann" not in str(error.value)
    assert "123456" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("attribute", ["{Eve}", "numeric", "date yyyy-MM-dd"])
def test_a_value_that_does_not_fit_its_attribute_is_not_repeated(
    attribute: str, tmp_path: Path, home: Home
) -> None:
    header = f"@relation people\n@attribute Who {attribute}\n@attribute y numeric\n"
    (tmp_path / "data.arff").write_text(f"{header}@data\nAnn,1\n")
    columns = [_COLUMNS[0], _COLUMNS[-1]]
    declared = pipeline(tmp_path, ingest={"source": {"files": "data.arff"}, "contract": columns})
    with (
        pytest.raises(FactoryError, match=r"data\.arff:5: the data is not valid; det") as error,
        redact_errors(declared),
    ):
        ingest(declared, home)
    assert "Ann" not in str(error.value)


def test_an_unexpected_error_loses_its_message_but_not_its_traceback(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="KeyError; its message is hidden") as error,
        redact_errors(_declared(tmp_path)),
    ):
        raise KeyError("Ann")
    assert error.value.__suppress_context__
    with pytest.raises(KeyError, match="Ann"), redact_errors(pipeline(tmp_path, files="data.csv")):
        raise KeyError("Ann")
