"""Score a file with the champion.

The file is read like the source: contract, rules and derived columns apply as in training, and a
row that breaks one gets the reason instead of a score. How its rows are prepared belongs in
`scoring_rows`, what is logged of them in `batch_log`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.features.columns import read_words
from factory_assets.serving.answered_regions import region_arrays
from factory_assets.serving.logged_keys import Cell, LoggedKey, declared_keys
from factory_assets.serving.scoring_rows import OVERFLOW, rows_to_score
from factory_assets.serving.verified_champion import load_verified_champion
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


JOINED = "joined"
"""The column that says in which state the joined tables were read."""

SHOWN = 12
"""Digits of a digest that are shown; `factory trace` accepts them."""


def predict(pipeline: Pipeline, file: Path, home: Home) -> pa.Table:
    """Score every row of a text, Parquet or JSON Lines file; only the model's inputs need be in it.

    Returns:
        In the file's order: `_row` (from 1), the declared keys that the file has, `model`,
        `version`, `joined` if tables were joined to the file, `prediction` (the class, or the
        number), `p_<class>` for each class, with declared uncertainty `low` and `high`, or
        `set_<class>` and `abstained`, and `reason`: the rules that a row without score broke, such
        as `overflow:<input>` if float32 cannot hold a number that the model reads, or
        `derive:<column>` if that cannot be computed; `id`, by which the prediction log has the
        answer.

    Raises:
        ModelError: there is no champion, or one of its files was changed.
        SourceError: the file cannot be read.
        ContractError: a needed column is missing, or every row breaks the contract.
        StorageError: the answers cannot be logged.
        DataError: a key is called as a column of the scores.
    """
    import pyarrow as pa

    from factory_assets.serving.batch_log import log_answers

    started = time.time_ns()
    version, model = load_verified_champion(pipeline.name, home)
    rows = rows_to_score(pipeline, model, file, home, keys=declared_keys(pipeline.spec))
    scored, overflowing = _score(model, rows.scorable)
    table = _result(pipeline.name, version, scored, [*rows.refused, overflowing])
    with_keys = _with_keys(table, rows.keys)
    answers = log_answers(pipeline.name, version, model, rows, table, home, started)
    table = with_keys.append_column("id", answers)
    if not rows.joined:
        return table
    states = "; ".join(f"{t.join}: {t.name} sha256:{t.sha256[:SHOWN]}" for t in rows.joined)
    position = table.column_names.index("version") + 1
    return table.add_column(position, JOINED, pa.array([states] * table.num_rows, pa.string()))


def _with_keys(table: pa.Table, keys: Mapping[LoggedKey, Sequence[Cell]]) -> pa.Table:
    """Add the keys after the numbers of the rows; nobody is shown a sensitive one."""
    import pyarrow as pa

    for key, cells in reversed([*keys.items()]):
        if key.column.sensitive:
            continue
        if key.column.name in table.column_names:
            raise DataError(
                f"the scores have a column {key.column.name!r}, as a key has",
                where="deploy.log.keys",
                remedy="give the key another name in the contract",
            )
        whole = all(cell is None or isinstance(cell, int) for cell in cells)
        texts = [None if cell is None else str(cell) for cell in cells]
        values = pa.array(cells, pa.int64()) if whole else pa.array(texts, pa.string())
        table = table.add_column(1, key.column.name, values)
    return table


def _score(model: OnnxModel, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows with their scores, and those whose score is not a number with the reason."""
    import numpy as np
    import pyarrow as pa

    outputs = model.outputs(rows)
    finite = np.isfinite(outputs if outputs.ndim == 1 else outputs.sum(axis=1))
    numbers = rows["_row"].filter(~finite)
    reasons = pa.array([f"{OVERFLOW}:prediction"] * len(numbers), pa.string())
    scored = _score_table(model, rows["_row"].filter(finite), outputs[finite])
    by = model.grouped_by
    groups = read_words(rows, by)[finite] if by else None
    for name, values in _region_columns(model, outputs[finite], groups).items():
        scored = scored.append_column(name, pa.array(values))
    return scored, pa.table({"_row": numbers, "reason": reasons})


def _score_table(
    model: OnnxModel, numbers: pa.ChunkedArray, outputs: NDArray[np.float64]
) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    if not model.classes:
        return pa.table({"_row": numbers, "prediction": outputs})
    columns = {f"p_{name}": outputs[:, i] for i, name in enumerate(model.classes)}
    chosen = np.array(model.classes, dtype=object)[model.codes(outputs)]
    return pa.table({"_row": numbers, "prediction": pa.array(chosen, pa.string()), **columns})


def _region_columns(
    model: OnnxModel, outputs: NDArray[np.float64], groups: NDArray[Any] | None
) -> dict[str, NDArray[Any]]:
    found = region_arrays(model, outputs, groups)
    columns: dict[str, NDArray[Any]] = {}
    if "interval" in found:
        columns |= {"low": found["interval"][:, 0], "high": found["interval"][:, 1]}
    if "set" in found:
        columns |= {f"set_{name}": found["set"][:, i] for i, name in enumerate(model.classes)}
    if "abstained" in found:
        columns["abstained"] = found["abstained"]
    return columns


def _result(model: str, version: int, scores: pa.Table, refused: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    table = pa.concat_tables([scores, *refused], promote_options="default").sort_by("_row")
    identity = {
        "model": pa.array([model] * table.num_rows, pa.string()),
        "version": pa.array([version] * table.num_rows, pa.int64()),
    }
    for position, (name, values) in enumerate(identity.items(), start=1):
        table = table.add_column(position, name, values)
    names = [name for name in table.column_names if name != "reason"]
    return table.select([*names, "reason"])
