"""Values between SQLite and PostgreSQL, and the digest of rows."""

import pytest

from factory_resources.migration.values import (
    RowDigest,
    ValueTypeError,
    line_encoder,
    number_decoder,
)


def test_a_row_is_a_line_of_copy() -> None:
    encode = line_encoder(["integer", "integer", "number", "text", "bytes"])
    rows = [[None, 1, 0.1, "a\tb\\N\n\r", b"\x00\\"], [2, None, None, None, None]]
    assert encode(rows) == [
        b"\\N\t1\t0.1\ta\\tb\\\\N\\n\\r\t\\\\x005c\n",
        b"2\t\\N\t\\N\t\\N\t\\N\n",
    ]
    assert encode([]) == []


def test_a_nul_in_a_text_is_refused() -> None:
    for rows in ([["a\0b"]], [["a"], ["\0"], [None]]):
        with pytest.raises(ValueTypeError, match="the character NUL"):
            line_encoder(["text"])(rows)


def test_the_digest_of_rows_does_not_depend_on_their_order_but_on_each_value() -> None:
    rows = line_encoder(["integer", "text"])([[number, f"row {number}"] for number in range(51)])
    one, two, other = RowDigest(), RowDigest(), RowDigest()
    for line in rows[:-1]:
        one.add(line)
    for line in reversed(rows[:-1]):
        two.add(line)
    for line in rows[1:]:
        other.add(line)
    assert one == two
    assert one != other


def test_values_of_both_engines_get_one_form() -> None:
    encode = line_encoder(["moment", "moment", "number", "boolean", "text", "bytes"])
    sqlite = ["2026-01-31 02:00:00", "2026-01-31 02:00:00.000001", 3, 1, None, b"a"]
    postgres = [
        "2026-01-31 02:00:00.000000", "2026-01-31 02:00:00.000001", 3.0, True, None,
        memoryview(b"a"),
    ]  # fmt: skip
    assert encode([sqlite]) == encode([postgres])


def test_a_number_of_postgresql_is_written_as_python_does() -> None:
    decode = number_decoder(["text", "number", "number"])
    assert decode(b"1e+15\t1e+15\t\\N\n") == b"1e+15\t1000000000000000.0\t\\N\n"
    assert number_decoder(["text"])(b"1e+15\n") == b"1e+15\n"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("text", b"a"), ("bytes", "a"), ("integer", "1"), ("number", "x"), ("boolean", 2),
     ("moment", "noon")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ValueTypeError):
        line_encoder([kind])([[value]])  # type: ignore[list-item]
