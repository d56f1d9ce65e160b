"""Amounts are written with the prefix that fits them."""

import pytest

from factory_resources.metering.si_prefix import si_prefixed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 Wh"),
        (3e-9, "0.003 µWh"),
        (7.14e-5, "71.4 µWh"),
        (0.00454, "4.54 mWh"),
        (1.0, "1 Wh"),
        (999.0, "999 Wh"),
        (3_412.0, "3.41 kWh"),
        (0.9996, "1 Wh"),
        (999.4, "999 Wh"),
        (999.6, "1 kWh"),
        (1_234_000.0, "1.23 MWh"),
    ],
)
def test_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert si_prefixed(value, "Wh") == text
