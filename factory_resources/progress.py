"""How long operations report what they are doing."""

from collections.abc import Callable

Progress = Callable[[str], None]
"""Receives what is being done, in a few words."""
