"""Names in an exported ONNX graph: the metadata that serving needs, and the input for windows.

Writing the graph belongs in `onnx_export.py`, reading it in `onnx_model.py`.
"""

from __future__ import annotations

CLASSES, THRESHOLD, INGEST, CLEAN = "classes", "threshold", "ingest", "clean"
"""Metadata keys: the classes as JSON, the probability threshold of the positive class, and the
`ingest` and `clean` sections of the declaration as JSON."""

BOOLEANS = "booleans"
"""Metadata key, only if there are any: the numeric inputs that rows write as true or false."""

SERIES = "series"
"""Metadata key, only for models of series: how rows form series, as JSON."""

TEXTS = "texts"
"""Metadata key, only for models that read text: the columns and their encoders, as JSON."""

PICTURE = "picture"
"""Metadata key, only for models that read pictures: the column and their size, as JSON."""

REGIONS = "regions"
"""Metadata key, only if `train.uncertainty` is declared: the bounds of its regions, as JSON."""

WINDOWS = "_windows"
"""The graph input that lists the rows of each window."""
