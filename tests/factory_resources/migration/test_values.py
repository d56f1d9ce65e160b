"""Values between SQLite and PostgreSQL, and the digest of rows."""

import pytest

from factory_resources.migration.values import RowDigest, ValueTypeError, from_sqlite, line_of


def test_a_row_is_a_line_of_copy() -> None:
    row = [None, 1, 0.1, "a\tb\\N\n\r", b"\x00\\"]
    assert line_of(row) == b"\\N\t1\t0.1\ta\\tb\\\\N\\n\\r\t\\\\x005c\n"


def test_a_nul_in_a_text_is_refused() -> None:
    with pytest.raises(ValueTypeError, match="the character NUL"):
        line_of(["a\0b"])


def test_the_digest_of_rows_does_not_depend_on_their_order_but_on_each_value() -> None:
    rows = [line_of([number, f"row {number}"]) for number in range(50)]
    one, two, other = RowDigest(), RowDigest(), RowDigest()
    for line in rows:
        one.add(line)
    for line in reversed(rows):
        two.add(line)
    for line in [*rows[:-1], line_of([49, "row 48"])]:
        other.add(line)
    assert one == two
    assert one != other


def test_sqlite_values_get_one_form() -> None:
    convert = from_sqlite(["moment", "moment", "number", "boolean", "text"])
    row = ["2026-01-31 02:00:00", "2026-01-31 02:00:00.000001", 3, 1, None]
    assert convert(row) == [
        "2026-01-31 02:00:00.000000", "2026-01-31 02:00:00.000001", 3.0, 1, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [("text", b"a"), ("bytes", "a"), ("integer", "1"), ("number", "x"), ("boolean", 2),
     ("moment", "noon")],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ValueTypeError):
        from_sqlite([kind])([value])  # type: ignore[list-item]
