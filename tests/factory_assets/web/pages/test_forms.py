"""Forms with files: their fields, and what anybody who is logged in may send as one."""

from __future__ import annotations

import tracemalloc

import pytest

from factory_assets.web.pages.forms import _multipart

KIND = "multipart/form-data; boundary=--x"


def _part(name: str, content: str, more: str = "") -> str:
    return f'----x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{content}\r\n'


@pytest.mark.parametrize("kind", [KIND, 'Multipart/Form-Data; charset=utf-8; Boundary="--x"'])
def test_the_fields_are_read_byte_for_byte(kind: str) -> None:
    file = '; filename="a; name=%22b.json"\r\nContent-Type: application/json'
    body = _part("token", "é") + _part("file", '{"a":\r\n1}\r\n', file) + _part("text", "")
    fields = {"token": "é", "file": '{"a":\r\n1}\r\n', "text": ""}
    assert _multipart(kind, f"{body}----x--\r\n".encode()) == fields


@pytest.mark.parametrize("many", [20, 21])
def test_a_form_has_twenty_fields_at_most(many: int) -> None:
    body = "".join(_part(f"f{number}", "x") for number in range(many))
    assert len(_multipart(KIND, f"{body}----x--\r\n".encode())) == (many if many == 20 else 0)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", _part("a", "x")),
        (f"multipart/form-data; boundary={'(' * 20_000}", "x"),
        (KIND, ""),
        (KIND, _part("a", "x")),
        (KIND, "----x\r\n\r\nx\r\n----x--"),
        (KIND, "----x\r\nContent-Disposition: form-data\r\n\r\nx\r\n----x--"),
        (KIND, "----x\r\n" + "Content-Type: message/rfc822\r\n\r\n" * 2_000),
        (KIND, _part("a", "x", f"; x={'=?utf-8?q?a?= ' * 3_000}") + "----x--"),
    ],
)
def test_a_damaged_form_has_no_fields_and_takes_little(kind: str, body: str) -> None:
    tracemalloc.start()
    try:
        assert _multipart(kind, body.encode()) == {}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
