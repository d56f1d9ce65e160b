"""A look at 1,000,000 answers of 30 columns, and a look with nothing new.

    python -m benchmarks.watching [ROWS]

What is found belongs in `monitoring`; here only what looking costs.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from benchmarks.measure import FACTORY, Result, measure
from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_resources.home.home import Home
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode

ROWS = 1_000_000

_NUMBERS, _CATEGORIES = 25, 5

_TRAINED = 20_000

_EXAMPLES = 20_000
"""Different answers, which are logged in turn."""

_SECONDS, _MEGABYTES, _IDLE = 20.0, 1_024, 0.6


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        places = {"FACTORY_HOME": str(root / "home"), "FACTORY_DEFS": str(root / "defs")}
        _declare(root / "defs" / "fleet")
        measure([FACTORY, "run", "fleet"], places)
        _answer(Home(root / "home"), rows)
        command = [FACTORY, "monitor", "fleet"]
        first, idle = measure(command, places), measure(command, places)
        return [
            Result(
                f"a look at {rows:,} answers of {_NUMBERS + _CATEGORIES} columns",
                f"{first.wall:.1f} s ({first.cpu:.1f} CPU s), peak {first.megabytes:.0f} MB",
                f"<= {_SECONDS:g} s, <= {_MEGABYTES} MB",
                first.wall <= _SECONDS and first.megabytes <= _MEGABYTES,
            ),
            Result(
                "a look with nothing new",
                f"{idle.wall:.2f} s ({idle.cpu:.2f} CPU s)",
                f"<= {_IDLE:g} s",
                idle.wall <= _IDLE,
            ),
        ]


def _rows(count: int, seed: int) -> list[dict[str, object]]:
    chance = np.random.default_rng(seed)
    numbers = chance.normal(50, 10, (count, _NUMBERS)).round(3)
    words = chance.choice(["red", "green", "blue", "grey"], (count, _CATEGORIES))
    failed = numbers[:, 0] + numbers[:, 1] + chance.normal(0, 5, count) > 100
    return [
        {
            **{f"n{i}": float(value) for i, value in enumerate(numbers[row])},
            **{f"c{i}": str(value) for i, value in enumerate(words[row])},
            "failed": int(failed[row]),
        }
        for row in range(count)
    ]


def _declare(folder: Path) -> None:
    folder.mkdir(parents=True)
    lines = [json.dumps(row) + "\n" for row in _rows(_TRAINED, 1)]
    (folder / "rows.jsonl").write_text("".join(lines))
    spec = {
        "purpose": "Measure what watching costs",
        "ingest": {"source": {"files": "rows.jsonl"}},
        "train": {"target": "failed", "model": {"kind": "linear"}},
        "evaluate": {"metric": "roc_auc"},
        "watch": {},
    }
    document = {"type": "factory_assets.ModelPipeline", "attributes": spec}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def _answer(home: Home, rows: int) -> None:
    """Log answers of one row each, as `factory serve` does."""
    asked = _rows(_EXAMPLES, 2)
    outputs = load_champion("fleet", home)[1].outputs(pa.Table.from_pylist(asked)).tolist()
    records = [
        encode(
            PredictionRecord(
                time=time.time_ns() // 1000 + number,
                duration=800,
                pipeline="fleet",
                version=1,
                caller="",
                protocol="plain",
                kind="answer",
                status=200,
                rows=1,
                input=json.dumps([{name: row[name] for name in row if name != "failed"}]).encode(),
                output=json.dumps(
                    {"predictions": [str(int(shares[1] > 0.5))], "probabilities": [shares]}
                ).encode(),
            )
        )
        for number, (row, shares) in enumerate(zip(asked, outputs, strict=True))
    ]
    ids = PredictionIds()
    with PredictionLog(home) as log:
        journal = log.journal()
        for number in range(rows):
            journal.append(ids.take(), records[number % _EXAMPLES])
            if number % 1_000 == 0:
                journal.flush()
        journal.flush()
        journal.close()
        log.collect()


if __name__ == "__main__":
    for result in run(*map(int, sys.argv[1:])):
        print(result.name, result.measured, sep=": ")
