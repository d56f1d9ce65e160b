"""The served model: an ONNX graph that reads columns and needs nothing else of the factory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.onnx_metadata import (
    CLASSES,
    CLEAN,
    INGEST,
    PICTURE,
    SERIES,
    TEXTS,
    THRESHOLD,
    WINDOWS,
)
from factory_assets.ml.features.columns import read_names, read_numbers
from factory_assets.ml.features.images import Picture
from factory_assets.ml.features.series import Series, lay_out
from factory_assets.ml.features.texts import Text
from factory_assets.spec import Clean, Ingest
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home
from factory_resources.security.offline import go_offline

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_resources.tracking.registry import Registry, Version


FILE = "model.onnx"

FOLDER = "onnx"

DIGEST_TAG = "factory.onnx_sha256"

MANY = 65_536
"""Rows that are scored at once."""


@dataclass(frozen=True)
class OnnxModel:
    """A loaded graph."""

    session: Any
    inputs: Mapping[str, str]
    """Column to what it is given as: `tensor(float)`, `tensor(string)`, or `tensor(uint8)` of the
    picture. What the graph reads of a text is numbers."""
    series: Series | None
    """How rows make the windows that it reads; None where it reads single rows."""
    texts: tuple[Text, ...]
    """The columns that are read by an encoder before the graph."""
    picture: Picture | None
    """The column of pictures, where there is one."""
    classes: tuple[str, ...]
    threshold: float | None
    ingest: Ingest
    clean: Clean
    """With `ingest`, how its rows are made: as declared when it was trained."""

    @classmethod
    def of(cls, graph: bytes) -> OnnxModel:
        """Load a serialised graph."""
        go_offline()
        import onnxruntime

        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        facts = session.get_modelmeta().custom_metadata_map
        threshold = facts.get(THRESHOLD)
        texts = tuple(map(Text.model_validate, json.loads(facts.get(TEXTS, "[]"))))
        return cls(
            session=session,
            inputs={v.name: v.type for v in session.get_inputs() if v.name != WINDOWS}
            | dict.fromkeys((text.name for text in texts), "tensor(string)"),
            series=Series.model_validate_json(facts[SERIES]) if SERIES in facts else None,
            texts=texts,
            picture=Picture.model_validate_json(facts[PICTURE]) if PICTURE in facts else None,
            classes=tuple(json.loads(facts[CLASSES])),
            threshold=None if threshold is None else float(threshold),
            ingest=Ingest.model_validate_json(facts[INGEST]),
            clean=Clean.model_validate_json(facts[CLEAN]),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that rows must have: the inputs, and those that make series of rows."""
        around = (self.series.by, self.series.order) if self.series else ()
        return tuple(dict.fromkeys((*self.inputs, *around)))

    def outputs(
        self, table: pa.Table, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Probabilities [rows, classes], or predictions [rows].

        Args:
            rows: the places of the rows that are asked for, all where left out. A model of series
                reads those before them too, so `table` holds whole series.

        Raises:
            DataError: when an input column is missing or holds another kind of value.
        """
        import numpy as np

        for name in self.columns:
            if name not in table.column_names:
                raise DataError(
                    f"input column {name!r} is missing",
                    remedy=f"the model reads {', '.join(self.columns)}",
                )
        # No row is never asked: the runtime ends the process over an empty recurrence.
        nothing = np.empty((0, len(self.classes)) if self.classes else 0)
        parts = [nothing, *self._parts(table, rows)]
        found: NDArray[np.float64] = np.concatenate(parts).astype(np.float64)
        return found

    def _parts(self, table: pa.Table, rows: NDArray[np.int64] | None) -> Iterator[Any]:
        import numpy as np

        if self.series is None:
            table = table if rows is None else table.take(rows)
            for start in range(0, table.num_rows, MANY):
                yield self._run(table.slice(start, MANY), {})
            return
        layout, windows = lay_out(table, self.series)
        windows = windows if rows is None else windows.take(rows)
        many = max(1, MANY // windows.size)
        for start in range(0, len(windows), many):
            places = windows.take(slice(start, start + many)).places()
            needed, flat = np.unique(places, return_inverse=True)
            empty = int(needed[0] < 0)
            read = table.take(layout[needed[empty:]])
            yield self._run(read, {WINDOWS: flat.reshape(places.shape) - empty})

    def _run(self, table: pa.Table, more: dict[str, Any]) -> Any:
        readers = {reader.name: reader for reader in (*self.texts, self.picture) if reader}
        feed = {
            name: readers[name].read(table) if name in readers else _column(table, name, kind)
            for name, kind in self.inputs.items()
        }
        return self.session.run(None, {**feed, **more})[0]


def load_champion(model: str, home: Home) -> tuple[int, OnnxModel]:
    """The version that serves, and its graph, proven to be the one that was deployed.

    Raises:
        ModelError: when nothing was deployed yet, or the graph is missing or changed.
    """
    from factory_resources.tracking.registry import Registry

    registry = Registry(home)
    number = registry.champion(model)
    if number is None:
        raise ModelError(
            f"{model!r} has no champion yet",
            remedy=f"make one: factory run {model}",
        )
    return number, load_served(registry, registry.version(model, number))


def load_served(registry: Registry, version: Version) -> OnnxModel:
    """The graph that was deployed as a version, proven to be that.

    Raises:
        ModelError: when the version never served, or its graph is missing or changed.
    """
    digest = version.tags.get(DIGEST_TAG)
    where = f"{version.model} version {version.version}"
    if digest is None:
        raise ModelError("was never deployed", where=where, remedy=f"factory run {version.model}")
    path = registry.run_files(version.model, version.run_id) / FOLDER / FILE
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{FILE} is missing", where=where, remedy=f"deploy again: factory run {version.model}"
        ) from error
    if sha256(graph).hexdigest() != digest:
        raise ModelError(
            f"{FILE} is not the one that was deployed (its SHA-256 differs)",
            where=where,
            remedy="find out who changed it, then train and deploy again",
        )
    return OnnxModel.of(graph)


def _column(table: pa.Table, name: str, kind: str) -> NDArray[Any]:
    """[rows, 1]: float32 with NaN where missing, or text with "" where missing."""
    import numpy as np

    if kind == "tensor(float)":
        return read_numbers(table, name)[:, None]
    encoded = read_names(table, name)
    words = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
    indices = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    found: NDArray[Any] = words[indices][:, None]
    return found
