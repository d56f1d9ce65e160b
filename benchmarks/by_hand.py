"""Compare a declared pipeline with the same job written by hand: pandas, Lightning, MLflow.

    python -m benchmarks.by_hand [ROWS ...]
    python -m benchmarks.by_hand SIDE FOLDER     (one side, in a process of its own)

Both read a CSV file, drop broken rows and duplicates, train the same network for three epochs and
register it. The declared one also has a contract, a quarantine, row identity, calibration, gates,
and an exported graph that is compared with the model; its evaluation is measured bare (no bootstrap
and no importances) and as it is by default.
"""

import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measure import FACTORY, Result, Usage, measure

ROWS = 1_000_000
TARGETS = {"bare": 1.15, "default": 1.3}
"""Evaluation to the most CPU time relative to the job by hand."""

_EVALUATE: dict[str, dict[str, Any]] = {"bare": {"bootstrap": 0, "importances": 0}, "default": {}}
_EPOCHS, _BATCH, _RATE, _HIDDEN, _SEED = 3, 1024, 0.001, (64, 32), 1
_RANGES = {"air": (250, 350), "torque": (1, 120), "speed": (500, 4000)}
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        measure([*_COMMAND, "prepare", name], {"BENCHMARK_ROWS": str(rows)})
        hand = measure([*_COMMAND, "hand", name], _ONE_THREAD)
        precision = _precision(hand.output)
        return [_declared(root, kind, rows, hand, precision) for kind in TARGETS]


def _declared(root: Path, kind: str, rows: int, hand: Usage, precision: float) -> Result:
    home = {**_ONE_THREAD, "FACTORY_HOME": str(root / kind), "FACTORY_DEFS": str(root / "defs")}
    # A home is set up once, not on every run, so it is not measured.
    measure([FACTORY, "env"], home)
    declared = measure([FACTORY, "run", f"job_{kind}"], home)
    reached = _precision(measure([*_COMMAND, "verdict", str(root), kind], home).output)
    ratio = declared.cpu / hand.cpu
    return Result(
        f"a job by hand and declared, {rows:,} rows, {kind} evaluation",
        f"CPU {ratio:.2f}x ({declared.cpu:.1f} / {hand.cpu:.1f} s), wall {declared.wall:.1f} / "
        f"{hand.wall:.1f} s, average precision {reached:.3f} / {precision:.3f}",
        f"CPU <= {TARGETS[kind]}x, precision >= that of the job by hand",
        ratio <= TARGETS[kind] and reached >= precision,
    )


_COMMAND = [sys.executable, "-m", "benchmarks.by_hand"]


def _precision(output: str) -> float:
    return float(output.splitlines()[-1])


def prepare(folder: Path) -> None:
    """Write the readings of machines, 1 % of them broken and 1 % twice, and the declarations."""
    import duckdb

    rows = int(os.environ["BENCHMARK_ROWS"])
    query = f"""
        SELECT i AS reading, ['L', 'M', 'H'][1 + (hash(i, 1) % 3)::INT] AS kind,
            round(300 + {_normal_sql(30)}, 1) AS air,
            round(40 + 10 * {_normal_sql(10)}, 1) AS torque,
            CASE WHEN hash(i, 2) % 100 = 0 THEN -1 ELSE round(1500 + 180 * {_normal_sql(20)}) END
                AS speed,
            (i * 12 // 5) % 253 AS wear
        FROM (SELECT range % {rows} AS i FROM range({rows + rows // 100}))"""
    power = "torque * abs(speed) * 2 * pi() / 60"
    strain = "wear * torque > 9500 + 1000 * (kind = 'M')::INT + 2000 * (kind = 'H')::INT"
    failed = f"({power} < 3500 OR {power} > 9000 OR {strain})::INT"
    duckdb.execute(
        f"COPY (SELECT *, {failed} AS failed FROM ({query})) "
        f"TO '{folder / 'data.csv'}' (FORMAT csv)"
    )
    for kind, evaluate in _EVALUATE.items():
        place = folder / "defs" / f"job_{kind}"
        place.mkdir(parents=True)
        document = {"type": "factory_assets.ModelPipeline", "attributes": _attributes(evaluate)}
        (place / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def _normal_sql(first: int) -> str:
    """Return SQL for a nearly normal number of row `i`: the sum of four uniform ones."""
    uniform = (f"hash(i, {first + k}) % 1000000 / 1e6" for k in range(4))
    return f"(({' + '.join(uniform)} - 2) * 1.73)"


def _attributes(evaluate: dict[str, Any]) -> dict[str, Any]:
    columns = [
        {"name": "reading", "type": "int64"},
        {"name": "kind", "type": "string"},
        *({"name": n, "type": "float64", "range": list(r)} for n, r in _RANGES.items()),
        {"name": "wear", "type": "float64"},
        {"name": "failed", "type": "int64", "values": [0, 1]},
    ]
    model = {"kind": "mlp", "hidden": [*_HIDDEN], "dropout": 0.0, "epochs": _EPOCHS}
    model |= {"batch_size": _BATCH, "learning_rate": _RATE, "weight_decay": 0.0}
    gate = {"metric": "average_precision", "at_least": 0.01}
    return {
        "purpose": "The job by hand, declared",
        "ingest": {"source": {"files": "../../data.csv"}, "contract": columns},
        "clean": {
            "deduplicate": ["reading"],
            "derive": {"power": "torque * speed * 2 * pi() / 60"},
        },
        "split": {"test": 0.2, "validation": 0.01},
        "train": {"target": "failed", "exclude": ["reading"], "model": model, "seed": _SEED},
        "evaluate": {**evaluate, "gates": [gate]},
    }


def hand(folder: Path) -> float:
    """Do the job; return the average precision on the test rows."""
    import lightning.pytorch as pl
    import mlflow
    import numpy as np
    import pandas as pd
    import torch
    from sklearn.metrics import average_precision_score

    table = pd.read_csv(folder / "data.csv")
    table.to_parquet(folder / "raw.parquet", index=False)
    table = table.drop_duplicates("reading")
    for column, (low, high) in _RANGES.items():
        table = table[table[column].between(low, high)]
    table = table.assign(power=table.torque * table.speed * 2 * np.pi / 60)
    inputs = pd.get_dummies(table.drop(columns=["reading", "failed"]), dtype=np.float32)
    is_test = np.random.default_rng(_SEED).random(len(table)) < 0.2
    x = torch.from_numpy(inputs.to_numpy(np.float32))
    y = torch.from_numpy(table.failed.to_numpy(np.float32))
    train = torch.from_numpy(~is_test)
    mean, sd = x[train].mean(0), x[train].std(0)
    x = (x - mean) / sd
    pl.seed_everything(_SEED, verbose=False)
    sizes = [x.shape[1], *_HIDDEN]
    layers = [
        layer
        for before, after in pairwise(sizes)
        for layer in (torch.nn.Linear(before, after), torch.nn.ReLU())
    ]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            outputs = self.network(batch[0]).squeeze(1)
            return torch.nn.functional.binary_cross_entropy_with_logits(outputs, batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=_RATE)

    data = torch.utils.data.TensorDataset(x[train], y[train])
    batches = torch.utils.data.BatchSampler(
        torch.utils.data.RandomSampler(data), _BATCH, drop_last=False
    )
    loader = torch.utils.data.DataLoader(data, sampler=batches, batch_size=None)
    trainer = pl.Trainer(
        max_epochs=_EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader)
    network.eval()
    with torch.no_grad():
        scores = torch.sigmoid(network(x[~train]).squeeze(1)).numpy()
    precision = float(average_precision_score(y[~train].numpy(), scores))
    mlflow.set_tracking_uri(f"sqlite:///{folder}/by_hand.db")
    # Without a place of its own, MLflow writes the model below the working directory.
    experiment = mlflow.create_experiment("by_hand", artifact_location=str(folder / "artifacts"))
    with mlflow.start_run(experiment_id=experiment):
        mlflow.log_metric("average_precision", precision)
        mlflow.pytorch.log_model(
            network,
            name="model",
            input_example=x[:2].numpy(),
            pip_requirements=["torch", "mlflow"],
            registered_model_name="by_hand",
        )
    mlflow.MlflowClient().set_registered_model_alias("by_hand", "champion", "1")
    return precision


def verdict(folder: Path, kind: str) -> float:
    """Return the declared model's average precision on its test rows."""
    from factory_assets.declarations.loader import load_pipeline
    from factory_assets.results.evaluation import EvaluationResult
    from factory_assets.results.latest import ResultQuery, latest_result
    from factory_resources.home.home import Home

    pipeline = load_pipeline(folder / "defs" / f"job_{kind}")
    value = latest_result(ResultQuery(pipeline, "evaluate", Home.from_env()))
    assert isinstance(value, EvaluationResult)
    return value.metrics["average_precision"]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare", folder]:
            prepare(Path(folder))
        case ["hand", folder]:
            print(hand(Path(folder)))
        case ["verdict", folder, kind]:
            print(verdict(Path(folder), kind))
        case sizes:
            for size in map(int, sizes or [ROWS]):
                for result in run(size):
                    print(result.name, result.measured, sep=": ")
