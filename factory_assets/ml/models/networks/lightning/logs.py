"""Silence what Lightning logs and warns about."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def silenced() -> Iterator[None]:
    """Silence Lightning's logs and all warnings; restore torch's determinism setting afterwards."""
    loggers: list[Any] = [logging.getLogger(f"lightning.{n}") for n in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    deterministic = torch.are_deterministic_algorithms_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
