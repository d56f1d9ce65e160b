"""The bodies of MLflow's protocol become rows, or one line that says what is wrong with them."""

import csv
import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.invocations import encode, read
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.online.request_rows import CompiledRequest
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.http.cases import ROW, call_of, line_of, outcome

pytestmark = pytest.mark.slow

CSV = {b"content-type": b"text/csv; charset=utf-8"}

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), min_size=1)


def rows_of(served: ServedModel, body: Any, headers: Any = None, **limits: int) -> Any:
    return read(call_of(served, body, "mlflow", headers), Limits(**limits))


def test_all_shapes_are_the_same_rows(served: ServedModel) -> None:
    names, cells = [*ROW], [*ROW.values()]
    for body in (
        {"dataframe_split": {"columns": names, "data": [cells, cells]}},
        {"dataframe_split": {"columns": names, "index": [0, 1], "data": [cells, cells]}},
        {"dataframe_records": [ROW, ROW]},
        {"instances": [ROW, ROW]},
        {"inputs": {name: [value, value] for name, value in ROW.items()}},
        {"inputs": {name: [[value], [value]] for name, value in ROW.items()}},
    ):
        found = rows_of(served, body)
        assert isinstance(found, CompiledRequest), body
        assert found.objects() == [ROW, ROW]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_csv_arrives_as_it_was_written(served: ServedModel, cells: list[tuple[str, str]]) -> None:
    written = io.StringIO()
    csv.writer(written).writerows([("colour", "code"), *cells])
    found = rows_of(served, written.getvalue().encode(), CSV)
    assert [(row["colour"], row["code"]) for row in found.objects()] == cells


@pytest.mark.parametrize(
    ("kind", "body"),
    [(b"Application/JSON", {"instances": [ROW]}), (b"TEXT/CSV; header=present", b"label\ngood\n")],
)
def test_a_type_is_read_in_any_case(served: ServedModel, kind: bytes, body: Any) -> None:
    assert len(rows_of(served, body, {b"content-type": kind})) == 1


@given(st.binary(max_size=200))
def test_whatever_is_sent_as_csv_is_rows_or_an_error_of_the_caller(
    served: ServedModel, body: bytes
) -> None:
    found = outcome(lambda: rows_of(served, body, CSV))
    assert found.status == 400 if isinstance(found, HttpError) else len(found) > 0


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n", b"\xef\xbb\xbf", b"size,colour\n"])
def test_csv_without_a_row_is_refused(body: bytes, served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        rows_of(served, body, CSV)
    assert "there is no row" in line_of(error)


@pytest.mark.parametrize("line", [b"1\n", b"\n", b'""\n'])
def test_a_csv_of_many_short_lines_takes_little_room(line: bytes, served: ServedModel) -> None:
    body = b"steps\n" + line * (1_000_000 // len(line))
    tracemalloc.start()
    try:
        with pytest.raises(HttpError):
            rows_of(served, body, CSV, rows=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "not a JSON object"),
        ({}, "0 of the known keys"),
        ({"inputs": {}, "instances": []}, "2 of the known keys"),
        ({"dataframe_split": 5}, "is not an object"),
        ({"dataframe_split": {"columns": "ab", "data": []}}, "lacks `columns` or `data`"),
        ({"dataframe_split": {"columns": ["a"], "data": []}}, "there is no row"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}, "row 1 of"),
        ({"dataframe_split": {"columns": ["a"], "data": ["x"]}}, "row 0 of"),
        ({"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "'a' is sent twice"),
        ({"dataframe_split": {"columns": [1, "1"], "data": [[1, 2]]}}, "'1' is sent twice"),
        ({"dataframe_records": {"a": 1}}, "not a row"),
        ({"dataframe_records": [1]}, "not a row"),
        ({"inputs": 5}, "not a mapping"),
        ({"inputs": {"a": 5}}, "not a mapping"),
        ({"inputs": {}}, "there is no row"),
        ({"inputs": {"a": [1], "b": []}}, "differ in length"),
        ({"inputs": {"a": []}}, "there is no row"),
        ({"inputs": []}, "there is no row"),
    ],
    ids=range(18),
)
def test_a_wrong_shape_is_named(body: Any, words: str, served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        rows_of(served, body)
    assert words in line_of(error)


def test_a_long_name_is_not_repeated_whole(served: ServedModel) -> None:
    name = "\x7f" * 100_000
    with pytest.raises(HttpError) as error:
        rows_of(served, {"dataframe_split": {"columns": [name, name], "data": [[1, 2]]}})
    assert len(line_of(error)) < 3_000
    assert line_of(error).endswith("…; send each column once")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"a,a\n1,2\n", "'a' is sent twice"),
        (b"a,b\n1\n", "row 0 has 1 cells, the header 2"),
        (b'a\n"x', "not CSV"),
        (b"a\n\xff\n", "not CSV"),
        (b"a\n" + b"x" * 200_000, "not CSV"),
    ],
    ids=range(5),
)
def test_wrong_csv_is_named(body: bytes, words: str, served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        rows_of(served, body, CSV)
    assert words in line_of(error)


def test_rows_have_a_limit_in_every_shape(served: ServedModel) -> None:
    for body, headers in (
        ({"dataframe_split": {"columns": ["a"], "data": [[1]] * 4}}, None),
        ({"dataframe_records": [ROW] * 4}, None),
        ({"inputs": {"a": [1] * 4}}, None),
        (b"a\n1\n2\n3\n4\n", CSV),
    ):
        with pytest.raises(HttpError) as error:
            rows_of(served, body, headers, rows=3)
        assert "at most 3" in line_of(error, 413)


def test_another_type_of_body_is_refused(served: ServedModel) -> None:
    with pytest.raises(HttpError) as error:
        rows_of(served, b"\x93NUMPY", {b"content-type": b"application/x-npy"})
    told = "the header content-type is 'application/x-npy'; send application/json or text/csv"
    assert line_of(error, 415) == told


def test_an_answer_has_an_id_for_each_row(served: ServedModel) -> None:
    call = call_of(served, {"dataframe_records": [ROW] * 3}, "mlflow")
    found = read(call, Limits())
    answer = json.loads(encode(call, found.score(served), bytes(16)))
    assert len(answer["predictions"]) == 3
    assert len({*answer["prediction_ids"]}) == 3
    assert answer["version"] == served.version
