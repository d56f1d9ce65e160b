"""The served model: an ONNX graph that turns columns into outputs.

Exporting the graph belongs in `onnx_export.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.onnx_metadata import (
    BOOLEANS,
    CLASSES,
    CLEAN,
    INGEST,
    PICTURE,
    REGIONS,
    SERIES,
    TEXTS,
    THRESHOLD,
    WINDOWS,
)
from factory_assets.ml.features.columns import read_numbers, read_words, require_columns
from factory_assets.ml.features.images import Picture
from factory_assets.ml.features.series import Series, lay_out
from factory_assets.ml.features.texts import Text
from factory_assets.ml.features.times import read_times
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import Clean, Ingest
from factory_resources.cores import usable_cores
from factory_resources.durations import minute
from factory_resources.errors import ModelError, RefusedError
from factory_resources.home.home import Home, unreadable
from factory_resources.ledger.entries import ModelExported
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.offline import go_offline

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_resources.tracking.registry import Registry, Version


FILE = "model.onnx"

FOLDER = "onnx"

DIGEST_TAG = "factory.onnx_sha256"

BATCH_ROWS = 65_536
"""Rows scored at once at most; for series, rows of all windows together."""

BATCH_VALUES = 1 << 21
"""Numbers of the inputs that are read at once. The layers of a network have some ten times more."""


@dataclass(frozen=True)
class OnnxModel:
    """A loaded graph with the metadata that it needs to read rows."""

    session: Any
    inputs: Mapping[str, str]
    """Column to type: `tensor(float)`, `tensor(double)` for times, `tensor(string)`, or
    `tensor(uint8)` for the picture. Texts are `tensor(string)` here although the graph reads the
    numbers of their encoder."""
    series: Series | None
    """How rows form the windows that the graph reads; None if it reads single rows."""
    texts: tuple[Text, ...]
    """The columns that a sentence encoder reads before the graph runs."""
    picture: Picture | None
    """The column of pictures, if any."""
    classes: tuple[str, ...]
    threshold: float | None
    ingest: Ingest
    clean: Clean
    """With `ingest`, how rows are prepared: as declared when the model was trained."""
    booleans: tuple[str, ...] = ()
    """The numbers that are true or false in rows."""
    regions: RegionBounds | None = None
    """From which sets or intervals are answered; None if that was not declared."""

    @classmethod
    def of(cls, graph: bytes) -> OnnxModel:
        """Load a serialised graph."""
        go_offline()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # With several threads, the trees of a small batch are added in another order, so that a row
        # gets another last digit than in a large one.
        options.intra_op_num_threads = 1
        # An arena would keep the memory of the largest batch.
        options.enable_cpu_mem_arena = False
        # A warning is about what an exporter left over, as of a vote; errors are raised.
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(graph, options, providers=providers)
        metadata = session.get_modelmeta().custom_metadata_map
        threshold = metadata.get(THRESHOLD)
        texts = tuple(map(Text.model_validate, json.loads(metadata.get(TEXTS, "[]"))))
        return cls(
            session=session,
            inputs={v.name: v.type for v in session.get_inputs() if v.name != WINDOWS}
            | dict.fromkeys((text.name for text in texts), "tensor(string)"),
            series=Series.model_validate_json(metadata[SERIES]) if SERIES in metadata else None,
            texts=texts,
            picture=Picture.model_validate_json(metadata[PICTURE]) if PICTURE in metadata else None,
            classes=tuple(json.loads(metadata[CLASSES])),
            threshold=None if threshold is None else float(threshold),
            ingest=Ingest.model_validate_json(metadata[INGEST]),
            clean=Clean.model_validate_json(metadata[CLEAN]),
            booleans=tuple(json.loads(metadata.get(BOOLEANS, "[]"))),
            regions=RegionBounds.model_validate_json(metadata[REGIONS])
            if REGIONS in metadata
            else None,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that rows must have: the inputs, and those that separate and order series."""
        keys = (self.series.by, self.series.order) if self.series else ()
        return tuple(dict.fromkeys((*self.inputs, *keys)))

    @property
    def grouped_by(self) -> str | None:
        """The input by whose values sets or intervals differ, if any."""
        return self.regions.column if self.regions else None

    def outputs(
        self, table: pa.Table, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities [rows, classes], or predictions [rows].

        Args:
            rows: indices of the rows to score (default: all). A model of series also reads earlier
                rows, so `table` must contain whole series.

        Raises:
            DataError: if an input column is missing or has values of another type.
        """
        import numpy as np

        require_columns(table, self.columns)
        # Never run the graph without rows: an empty recurrence makes the runtime end the process.
        no_rows = np.empty((0, len(self.classes)) if self.classes else 0)
        batches = [no_rows, *self._batches(table, rows)]
        outputs: NDArray[np.float64] = np.concatenate(batches).astype(np.float64)
        return outputs

    def run(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Return the outputs for arrays as the graph reads them, each [rows, width]."""
        import numpy as np

        outputs: NDArray[np.float64] = self.session.run(None, feed)[0].astype(np.float64)
        return outputs

    def codes(self, outputs: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the position of the predicted class of each row, [rows]."""
        chosen: NDArray[np.int64] = (
            outputs.argmax(axis=1)
            if self.threshold is None
            else (outputs[:, 1] >= self.threshold).astype(int)
        )
        return chosen

    def _batches(self, table: pa.Table, rows: NDArray[np.int64] | None) -> Iterator[Any]:
        """Yield the outputs of the graph, batch by batch."""
        import numpy as np

        if self.series is None:
            table = table if rows is None else table.take(rows)
            many = self._rows_at_once()
            yield from self._concurrently(
                [table.slice(start, many) for start in range(0, table.num_rows, many)]
            )
            return
        layout, windows = lay_out(table, self.series)
        windows = windows if rows is None else windows.take(rows)
        many = max(1, BATCH_ROWS // windows.size)
        for start in range(0, len(windows), many):
            positions = windows.take(slice(start, start + many)).places()
            needed, flat = np.unique(positions, return_inverse=True)
            # The positions are sorted, so the padding -1 of short windows comes first.
            padded = int(needed[0] < 0)
            batch = table.take(layout[needed[padded:]])
            yield self._run(batch, {WINDOWS: flat.reshape(positions.shape) - padded})

    def _rows_at_once(self) -> int:
        picture = self.picture
        pixels = picture.height * picture.width * picture.colours if picture else 0
        values = len(self.inputs) + pixels + sum(text.width for text in self.texts)
        return max(1, min(BATCH_ROWS, BATCH_VALUES // values))

    def _concurrently(self, tables: Sequence[pa.Table]) -> Iterator[Any]:
        """Yield the outputs for each table in order, computed by one thread per core."""
        if len(tables) < 2:
            yield from (self._run(table, {}) for table in tables)
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(usable_cores()) as threads:
            yield from threads.map(lambda table: self._run(table, {}), tables)

    def _run(self, table: pa.Table, more: dict[str, Any]) -> Any:
        readers = {reader.name: reader for reader in (*self.texts, self.picture) if reader}
        feed = {
            name: readers[name].read(table) if name in readers else _column(table, name, kind)
            for name, kind in self.inputs.items()
        }
        return self.session.run(None, {**feed, **more})[0]


def load_champion(model: str, home: Home) -> tuple[int, OnnxModel]:
    """Load the champion: its version number and its graph, verified by SHA-256.

    Raises:
        ModelError: if nothing was deployed yet, or if the graph is missing or changed.
        RefusedError: a person stopped it.
    """
    from factory_resources.tracking.registry import Registry

    registry = Registry(home)
    number = registry.champion(model)
    if stopped := registry.stopped(model):
        raise RefusedError(
            f"{model!r} was stopped {minute(stopped[1].time)} UTC "
            f"(entry {stopped[0]} of the ledger)",
            remedy=f"a person lets it serve again with: factory resume {model}",
        )
    if number is None:
        raise ModelError(
            f"{model!r} has no champion yet",
            remedy=f"train and deploy one: factory run {model}",
        )
    return number, load_served(registry, registry.version(model, number))


def load_served(registry: Registry, version: Version) -> OnnxModel:
    """Load the graph that was deployed as a version, verified by SHA-256.

    Raises:
        ModelError: if the version was never deployed, or if its graph is missing or changed.
        StorageError: if the graph cannot be read.
    """
    return OnnxModel.of(read_graph(registry, version))


def read_graph(registry: Registry, version: Version) -> bytes:
    """Return the graph that was deployed as a version, verified by SHA-256.

    Raises:
        ModelError: if the version was never deployed, or if its graph is missing or changed.
    """
    digest = _deployed_digest(registry, version)
    where = f"{version.model} version {version.version}"
    if digest is None:
        raise ModelError(
            "was never deployed",
            where=where,
            remedy=f"deploy a version: factory run {version.model}",
        )
    path = registry.run_files(version.model, version.run_id) / FOLDER / FILE
    try:
        graph = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"{FILE} is missing", where=where, remedy=f"deploy again: factory run {version.model}"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if sha256(graph).hexdigest() != digest:
        raise ModelError(
            f"{FILE} is not the one that was deployed (its SHA-256 differs)",
            where=where,
            remedy=f"find out who changed {path}, delete it, and deploy again: "
            f"factory run {version.model}",
        )
    return graph


def _deployed_digest(registry: Registry, version: Version) -> str | None:
    """Return the digest of the deployed graph: from MLflow only if the home has no ledger."""
    ledger = Ledger(registry.home)
    if not ledger.exists:
        return version.tags.get(DIGEST_TAG)
    subject = ModelExported.subject_of(pipeline=version.model, version=version.version)
    exported = ledger.latest(ModelExported, subject)
    return exported[1].graph if exported else None


def _column(table: pa.Table, name: str, kind: str) -> NDArray[Any]:
    """Return [rows, 1]: numbers or times, NaN if missing, or text, "" if missing."""
    values: NDArray[Any]
    match kind:
        case "tensor(float)":
            values = read_numbers(table, name)
        case "tensor(double)":
            values = read_times(table, name)
        case _:
            values = read_words(table, name)
    return values[:, None]
