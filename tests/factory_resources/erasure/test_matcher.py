"""The places of a value are those that a plain comparison finds, and its neighbours are judged."""

import itertools
import json
import os
from collections.abc import Iterator
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.erasure.matcher import Matcher
from factory_resources.erasure.values import Needle, Value, needles


def _plain(content: bytes, strings: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield all places of strings, one comparison after the other."""
    for string in strings:
        for start in range(len(content)):
            if content.startswith(string, start):
                yield start, string


@given(
    content=st.binary(max_size=60),
    cuts=st.lists(st.tuples(st.integers(0, 50), st.integers(4, 20)), min_size=1, max_size=6),
    others=st.lists(st.binary(min_size=4, max_size=20), max_size=3),
    before=st.sampled_from([0, 200, 230, 300]),
)
def test_all_places_are_found(
    content: bytes, cuts: list[tuple[int, int]], others: list[bytes], before: int
) -> None:
    taken = [content[first : first + length] for first, length in cuts]
    strings = sorted({one for one in [*taken, *others] if len(one) >= 4})
    content = bytes(before) + content
    matcher = Matcher([Needle(one, "binary") for one in strings])
    found = [(match.start, match.needle.content) for match in matcher.find(content)]
    assert sorted(found) == sorted(_plain(content, strings))


@pytest.mark.parametrize("length", range(4, 10))
@pytest.mark.parametrize("before", [20, 300])
def test_a_string_of_any_length_is_found_at_every_place(length: int, before: int) -> None:
    string = b"Zaphod Beeblebrox"[:length]
    matcher = Matcher([Needle(string, "binary")])
    for start in range(before, before + 8):
        content = bytes(start) + string + bytes(3)
        assert [match.start for match in matcher.find(content)] == [start]


def test_many_strings_are_found_in_content_that_takes_several_looks() -> None:
    strings = [os.urandom(8) for _ in range(2000)]
    content = b"".join(b"z" * (number % 7) + one for number, one in enumerate(strings)) * 20
    matcher = Matcher([Needle(one, "binary") for one in strings])
    assert sum(1 for _ in matcher.find(content)) == 40_000


def _finds(value: Value, text: str | bytes, *, in_text: bool = True) -> bool:
    content = text.encode() if isinstance(text, str) else text
    return any(True for _ in Matcher(needles([value])).find(content, in_text=in_text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4_200_424_242, "id=4200424242."),
        (4_200_424_242, '{"x": 4200424242.0, "y": 1}'),
        (4_200_424_242, "4,200,424,242 rows"),
        (4_200_424_242, "patient-4200424242.png"),
        (4_200_424_242, "id=%204200424242&x=1"),
        (420_042, f"no digest:{'ab' * 12}c420042"),
        (71.38091746, "| 71.3809 |"),
        (71.38091746, "71.38091746"),
        (123_456.0, "it is 123456, or so"),
        (datetime(2025, 8, 9, 10, 11, 12), "2025-08-09T10:11:12Z"),
        (datetime(2025, 8, 9, 10, 11, 12), "2025-08-09 10:11:12.000"),
        (datetime(2025, 8, 9, 10, 11, 12, 500_000), "2025-08-09 10:11:12.5"),
        (datetime(2025, 8, 9), "from 2025-08-09 on"),
        ("Zaphod", "to\\nZaphod\\n"),
        ("Zaphod", "%20Zaphod%20"),
        ("Zaphod", "\\u00e9Zaphod"),
        ("Zaphod", "<Zaphod>"),
        ("née 'Zaphod'", "n\\u00e9e 'Zaphod'"),
        ("née 'Zaphod'", repr("née 'Zaphod'")),
        ("née \"'Zaphod'", repr("née \"'Zaphod'")),
        ("née \"'Zaphod'", json.dumps({"error": repr("née \"'Zaphod'")})),
        ("née 'Zaphod'", "n%C3%A9e%20%27Zaphod%27"),
        ("a" * 20 + " Zaphod Beeblebrox", f"| {'a' * 20} Zaphod Beebl… |"),
        ("é" * 20 + " Zaphod Beeblebrox", '"' + "\\u00e9" * 20 + ' Zaphod Beebl\\u2026"'),
    ],
)
def test_a_value_counts(value: Value, text: str) -> None:
    assert _finds(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4_200_424_242, "14200424242"),
        (4_200_424_242, "42004242421"),
        (4_200_424_242, "0.4200424242"),
        (4_200_424_242, "4200424242.5"),
        (4_200_424_242, "4200424242e5"),
        (420_042, "sha256:" + "ab" * 13 + "420042" + "cd" * 16),
        (420_042, "run 0f3a4200-42ab-4420-9420-042bcdef0123"),
        (420_042, f"md5:{'ab' * 13}420042"),
        (71.38091746, "71.38092"),
        (71.38091746, "171.3809"),
        (datetime(2025, 8, 9, 10, 11, 12), "2025-08-09 10:11:12.5"),
        (datetime(2025, 8, 9, 10, 11, 12), "2025-08-09"),
        ("Zaphod", "Zaphodia"),
        ("Zaphod", "xZaphod"),
        ("Zaphod Beeblebrox", "Zaphod Beeblebroxes"),
        # Its neighbours are judged at both ends of a long text, too.
        ("Zaphod", "xZaphod" + " " * 300),
        ("Zaphod", " " * 300 + "xZaphod" + " " * 300),
        ("Zaphod", " " * 300 + "Zaphodia"),
        ("a" * 20 + " Zaphod Beeblebrox", f"| {'a' * 20} Zaphod Beebl |"),
        ("a" * 20 + " Zaphod Beeblebrox", f"| {'a' * 20} Zaphod Marvin… |"),
    ],
)
def test_what_is_part_of_something_else_does_not_count(value: Value, text: str) -> None:
    assert not _finds(value, text)


def test_a_day_within_a_moment_is_another_value() -> None:
    day = date(1987, 3, 14)
    for text in ("1987-03-14,", "1987-03-14 00:00:00", "1987-03-14T00:00", "born 1987-03-14 or so"):
        assert _finds(day, text)
    for text in ("1987-03-14 10:11:12", "1987-03-14T10:11", "1987-03-145", "11987-03-14"):
        assert not _finds(day, text)


@pytest.mark.parametrize("cut", [32, 33, 36])
@pytest.mark.parametrize("following", ["l", "€", "\u2013"])
def test_a_shortened_text_ends_at_its_ellipsis(cut: int, following: str) -> None:
    """The first bytes of a character that is cut off may be those of the ellipsis."""
    value = "a" * 20 + f" Zaphod Beeb{following}\u00a0{following}{following} 500 rows"
    shown = f"| {value[:cut]}".encode()
    found = Matcher(needles([value])).find(shown + "… |".encode())
    assert {(match.start, match.end) for match in found} == {(2, len(shown))}


def test_a_word_counts_anywhere_in_a_binary_file() -> None:
    assert _finds("Zaphod", b"\x00xZaphody\x00", in_text=False)
    assert not _finds("Zaphod", b"\x00xZaphody\x00")


@given(
    cells=st.lists(
        st.sampled_from(
            [
                "",
                "420042",
                "1420042",
                "4200421",
                "7",
                "Zaphod",
                "Zaphodia",
                "x",
                "Zap",
                "hod",
                "%20",
            ]
        ),
        max_size=12,
    ),
    padding=st.sampled_from([0, 300]),
    in_text=st.booleans(),
)
def test_a_cell_is_judged_as_if_it_stood_alone(
    cells: list[str], padding: int, in_text: bool
) -> None:
    contents = [b"-" * padding, *(cell.encode() for cell in cells)]
    matcher = Matcher([*needles([420_042]), *needles(["Zaphod"])])
    joined = b"".join(content + b"\0" for content in contents)
    ends = [*itertools.accumulate(len(content) + 1 for content in contents)]
    alone = {
        number
        for number, content in enumerate(contents)
        if any(True for _ in matcher.find(content, in_text=in_text))
    }
    found = matcher.find_cells(joined, [end - 1 for end in ends], in_text=in_text)
    assert {*found} == alone


def test_a_value_over_the_border_of_two_cells_is_in_neither() -> None:
    matcher = Matcher([Needle(b"phod\0Bee", "binary")])
    assert not [*matcher.find_cells(b"Zaphod\0Beeblebrox\0", [6, 17])]
