"""Metrics for people to read: as decimals, unless those show no digit of them, or too many."""

_MOST = 1e6
"""From here on, decimals say nothing and fill the line."""


def metric_text(value: float, decimals: int = 3) -> str:
    """Return a number with so many decimals, or with so many digits if it is small or large.

    The error of a target such as a concentration may be 0.00002, that of a turnover 3e9.
    """
    is_plain = value == 0 or 10 ** (1 - decimals) <= abs(value) < _MOST
    return f"{value:.{decimals}{'f' if is_plain else 'g'}}"


def interval_text(low: float | None, high: float | None, decimals: int = 3) -> str:
    """Return both ends, such as `0.812 to 0.934`; nothing without them."""
    if low is None or high is None:
        return ""
    return f"{metric_text(low, decimals)} to {metric_text(high, decimals)}"
