"""A loaded champion: it scores the rows of a request by the compiled way or by the engine.

Reading requests and writing responses belongs in `serving.http`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from factory_assets.data.privacy.sensitive_columns import redact_errors_about
from factory_assets.data.transforms.narrowing import narrowed_cleaning, needed_columns
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.features.columns import read_numbers, read_words
from factory_assets.ml.features.images import Picture
from factory_assets.ml.features.series import Series, lay_out, value_codes
from factory_assets.serving.declared_log import protection_of
from factory_assets.serving.edge.score import json_text
from factory_assets.serving.logged_keys import LoggedKey, keys_beside, keys_of_row
from factory_assets.serving.online import missing_inputs
from factory_assets.serving.online.column_checks import ColumnChecks
from factory_assets.serving.online.compiled_rows import CompiledRows
from factory_assets.serving.online.input_shift import InputShift
from factory_assets.serving.online.prepared_rows import PreparedRows
from factory_assets.serving.online.refusals import Refusal
from factory_assets.serving.scoring_rows import OVERFLOW
from factory_assets.spec import Column, Pipeline
from factory_resources.home.home import Home
from factory_resources.sql.scalar.values import UndecidedError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.serving.online.missing_inputs import Compared
    from factory_assets.serving.online.warm_engine import WarmEngine
    from factory_resources.prediction_log.protection import Protection


_MANY = 16
"""Rows from which on they are prepared column by column."""

Values = tuple[Any, ...]
"""The checked values of one row, in the order of the compiled columns."""


@dataclass(frozen=True)
class ScoredRequest:
    """The outputs of a model for the rows of a request."""

    rows: Sequence[int]
    """Which rows of the request were scored, from 0."""
    outputs: NDArray[np.float64]
    """Of these rows: probabilities [rows, classes], or predictions [rows]."""
    refusals: tuple[Refusal, ...]
    without: Callable[[Sequence[str]], Compared]
    """Yields the outputs that the rows would have if one of these inputs were missing."""
    groups: NDArray[Any] | None = None
    """Of these rows, the value by which their sets or intervals differ; None if they do not."""
    read: Sequence[Mapping[str, Any]] | None = None
    """All rows as the log keeps them, with the pixels of image files and the columns of joined
    tables; None if it keeps them as they were sent."""


class ServedModel:
    """One version of a pipeline's model, ready to score.

    The compiled way may be used from any thread, the engine from one thread at a time.

    Args:
        home: where the engine has its scratch folder.
        declared: returns today's declaration, whose tables are joined if a request needs them; by
            default from the folders of pipelines.
        shift: counts the inputs, for the metrics.
        keys: what is logged of a row beside the columns that the model needs.
        columns: those that it needs, as they are declared now; None if they are as in training.
    """

    def __init__(
        self,
        pipeline: str,
        version: int,
        model: OnnxModel,
        home: Home,
        declared: Callable[[str], Pipeline] | None = None,
        shift: InputShift | None = None,
        keys: Sequence[LoggedKey] = (),
        columns: Sequence[Column] | None = None,
    ) -> None:
        self.pipeline, self.version, self.model = pipeline, version, model
        self.shift = shift
        self.columns = needed_columns(model) if columns is None else tuple(columns)
        self.keys = keys_beside(keys, self.columns)
        self.compiled = CompiledRows.of(model, [key.source_name for key in self.keys])
        self.decoder = self.compiled.schema.decoder if self.compiled else None
        self.column_checks = ColumnChecks.of(self.compiled.schema) if self.compiled else None
        self._home, self._declared = home, declared
        self._engine: WarmEngine | None = None
        self._is_closed = False

    def close(self) -> None:
        """Close the engine, if it was opened; a late request still opens another one for itself."""
        self._is_closed = True
        if self._engine:
            self._engine.close()
            self._engine = None

    @cached_property
    def inputs(self) -> tuple[Column, ...]:
        """The columns of a request, each once: also the keys of declared joins."""
        declared = {column.source_name: column for column in self.model.ingest.contract.columns}
        keys = [name for join in self.model.ingest.joins.values() for name in join.on]
        # Without validation: a source may give its columns any names.
        found = {name: declared.get(name) or Column.model_construct(name=name) for name in keys}
        return tuple((found | {column.source_name: column for column in self.columns}).values())

    @property
    def logged_columns(self) -> tuple[Column, ...]:
        """The columns whose values are logged."""
        return (*self.columns, *(key.column for key in self.keys))

    @cached_property
    def protection(self) -> Protection | None:
        """What hides sensitive values in the log; None if no logged column is sensitive.

        Raises:
            StorageError: the key cannot be read or written.
        """
        return protection_of(self.pipeline, self.logged_columns, self._home)

    def logged_cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is logged of a row; a caller may send more, which concerns nobody.

        An object is logged as its text: a protected value is an object in the log.
        """
        names = [column.source_name for column in self.columns]
        needed = {
            name: json_text(row[name]) if isinstance(row[name], Mapping) else row[name]
            for name in names
            if name in row
        }
        return needed | keys_of_row(self.keys, row)

    @cached_property
    def looks_back(self) -> Series | None:
        """How rows form units, if a prediction depends on the rows before it."""
        if self.model.series:
            return self.model.series
        # Windows need not be computed if none of their columns is an input.
        windows = narrowed_cleaning(self.model).windows
        return Series(by=windows.by, order=windows.order, window=1) if windows else None

    def score_compiled(self, rows: Sequence[Values]) -> ScoredRequest:
        """Score rows whose values were checked.

        Raises:
            UndecidedError: a row breaks a rule, or only the engine may decide.
        """
        assert self.compiled is not None
        feed = self.compiled.feed if len(rows) < _MANY else self.compiled.feed_many
        return self.score_feed(feed(rows), len(rows))

    def score_feed(self, feed: Mapping[str, NDArray[Any]], rows: int) -> ScoredRequest:
        """Score the inputs of the graph.

        Raises:
            UndecidedError: an output is not a number.
        """
        import numpy as np

        outputs = self.model.run(feed)
        if not np.isfinite(outputs).all():
            raise UndecidedError
        if self.shift:
            self.shift.add(feed, rows)
        without = partial(missing_inputs.in_feed, self.model, feed, rows)
        by = self.model.grouped_by
        return ScoredRequest(range(rows), outputs, (), without, feed[by][:, 0] if by else None)

    def score(self, rows: Sequence[Mapping[str, Any]]) -> ScoredRequest:
        """Score rows with the engine.

        Args:
            rows: JSON objects with the column names of the source. If predictions depend on the
                rows before, only the last row of each unit is scored.

        Raises:
            ContractError: a needed column is missing.
            JoinedTableError: a joined table cannot be read, or not be joined.
            ExpressionError: a rule or a derived column fails on a value.
            DataError: an input has values that the model cannot read.
        """
        import numpy as np

        picture = self.model.picture
        read = self._with_pictures(rows, picture) if picture else None
        sent = rows if read is None else read
        prepared = self._prepared(sent)
        table = prepared.table
        if self.model.ingest.joins:
            from factory_assets.serving.online import joined_rows

            read = joined_rows.with_joined(self.model, sent, table) or read
        wanted = self._wanted(table)
        outputs = self.model.outputs(table, wanted)
        if self.shift:
            feed = {name: read_numbers(table, name)[wanted] for name in self.shift.names}
            self.shift.add(feed, len(wanted))
        finite = np.isfinite(outputs if outputs.ndim == 1 else outputs.sum(axis=1))
        numbers = table["_row"].to_numpy().astype(np.int64)[wanted] - 1
        infinite = [Refusal(int(n), (f"{OVERFLOW}:prediction",)) for n in numbers[~finite]]
        refusals = sorted([*prepared.refusals, *infinite], key=lambda refusal: refusal.row)
        return ScoredRequest(
            rows=tuple(int(n) for n in numbers[finite]),
            outputs=outputs[finite],
            refusals=tuple(refusals),
            without=partial(missing_inputs.in_table, self.model, table, wanted[finite]),
            groups=read_words(table, by)[wanted[finite]] if (by := self.model.grouped_by) else None,
            read=read,
        )

    def _wanted(self, table: pa.Table) -> NDArray[np.int64]:
        """Return the positions of the rows to score."""
        import numpy as np

        series = self.looks_back
        if series is None or not table.num_rows:
            return np.arange(table.num_rows)
        layout, _ = lay_out(table, series)
        owners = value_codes(table[series.by])[layout]
        last = np.diff(owners, append=-1) != 0
        return np.sort(layout[last])

    def _prepared(self, rows: Sequence[Mapping[str, Any]]) -> PreparedRows:
        if self.model.ingest.joins:
            from factory_assets.serving.online import joined_rows

            if joined_rows.need_joins(self.model, rows):
                find = self._declared or joined_rows.declared_pipeline
                declared = partial(find, self.pipeline)
                return joined_rows.prepare_joined(declared, self.model, rows, self._home)
        try:
            # What is said of the row is logged, too.
            with redact_errors_about(c.sensitive for c in (*self.inputs, *self.columns)):
                return self._opened().prepare(rows)
        finally:
            if self._is_closed:
                self.close()

    def _opened(self) -> WarmEngine:
        # Most models need it only to say what is wrong with a row.
        if self._engine is None:
            from factory_assets.serving.online.warm_engine import WarmEngine

            self._engine = WarmEngine(self.pipeline, self.model, self._home)
        return self._engine

    def _with_pictures(
        self, rows: Sequence[Mapping[str, Any]], picture: Picture
    ) -> list[Mapping[str, Any]]:
        """Turn image files in base64 into the text that the source would have."""
        name = next((c.source_name for c in self.columns if c.name == picture.name), "")
        return [
            row if row.get(name) is None else {**row, name: _picture_in(str(row[name]), picture)}
            for row in rows
        ]


def _picture_in(given: str, picture: Picture) -> str | None:
    """Return a picture as the source would write it, from that text or from a file in base64.

    What is not a picture of the model is like a broken file of the source: there is none.
    """
    from factory_resources.sources.files.images import encode_picture

    text: str | None = given
    if ":" not in given[:16]:
        try:
            content = base64.b64decode(given, validate=True)
        # Not base64, or not ASCII.
        except ValueError:
            return None
        text = encode_picture(content, picture.height, grey=picture.colours == 1)
    return text if text and picture.pixels(text) else None
