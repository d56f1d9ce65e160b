"""What is searchable, and in which forms."""

import base64
import math
import struct
from datetime import UTC, date, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given

from factory_resources.erasure.values import (
    Value,
    forms,
    is_searchable,
    microseconds,
    needles,
)
from tests.factory_resources.erasure.planting import TEXTS


@pytest.mark.parametrize(
    "value",
    ["Zaphod", "P-1042", 100_200, -123_456, 71.3809, 1.23456e-9, date(1987, 3, 14), datetime.min],
)
def test_a_value_that_says_something_is_searchable(value: Value) -> None:
    assert is_searchable(value)


@pytest.mark.parametrize(
    "value",
    [
        "Maria",
        "  Maria  ",
        "      ",
        "aaaaaaa",
        "ababab",
        True,
        0,
        99_999,
        12_345,
        100_000,
        1.2345,
        71.5,
        math.nan,
        math.inf,
        "",
    ],
)
def test_a_value_that_occurs_everywhere_is_not_searchable(value: Value) -> None:
    assert not is_searchable(value)


@pytest.mark.parametrize(
    "written",
    [
        """Ö'N "A|B" & <c> [d]/e`f""",
        """Ö'N ""A|B"" & <c> [d]/e`f""",
        """Ö''N "A|B" & <c> [d]/e`f""",
        r"""Ö\'N "A|B" & <c> [d]/e`f""",
        "Ö&#x27;N &quot;A|B&quot; &amp; &lt;c&gt; [d]/e`f",
        """Ö'N "A|B" &amp; &lt;c&gt; [d]/e`f""",
        r"""Ö'N "A\|B" &amp; &lt;c> \[d]/e'f""",
        "%C3%96%27N%20%22A%7CB%22%20%26%20%3Cc%3E%20%5Bd%5D/e%60f",
        "%C3%96%27N%20%22A%7CB%22%20%26%20%3Cc%3E%20%5Bd%5D%2Fe%60f",
        "%C3%96%27N+%22A%7CB%22+%26+%3Cc%3E+%5Bd%5D%2Fe%60f",
        r"""Ö'N \"A|B\" & <c> [d]/e`f""",
        r"""\u00d6'N \"A|B\" & <c> [d]/e`f""",
        r"""Ö'N \\\"A|B\\\" & <c> [d]/e`f""",
        r"""\\u00d6'N \\\"A|B\\\" & <c> [d]/e`f""",
        r"""Ö'N \"A\\|B\" &amp; &lt;c> \\[d]/e'f""",
    ],
)
def test_a_text_is_searched_as_it_is_written_anywhere(written: str) -> None:
    found = [one.content for one in forms("""Ö'N "A|B" & <c> [d]/e`f""") if one.form == "text"]
    assert written.encode() in found


@given(text=TEXTS.filter(is_searchable))
def test_base64_of_anything_with_the_text_has_one_of_its_forms(text: str) -> None:
    encoded = [one.content for one in forms(text) if one.form == "base64"]
    if len(text.encode()) < 12:
        return
    for before in range(4):
        whole = base64.b64encode(b"x" * before + text.encode() + b"yz")
        assert any(one in whole for one in encoded)


def test_an_integer_has_bytes_only_if_they_are_particular() -> None:
    assert {one.form for one in forms(123_456)} == {"number"}
    contents = [one.content for one in forms(4_200_424_242)]
    assert struct.pack("<q", 4_200_424_242) in contents
    assert b"\xce" + struct.pack(">I", 4_200_424_242) in contents
    assert b"\xd2" + struct.pack(">i", -420_042_424) in [one.content for one in forms(-420_042_424)]
    assert struct.pack(">q", 2**40 + 12_345) in [one.content for one in forms(2**40 + 12_345)]


@pytest.mark.parametrize("value", [2**32 - 1, 2**32, -(2**31), -(2**31) - 1])
def test_an_integer_is_also_searched_as_the_journal_of_answers_packs_it(value: int) -> None:
    assert msgspec.msgpack.encode(value)[-8:] in [one.content for one in forms(value)]


@pytest.mark.parametrize("year", [1907, 2025])
def test_a_moment_is_also_searched_as_databases_store_it(year: int) -> None:
    moment = datetime(year, 8, 9, 10, 11, 12, 500_000)
    micros = microseconds(moment.replace(tzinfo=UTC))
    contents = {one.content: one.form for one in forms(moment)}
    assert contents[struct.pack("<q", micros)] == "binary"
    assert contents[str(micros).encode()] == "number"


def test_a_float_is_also_searched_as_a_model_of_32_bits_writes_it() -> None:
    single = struct.unpack("<f", struct.pack("<f", 71.38091746))[0]
    assert repr(single).encode() in [one.content for one in forms(71.38091746)]
    assert len([*forms(1.23456e300)]) >= 2


def test_forms_that_two_values_share_are_given_once() -> None:
    found = needles([123_456, 123_456.0])
    assert len(found) == len({one.content for one in found})


def test_a_moment_is_counted_from_1970() -> None:
    moment = datetime(2025, 8, 9, 10, 11, 12, 345_678, tzinfo=timezone(timedelta(hours=2)))
    assert microseconds(moment) == round(moment.timestamp() * 1e6)
    assert microseconds(datetime(1960, 1, 1, tzinfo=UTC)) < 0
