"""Preprocess a million rows: compare the factory with scikit-learn's ColumnTransformer.

    python -m benchmarks.preprocessing SIDE FOLDER     (one side, in a process of its own)

Both impute numbers by the median, standardise them, turn names into codes, and return float32 and
codes. Each has the rows in memory in the form that suits it best; reading them is not measured.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Result, measure

ROWS = 1_000_000
RATIO = 5.0
NUMBERS, NAMES = 12, {"grade": 3, "site": 40, "machine": 150, "operator": 1000}
VOCABULARY = 200


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        sides = {}
        for side in ("scikit_learn", "factory"):
            command = [sys.executable, "-m", "benchmarks.preprocessing", side, name]
            runs = [json.loads(measure(command, {}).output.splitlines()[-1]) for _ in range(2)]
            sides[side] = min(runs, key=lambda used: used["cpu"])
    theirs, ours = sides["scikit_learn"], sides["factory"]
    if abs(theirs["sum"] - ours["sum"]) > 1e-3 * ROWS:
        raise RuntimeError(f"the sides compute different results: {sides}")
    ratio = theirs["cpu"] / ours["cpu"]
    return [
        Result(
            f"preprocessing {ROWS:,} rows, {NUMBERS} numbers, {len(NAMES)} names",
            f"{ratio:.1f}x ColumnTransformer by CPU ({ours['cpu']:.2f} / {theirs['cpu']:.2f} s), "
            f"wall {theirs['wall'] / ours['wall']:.1f}x "
            f"({ours['wall']:.2f} / {theirs['wall']:.2f} s)",
            f">= {RATIO:g}x",
            ratio >= RATIO,
        )
    ]


def prepare(folder: Path) -> None:
    """Write a Parquet file; in every second numeric column 5 % of the values are missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet

    random = np.random.default_rng(0)
    columns = {}
    for i in range(NUMBERS):
        values = random.normal(10 * i, i + 1, ROWS)
        columns[f"n{i}"] = pa.array(values, mask=random.random(ROWS) < (0.05 if i % 2 else 0.0))
    for name, count in NAMES.items():
        words = np.array([f"{name}_{i:04}" for i in range(count)])
        # Unequal frequencies, so that both sides keep the same names in their vocabularies.
        columns[name] = pa.array(words[(count * random.random(ROWS) ** 2).astype(int)])
    columns["y"] = pa.array(random.normal(size=ROWS))
    pyarrow.parquet.write_table(pa.table(columns), folder / "rows.parquet")


def factory(folder: Path) -> dict[str, float]:
    import pyarrow.parquet

    from factory_assets.ml.features.features import fit_features
    from factory_assets.spec import Pipeline, PipelineSpec

    spec = {
        "purpose": "measure",
        "ingest": {"source": {"files": "rows.parquet"}},
        "train": {"target": "y", "model": {"kind": "mlp"}},
    }
    pipeline = Pipeline("benchmark", PipelineSpec.model_validate(spec), folder)
    table = pyarrow.parquet.read_table(folder / "rows.parquet")

    def work() -> float:
        features = fit_features(pipeline, table, vocabulary=VOCABULARY)
        arrays = features.arrays(table, scaled=True)
        return float(arrays.numbers[:, :NUMBERS].sum(dtype="float64")) + float(
            (arrays.codes > 0).sum()
        )

    return _timed(work)


def scikit_learn(folder: Path) -> dict[str, float]:
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder, StandardScaler

    frame = pd.read_parquet(folder / "rows.parquet")
    numbers = [f"n{i}" for i in range(NUMBERS)]
    names = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        max_categories=VOCABULARY + 1,
        dtype=np.int64,
    )
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("names", names, list(NAMES)),
        ]
    )

    def work() -> float:
        encoded = transformer.fit_transform(frame)
        rare = 0
        for i, count in enumerate(NAMES.values()):
            if count > VOCABULARY:
                # Infrequent names share the last code.
                rare += int((encoded[:, NUMBERS + i] == VOCABULARY).sum())
        values = float(encoded[:, :NUMBERS].astype(np.float32).sum(dtype="float64"))
        return values + ROWS * len(NAMES) - rare

    return _timed(work)


def _timed(work: Callable[[], float]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    total = work()
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "sum": total,
    }


if __name__ == "__main__":
    side: Callable[[Path], dict[str, float]] = {
        function.__name__: function for function in (factory, scikit_learn)
    }[sys.argv[1]]
    print(json.dumps(side(Path(sys.argv[2]))))
