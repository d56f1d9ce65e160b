"""Which contracts are valid, and what is wrong with the others."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.spec import Column, Contract, Ingest
from tests.data_stages import pipeline

_T = {"name": "t", "type": "timestamp"}
_X = {"name": "x", "type": "float64"}


@pytest.mark.parametrize("short", [[_T, _X], {"columns": [_T, _X]}])
def test_a_list_is_short_for_its_columns(short: Any) -> None:
    ingest = Ingest.model_validate({"source": {"files": "a.csv"}, "contract": short})
    assert ingest.contract == Contract.model_validate({"columns": [_T, _X]})


def test_a_path_is_short_for_a_file() -> None:
    ingest = Ingest.model_validate({"source": {"files": "a.csv"}, "contract": "c.odcs.yaml"})
    assert ingest.contract.file == "c.odcs.yaml"


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({"columns": [_T, _T]}, "contract names column 't' twice"),
        ({"columns": [_X], "unique": [["x", "z"]]}, "contract.unique: no column 'z'; valid: x"),
        ({"unique": [["x", "x"]]}, "each entry must be a list of different columns"),
        ({"rows": {}}, "rows needs `at_least` or `at_most`"),
        ({"rows": {"at_least": 5, "at_most": 4}}, "at_least 5 is more than at_most 4"),
        ({"columns": [_X], "freshness": {"column": "x", "within": "2d"}}, "'x' is float64, not"),
        (
            {
                "columns": [{**_T, "sensitive": "personal"}],
                "freshness": {"column": "t", "within": "2d"},
            },
            "'t' is sensitive",
        ),
        ({"columns": [_T], "freshness": {"column": "t", "within": "2 days"}}, "match pattern"),
        ({"columns": [_X], "distribution": {"columns": ["y"]}}, "no column 'y'"),
        ({"file": "a.yaml", "rows": {"at_least": 1}}, "rows belongs in the contract file"),
        ({"table": "orders"}, "table needs `file`"),
    ],
)
def test_invalid_contract_is_refused(contract: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("`", ".")):
        Ingest.model_validate({"source": {"files": "a.csv"}, "contract": contract})


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"range": [2, 1]}, "is reversed"),
        ({"range": ["2024-02-01", "2024-01-01"]}, "is reversed"),
        ({"range": ["2024-02-30", None]}, "is not a date"),
        ({"range": ["2024-02-01T00:00Z", None]}, "has an offset"),
        ({"range": [1, "2024-01-01"]}, "needs numbers"),
        ({"type": "date", "range": [1, None]}, "needs dates"),
        ({"type": "string", "range": [1, None]}, "is for numbers and dates"),
        ({"type": "int64", "pattern": "1"}, "pattern of column 'x' is for strings"),
        ({"type": "date", "length": [1, 2]}, "length of column 'x' is for strings"),
        ({"length": [3, 2]}, "is reversed"),
        ({"range": [10**400, None]}, "a number has at most 308 digits before the point"),
        ({"type": "timestamp", "timezone": "localtime"}, "'localtime' is a zone of this machine"),
        ({"type": "timestamp", "timezone": "right/UTC"}, "'right/UTC' is a zone of this machine"),
    ],
)
def test_bounds_must_fit_the_type(column: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Column.model_validate({"name": "x", **column})


def test_a_period_of_time_has_no_freshness(tmp_path: Path) -> None:
    contract = {"columns": [_T, _X], "freshness": {"column": "t", "within": "2d"}}
    parts = {
        "ingest": {"source": {"files": "{day}.csv"}, "contract": contract},
        "partitions": {"day": {"every": "day", "start": "2024-01-01"}},
    }
    with pytest.raises(ValidationError, match="only gets older"):
        pipeline(tmp_path, "x", **parts)
