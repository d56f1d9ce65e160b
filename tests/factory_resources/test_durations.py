"""Durations as people write them."""

import pytest

from factory_resources.durations import duration_text, minute, seconds_of
from factory_resources.errors import UnknownNameError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000), ("0d", 0), ("90min", 5400), ("36h", 129_600), ("2w", 1_209_600)],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(7_200, "2h"), (90 * 60, "90min"), (1_209_600, "2w"), (0, "0 s")]
)
def test_seconds_as_a_person_writes_them(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text
    assert text == "0 s" or seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5h", "30 days", "30days", "1000000d"])
def test_wrong_lengths_of_time(text: str) -> None:
    with pytest.raises(UnknownNameError, match="is not a duration"):
        seconds_of(text)


def test_a_time_is_read_to_the_minute() -> None:
    assert minute("2026-11-26T14:48:07.123456Z") == "2026-11-26 14:48"
