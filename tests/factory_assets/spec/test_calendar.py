"""Which cron expressions are valid, and what is wrong with the others."""

import pytest

from factory_assets.spec.calendar import check_cron


@pytest.mark.parametrize(
    "value",
    [
        "0 2 * * *",
        "*/15 8-18 * * mon-fri",
        "0 0 1,15 jan,jul *",
        "5 4 * * SUN",
        "59 23 31 12 7",
        "@daily",
    ],
)
def test_valid_cron_is_returned(value: str) -> None:
    assert check_cron(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0 2 * *", "4 fields"),
        ("0 2 * * * *", "6 fields"),
        ("", "0 fields"),
        ("@dayly", "@daily"),
        ("60 2 * * *", "minute '60' must lie between 0 and 59"),
        ("0 24 * * *", "hour '24'"),
        ("0 2 0 * *", "day of month '0' must lie between 1 and 31"),
        ("0 2 * 13 *", "month '13'"),
        ("0 2 * * 8", "day of week '8'"),
        ("0 18-8 * * *", "hour '18-8'"),
        ("*/0 * * * *", "a step of 0 never fires"),
        ("x * * * *", "minute 'x' is not"),
        ("1, * * * *", "minute '1,' is not"),
    ],
)
def test_wrong_cron_is_refused(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_cron(value)
    assert message in str(caught.value)
