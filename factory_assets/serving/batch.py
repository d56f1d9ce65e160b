"""Score a file with the champion.

The file is read like the source: contract, rules and derived columns apply as in training, and a
row that breaks one gets the reason instead of a score. How its rows are prepared belongs in
`scoring_rows`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_champion
from factory_assets.serving.scoring_rows import rows_to_score
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import pyarrow as pa


def predict(pipeline: Pipeline, file: Path, home: Home) -> pa.Table:
    """Score every row of a text, Parquet or JSON Lines file; only the model's inputs need be in it.

    Returns:
        In the file's order: `_row` (from 1), `model`, `version`, `prediction` (the class, or the
        number), `p_<class>` for each class, and `reason`: the rules that a row without score broke.

    Raises:
        ModelError: there is no champion, or its graph was changed.
        SourceError: the file cannot be read.
        ContractError: a needed column is missing, or every row breaks the contract.
    """
    version, model = load_champion(pipeline.name, home)
    rows, refused = rows_to_score(pipeline, model, file, home)
    return _result(pipeline.name, version, _scores(model, rows), refused)


def _scores(model: OnnxModel, rows: pa.Table) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    outputs = model.outputs(rows)
    if not model.classes:
        return pa.table({"_row": rows["_row"], "prediction": outputs})
    codes = outputs.argmax(axis=1)
    if model.threshold is not None:
        codes = (outputs[:, 1] >= model.threshold).astype(int)
    columns = {f"p_{name}": outputs[:, i] for i, name in enumerate(model.classes)}
    chosen = np.array(model.classes, dtype=object)[codes]
    return pa.table({"_row": rows["_row"], "prediction": pa.array(chosen, pa.string()), **columns})


def _result(model: str, version: int, scores: pa.Table, refused: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    table = pa.concat_tables([scores, *refused], promote_options="default").sort_by("_row")
    if "reason" not in table.column_names:
        table = table.append_column("reason", pa.nulls(table.num_rows, pa.string()))
    identity = {
        "model": pa.array([model] * table.num_rows, pa.string()),
        "version": pa.array([version] * table.num_rows, pa.int64()),
    }
    for position, (name, values) in enumerate(identity.items(), start=1):
        table = table.add_column(position, name, values)
    names = [name for name in table.column_names if name != "reason"]
    return table.select([*names, "reason"])
