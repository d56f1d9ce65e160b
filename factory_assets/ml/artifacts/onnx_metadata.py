"""The names under which an exported graph carries what serving it needs, and its extra input."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


CLASSES, THRESHOLD, INGEST, CLEAN = "classes", "threshold", "ingest", "clean"
"""Keys of the graph's metadata: the classes as JSON, the probability of a positive, and
the parts of the declaration that make rows, as JSON."""

SERIES = "series"
"""The key of how rows make series, as JSON, where the model reads windows of them."""

TEXTS = "texts"
"""The key of the columns of text and their encoders, as JSON, where the model reads any."""

PICTURE = "picture"
"""The key of the column of pictures and their size, as JSON, where the model reads one."""

WINDOWS = "_windows"
"""The input that says which rows make each window."""
