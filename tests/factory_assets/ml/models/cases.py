"""Pipelines, tables and stage results shared by the tests from split to the served model."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult, GateResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.deploy import deploy
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, TableFile, read_arrow
from factory_resources.tracking.registry import Registry
from tests.shared_homes import made_once

TASKS = ("binary", "multiclass", "regression")

KINDS: dict[str, dict[str, Any]] = {
    "linear": {"kind": "linear"},
    "random_forest": {"kind": "random_forest", "trees": 20},
    "gradient_boosting": {"kind": "gradient_boosting", "iterations": 20},
    "lightgbm": {"kind": "lightgbm", "iterations": 20},
    "mlp": {"kind": "mlp", "epochs": 10, "hidden": [16]},
    "tabm": {"kind": "tabm", "epochs": 10, "hidden": [16], "members": 4, "learning_rate": 0.01},
}
ABSOLUTE = {
    f"{kind} of medians": KINDS[kind] | {"loss": "absolute_error"}
    for kind in ("gradient_boosting", "lightgbm")
}
"""For numbers alone."""
KINDS["extra_trees"] = {"kind": "extra_trees", "trees": 20}
KINDS["auto"] = {"kind": "auto", "members": [*KINDS.values()]}

SEQUENCES: dict[str, dict[str, Any]] = {
    kind: {"kind": kind, "by": "unit", "order": "cycle", "window": 6, "hidden": 8, "epochs": 6}
    | {"batch_size": 64, "learning_rate": 0.02, "dropout": 0.0}
    for kind in ("gru", "tcn", "transformer")
}


def home_with_registry(root: Path) -> Home:
    """Return a home with MLflow's tables, made once: that takes longer than what is tested."""
    made_once("registry", root, _make_registry)
    return Home(root)


def _make_registry(root: Path) -> None:
    home = Home(root)
    home.require_writable()
    Registry(home).initialise()


def pipeline(folder: Path, model: dict[str, Any], **train: Any) -> Pipeline:
    """Return a pipeline whose model is fitted once, unless `refit` is given."""
    spec = {
        "purpose": "test",
        "ingest": {"source": {"files": "rows.csv"}},
        "split": {"group": "unit"} if "by" in model else {},
        "train": {"target": "y", "seed": 3, "model": model, "refit": "never", **train},
    }
    return Pipeline("p", PipelineSpec.model_validate(spec), folder)


def rows(count: int, seed: int, task: str = "binary") -> pa.Table:
    """Return numbers and names with gaps, a boolean, and a target that mostly depends on them."""
    chance = np.random.default_rng(seed)
    heat, wear = chance.normal(50, 10, count), chance.exponential(2, count)
    colour = chance.choice(["red", "green", "blue"], count)
    open_ = chance.integers(0, 2, count)
    score = (heat - 50) / 10 + wear * (colour == "red") - 1 + open_ + chance.normal(0, 0.3, count)
    target: Any = score * 100 + 1000
    if task == "binary":
        target = (score > 0.7).astype(int)
    if task == "multiclass":
        target = np.array(["low", "mid", "top"])[np.digitize(score, [0, 1])]
    gaps = chance.random((2, count)) < 0.1
    return pa.table(
        {
            "_file": ["f"] * count,
            "_row": np.arange(1, count + 1),
            "heat": pa.array(heat, mask=gaps[0]),
            "wear": wear,
            "colour": pa.array(colour.tolist(), mask=gaps[1]),
            "open": open_.astype(bool),
            "y": target,
        }
    )


def towns(count: int, seed: int, task: str = "binary", *, effect: float = 1.0) -> pa.Table:
    """Return rows of 300 towns that move the target; some rows have no town, or a rare one."""
    chance = np.random.default_rng(seed)
    table = rows(count, seed, "regression")
    of_town = np.random.default_rng(0).normal(0, 200 * effect, 300)
    town = chance.integers(0, 300, count)
    target: Any = table["y"].to_numpy() + of_town[town]
    if task == "binary":
        target = (target > 1000).astype(int)
    if task == "multiclass":
        target = np.array(["low", "mid", "top"])[np.digitize(target, [900, 1100])]
    names = np.where(chance.random(count) < 0.02, chance.integers(10_000, 99_999, count), town)
    changed = table.set_column(table.column_names.index("y"), "y", pa.array(target))
    return changed.append_column("town", pa.array(names, mask=chance.random(count) < 0.02))


def series(units: int, seed: int, task: str = "binary") -> pa.Table:
    """Return shuffled series of 1 to 40 rows whose target is a function of the last three rows."""
    chance = np.random.default_rng(seed)
    lengths = chance.integers(1, 41, units)
    count = int(lengths.sum())
    step = np.concatenate([np.arange(n) for n in lengths])
    heat = chance.normal(50, 10, count)
    colour = chance.choice(["red", "green"], count)
    current = (heat - 50) / 10 + (colour == "red") - 0.5
    score = current.copy()
    for back in (1, 2):
        score[back:] += np.where(step[back:] >= back, current[:-back], 0)
    target: Any = score * 100 + 1000
    if task == "binary":
        target = (score > 0.7).astype(int)
    if task == "multiclass":
        target = np.array(["low", "mid", "top"])[np.digitize(score, [-1, 1])]
    rows = pa.table(
        {
            "_file": ["f"] * count,
            "_row": np.arange(1, count + 1),
            "unit": np.repeat([f"u{i}" for i in range(units)], lengths).tolist(),
            "cycle": step,
            "heat": pa.array(heat, mask=chance.random(count) < 0.03),
            "wear": chance.exponential(2, count),
            "colour": colour.tolist(),
            "y": target,
        }
    )
    return rows.take(chance.permutation(count))


def hostile(table: pa.Table) -> pa.Table:
    """Return the rows with values that training never saw: gaps, new names, infinite numbers."""
    count = table.num_rows
    wear = table["wear"].to_numpy().copy()
    wear[::5], wear[1::5], wear[2::5] = np.nan, np.inf, -1e30
    colour = [None if i % 3 else "never seen" for i in range(count)]
    position = table.column_names.index
    return table.set_column(position("wear"), "wear", pa.array(wear)).set_column(
        position("colour"), "colour", pa.array(colour)
    )


def keep(home: Home, name: str, table: pa.Table) -> Snapshot:
    """Store a table in the home as a snapshot of pipeline `p`."""
    home.require_writable()
    folder = home.tables / "p" / name
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "new.parquet")
    digest = sha256((folder / "new.parquet").read_bytes()).hexdigest()
    (folder / "new.parquet").rename(folder / f"{digest}.parquet")
    return Snapshot(
        table=f"p/{name}",
        files=(
            TableFile(
                sha256=digest,
                rows=table.num_rows,
                bytes=(folder / f"{digest}.parquet").stat().st_size,
            ),
        ),
        columns={field.name: str(field.type) for field in table.schema},
    )


def parts(home: Home, task: str = "binary", count: int = 600) -> SplitResult:
    """Store `count` training rows and a third as many validation and test rows."""
    return SplitResult(
        train=keep(home, "train", rows(count, 1, task)),
        validation=keep(home, "validation", rows(count // 3, 2, task)),
        test=keep(home, "test", rows(count // 3, 3, task)),
    )


def serve(
    declared: Pipeline,
    split: SplitResult,
    candidate: Candidate,
    said: EvaluationResult,
    home: Home,
) -> Champion:
    """Deploy the candidate, and let it serve; the home has no ledger."""
    champion = deploy(declared, split, candidate, said, home)
    Registry(home).set_alias(candidate.model, candidate.version)
    return champion


def verdict(
    declared: Pipeline, split: SplitResult, candidate: Candidate, home: Home, *, passed: bool = True
) -> EvaluationResult:
    """Return a result of `evaluate`: the model's outputs for the test rows, and one gate."""
    test = read_arrow(split.test, home)
    outputs = load_trained(candidate, home, declared.folder).outputs(test)
    columns = (
        {f"p_{i}": outputs[:, i] for i in range(len(candidate.classes))}
        if candidate.classes
        else {"prediction": outputs}
    )
    predictions = pa.table(
        {"_file": test["_file"], "_row": test["_row"], "truth": test["y"], **columns}
    )
    gate = GateResult(
        name="gate", metric="f1", value=0.5, bound=0.4, passed=passed, explanation="f1 0.5, bound"
    )
    return EvaluationResult(
        candidate=candidate,
        headline="f1",
        metrics={"f1": 0.5},
        intervals={},
        baselines={},
        champion=None,
        champion_version=None,
        gates=(gate,),
        slices=(),
        predictions=keep(home, f"predictions_{candidate.version}", predictions),
        pictures={},
    )
