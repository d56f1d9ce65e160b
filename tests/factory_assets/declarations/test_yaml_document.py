"""YAML as people write it, with its oddities."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.declarations.machines import load_machines
from factory_assets.declarations.yaml_document import MAX_BYTES, NotYaml, parse, scalar
from factory_resources.errors import FactoryError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 17),
        ("+1", 1),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2024-01-31", "2024-01-31"),
        ("1e", "1e"),
        ("9" * 5000, "9" * 5000),
        ("0x" + "f" * 5000, "0x" + "f" * 5000),
        ("0x" + "f" * 3570, "0x" + "f" * 3570),
        ("0o" + "7" * 5000, "0o" + "7" * 5000),
    ],
)
def test_unquoted_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


@pytest.mark.parametrize("text", ["9", "0x" + "f", "0o" + "7"])
def test_every_number_can_be_told(text: str) -> None:
    values = [scalar(text + text[-1] * length) for length in range(3400, 5000, 7)]
    assert {type(value) for value in values} == {int, str}
    assert all(str(value) for value in values)


def test_document_knows_the_lines_of_keys_and_values() -> None:
    document = parse(b'a:\n  b: 1\n  c:\n    - x\n    - {d: 2,\n       e: "3"}\nf:\ng: |\n  t\n')
    assert document.data == {"a": {"b": 1, "c": ["x", {"d": 2, "e": "3"}]}, "f": None, "g": "t\n"}
    assert document.key_line(("a", "c")) == 3
    assert document.value_line(("a", "c", 1)) == 5
    assert document.key_line(("a", "c", 1, "e")) == 6
    assert document.value_line(("f",)) == 7
    assert document.value_line(("a", "c", 1, "missing", "deeper")) == 5
    assert document.value_line(("nowhere",)) == 1


def test_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    document = parse("a: 1\r\nb:\r\n  - ü\r\n".encode("utf-8-sig"))
    assert document.data == {"a": 1, "b": ["ü"]}
    assert document.value_line(("b", 0)) == 3


def test_a_key_in_quotes_may_begin_with_a_no_break_space() -> None:
    assert parse('"\xa0a": 1\nb: \xa0c\n'.encode()).data == {"\xa0a": 1, "b": "\xa0c"}


def test_repeated_keys_are_reported_at_any_depth() -> None:
    document = parse(b"a: 1\nb:\n  - c: 1\n    c: 2\na: 2\n")
    assert document.repeated == [(("b", 0, "c"), 3, 4), (("a",), 1, 5)]


def test_anchors_may_be_used_but_not_within_themselves() -> None:
    assert parse(b"a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}
    with pytest.raises(NotYaml, match=r"\*x refers to no &x"):
        parse(b"a: &x [*x]\n")


def test_a_merge_key_is_refused_with_its_line() -> None:
    for written in ("  <<: *x", "  <<: {c: 1}"):
        with pytest.raises(NotYaml, match=r"a merge key \(<<\).*write its keys out") as caught:
            parse(f"a: &x {{b: 1}}\nd:\n{written}\n".encode())
        assert caught.value.line == 3
    assert parse(b'"<<": 1\n').data == {"<<": 1}


def test_aliases_of_aliases_are_counted_and_nest() -> None:
    tenfold = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]
    few = "\n".join(["a0: &a0 [1, 2, 3]", *tenfold[:4]])
    assert len(parse(few.encode()).data["a4"]) == 10
    with pytest.raises(NotYaml, match="aliases stand for more than 500000 values") as caught:
        parse("\n".join([few, tenfold[4], "b: *a5", "c: *a5"]).encode())
    assert caught.value.line == 7
    deeper = [f"a{n}: &a{n} {'[' * 20}*a{n - 1}{']' * 20}" for n in range(1, 4)]
    assert parse("\n".join(["a0: &a0 {x: 1}", *deeper[:2]]).encode()).data["a0"] == {"x": 1}
    with pytest.raises(NotYaml, match="nested more than 50") as caught:
        parse("\n".join(["a0: &a0 {x: 1}", *deeper]).encode())
    assert caught.value.line == 4


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"a:\n\tb: 1\n", 2, "a tab"),
        (b"a: 1\nb:\n  c: 2\n\td: 3\n", 4, "a tab"),
        ("a:\n\xa0\xa0b: 1\n".encode(), 2, "a no-break space or the like; indent with spaces"),
        ("a:\n  b: 1\n  \u3000c: 1\n".encode(), 3, "indent with spaces"),
        (b"a: 1\ncron: * * * * *\n", 2, "in quotes"),
        ("a: 1\npurpose: „Tell: yes“\n".encode(), 2, 'in "…"'),
        (b"cron: @daily\n", 1, "cannot begin with @"),
        (b"a: 1\npurpose: Tell this: that\n", 2, "`: `"),
        (b"a: 1\nb: {{ env.X }}\n", 2, "quote"),
        (b"a: [1,\n  2\nb: 3\n", 3, "line 1"),
        (b"a: 1\nb: 'never\nends\n", 2, "end of stream"),
        (b"a:\n   b: 1\n  c: 2\n", 3, "is indented by 2, and the block of line 1 by 0; lines"),
        (b" a: 1\nb: 2\n", 2, "is indented by 0; lines that belong together"),
        (b"a:\n  b: 1\n  - c\n", 3, "an item (-) among the keys of the block of line 2;"),
        (b"a:\n  - b\n  c: 1\n", 3, "a key among the items (-) of the block of line 2;"),
        (b"a: 'b' c\n", 1, "not YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "second document"),
        (b"a: !!python/name:os.system\n", 1, "plain YAML"),
        (b"a: 1\nb: \xe9\n", 2, "not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "not UTF-8"),
        (b"a: 1\nb: \x00\n", 2, "does not allow"),
        (b"[" * 60, 1, "nested"),
        (b"a" * (MAX_BYTES + 1), 1, "bytes"),
    ],
)
def test_invalid_yaml_is_reported_with_its_line(content: bytes, line: int, message: str) -> None:
    with pytest.raises(NotYaml) as caught:
        parse(content)
    assert (caught.value.line, message in caught.value.message) == (line, True), caught.value


@pytest.mark.parametrize("load", [load_machines, lambda file: load_pipeline(file.parent)])
def test_a_pipe_is_not_read(tmp_path: Path, load: Callable[[Path], object]) -> None:
    for name in ("defs.yaml", "machines.yaml"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(FactoryError, match="not a file"):
        load(tmp_path / "machines.yaml")
