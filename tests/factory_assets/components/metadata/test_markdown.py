"""Data on the asset pages is shown as plain text, whatever it contains."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.components.metadata.markdown import table

HOSTILE = st.text(st.sampled_from("|\\`<>[]()!&#*_\n\r\t\u2028\u202e\x1b\x00 ab"), max_size=45)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("![x](http://127.0.0.1/x.png)", "!\\[x](http://127.0.0.1/x.png)"),
        ("a | b\n| c |", "a \\| b \\| c \\|"),
        ("`code` &lt;b&gt;", "'code' &amp;lt;b&amp;gt;"),
        ("\x1b[2J\u202eabc\r", " \\[2J abc "),
        (None, ""),
        (0.1, "0.1"),
        ("x" * 41, "x" * 39 + "…"),
    ],
)
def test_a_cell_is_escaped_and_shortened(value: object, shown: str) -> None:
    assert table(["a"], [[value]]).splitlines()[2] == f"| {shown} |"


@given(st.lists(st.lists(HOSTILE, min_size=2, max_size=2), max_size=4), HOSTILE)
def test_no_cell_breaks_out_of_the_table(rows: list[list[str]], name: str) -> None:
    lines = table([name, "b"], rows).split("\n")
    assert len(lines) == len(rows) + 2
    for line in lines:
        assert line.isprintable()
        # Without escaped characters, only the three bars of two columns remain.
        plain = re.sub(r"\\.", "", line)
        assert plain.count("|") == 3
        assert not {"<", "[", "`"} & set(plain)
