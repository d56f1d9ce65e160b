"""A row of a logged request is read as all of them together are."""

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from factory_assets.serving.online.column_request import encode_columns
from factory_resources.errors import StorageError
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.one_row import logged_row
from tests.factory_resources.prediction_log.samples import record


@dataclass(frozen=True)
class Case:
    name: str
    input: bytes


_KINDS = ("<f8", "<f4", "<f2", ">f8", "<i8", ">i4", "<i2", "|i1", "<u8", "<u4", "|u1", "|b1")

CASES = [
    Case("objects", b'[{"a":1.5,"b":null},{"a":2,"b":"x"}]'),
    Case(
        "columns",
        encode_columns(
            {kind: np.array([0, 1, 1], kind) for kind in _KINDS}
            | {"missing": np.array([1.0, math.nan, 0.1]), "text": ["x", None, "é"]}
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_row_is_what_it_is_among_all(case: Case) -> None:
    logged = msgspec.structs.replace(record(), input=case.input)
    rows = logged_rows(logged)
    assert len(rows) > 1
    found = [logged_row(logged, number) for number in range(len(rows))]
    assert found == rows
    assert _types(found) == _types(rows)


def _types(rows: Any) -> list[list[type]]:
    return [[type(cell) for cell in row.values()] for row in rows]


@pytest.mark.parametrize(
    ("written", "read"),
    [("NaN", "nan"), ("-Infinity", "-infinity"), (r'"x\ud800"', "x?")],
)
def test_what_older_packs_wrote_is_read(written: str, read: str) -> None:
    logged = msgspec.structs.replace(record(), input=f'[{{"a": {written}, "b": 1}}]'.encode())
    assert logged_rows(logged) == [{"a": read, "b": 1}]
    assert logged_row(logged, 0) == {"a": read, "b": 1}


def test_a_refused_request_has_no_row() -> None:
    assert logged_row(msgspec.structs.replace(record(), input=b""), 0) is None


@pytest.mark.parametrize("content", [b"[", b"[{}]", b"\xc1", msgspec.msgpack.encode({"lists": {}})])
def test_a_damaged_row_is_told_in_one_line(content: bytes) -> None:
    logged = msgspec.structs.replace(record(), input=content)
    with pytest.raises(StorageError, match="rows of a logged prediction cannot be read"):
        logged_row(logged, 3)
