"""Bodies of the plain protocol become rows, or one line that says what is wrong with them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.rows import parse_json, read_rows, require_count, require_objects
from factory_assets.serving.online.request_rows import CompiledRequest, ObjectRequest
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.http.cases import ROW, line_of, outcome

LIMITS = Limits()

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
@example(b"\xef\xbb\xbf{}")
@example(b'{"a": "\\ud800"}')
@example(b"9" * 5_000)
def test_a_body_is_rows_or_an_error_of_the_caller(body: bytes) -> None:
    found = outcome(lambda: read_rows(body, None, LIMITS))
    if isinstance(found, HttpError):
        assert found.status == 400
        assert "\n" not in found.line
    else:
        rows, several = found
        sent = json.loads(body)
        assert list(rows.objects()) == (sent if several else [sent])


@pytest.mark.slow
def test_rows_that_satisfy_the_contract_are_decoded_by_it(served: ServedModel) -> None:
    one, several = read_rows(json.dumps(ROW).encode(), served.decoder, LIMITS)
    assert isinstance(one, CompiledRequest)
    assert not several
    assert [*one.objects()] == [ROW]
    two, several = read_rows(json.dumps([ROW, ROW]).encode(), served.decoder, LIMITS)
    assert isinstance(two, CompiledRequest)
    assert several
    assert len(two) == 2


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"steps": "many"}, {"Heat [K]": 5000}, {"colour": "blue"}])
def test_other_rows_are_left_as_they_are(change: dict[str, Any], served: ServedModel) -> None:
    rows, _ = read_rows(json.dumps({**ROW, **change}).encode(), served.decoder, LIMITS)
    assert isinstance(rows, ObjectRequest)
    assert rows.objects() == ({**ROW, **change},)


@pytest.mark.slow
def test_rows_have_a_limit_in_every_form(served: ServedModel) -> None:
    body = json.dumps([ROW] * 4).encode()
    for decoder in (served.decoder, None):
        with pytest.raises(HttpError) as error:
            read_rows(body, decoder, Limits(rows=3))
        assert "at most 3" in line_of(error, 413)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"NaN", "not JSON"),
        (b'{"a": 1e999}', "not JSON"),
        (b"\xff", "not JSON"),
        (b"{} {}", "not JSON"),
    ],
    ids=range(7),
)
def test_what_is_not_json_is_named(body: bytes, words: str) -> None:
    with pytest.raises(HttpError) as error:
        parse_json(body)
    assert words in line_of(error)


def test_json_may_begin_with_the_mark_that_editors_write() -> None:
    assert parse_json("\ufeff[5]".encode()) == [5]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'[{"b": 1}, {"a": 1, "\\u0061": 1}]',
        b'{"inputs": {"b": [1], "a": [1], "a": [2]}}',
        b'{"a": "1:2", "b": "x", "a": 1}',
    ],
    ids=range(4),
)
def test_a_key_is_sent_once(body: bytes) -> None:
    with pytest.raises(HttpError) as error:
        parse_json(body)
    assert line_of(error) == "the key 'a' is sent twice; send each key once"


@pytest.mark.slow
@pytest.mark.parametrize("value", ["4", '"3:4"'])
def test_a_row_that_satisfies_the_contract_has_each_key_once(
    value: str, served: ServedModel
) -> None:
    row = json.dumps(ROW)
    body = f'[{row}, {row[:-1]}, "code": "c2", "other": {value}}}]'
    with pytest.raises(HttpError) as error:
        read_rows(body.encode(), served.decoder, LIMITS)
    assert "the key 'code' is sent twice" in line_of(error)
    colons = json.dumps([{**ROW, "code": "a:b", "other": 1}, ROW]).encode()
    assert isinstance(read_rows(colons, served.decoder, LIMITS)[0], CompiledRequest)


@pytest.mark.parametrize("found", [5, "text", [1], [{}, None], None])
def test_rows_are_objects(found: Any) -> None:
    with pytest.raises(HttpError) as error:
        require_objects(found, LIMITS)
    assert "not a row or a list of rows" in line_of(error)


def test_there_is_at_least_one_row() -> None:
    with pytest.raises(HttpError) as error:
        require_count(0, LIMITS)
    assert "there is no row" in line_of(error)
    require_count(LIMITS.rows, LIMITS)
