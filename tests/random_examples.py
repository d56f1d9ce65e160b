"""How many examples a property is tried with: all in the long run of the tests, else a quarter."""

from hypothesis import settings

ALL = 100
"""What Hypothesis tries where a test says nothing."""


def examples(count: int) -> int:
    """Return how many of so many examples are tried in this run of the tests."""
    return max(1, count * settings.default.max_examples // ALL)
