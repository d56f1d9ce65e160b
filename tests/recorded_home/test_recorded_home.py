"""Later code gives the same output from a home that earlier code wrote.

Records, tables, tags, files and published JSON must stay readable. The archive is from `make.py`.
"""

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.reproduce import find_recorded_training
from factory_resources.home.home import Home
from tests.commands import forked
from tests.recorded_home.make import QUESTIONS, ask, unpack

pytestmark = pytest.mark.slow
_ABOUT_THE_CODE = {"environment", "seconds"}
"""Keys of a reproduction that depend on today's code and on the run itself."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "recorded"
    unpack(folder)
    return folder


def _ask_quickly(root: Path, *question: str) -> subprocess.CompletedProcess[str]:
    return forked(root / "home", FACTORY_DEFS=str(root / "defs"))(*question, cwd=root)


def _recorded_and_current(
    root: Path, name: str, asked: Callable[..., subprocess.CompletedProcess[str]] = _ask_quickly
) -> tuple[str, str]:
    """Return the recorded output, with today's folder in it, and the current output."""
    answers = json.loads((root / "answers.json").read_text())
    recorded = answers[name].replace((root / "root.txt").read_text(), str(root))
    done = asked(root, *QUESTIONS[name])
    assert done.returncode in (0, 1), done.stderr
    return recorded, done.stdout


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("trace")])
def test_a_trace_is_the_recorded_one(root: Path, name: str) -> None:
    recorded, current = _recorded_and_current(root, name)
    assert json.loads(current) == json.loads(recorded)


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("predict")])
def test_predictions_are_the_recorded_ones(root: Path, name: str) -> None:
    recorded, current = (_rows(text) for text in _recorded_and_current(root, name))
    assert [_words(row) for row in current] == [_words(row) for row in recorded]
    for before, now in zip(recorded, current, strict=True):
        assert _probabilities(now) == pytest.approx(_probabilities(before), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("reproduce")])
def test_a_reproduction_is_the_recorded_one(root: Path, name: str) -> None:
    original = find_recorded_training(QUESTIONS[name][1], Home(root / "home"), {})
    is_elsewhere = bool({"processor", "device"} & {change.what for change in original.environment})
    # The number of threads is part of some models, and only a process of its own has as many.
    outputs = _recorded_and_current(root, name, _ask_quickly if is_elsewhere else ask)
    recorded, current = (json.loads(text) for text in outputs)
    if is_elsewhere:
        pytest.skip("models are identical only on the kind of processor that they were trained on")
    assert _comparable(current) == _comparable(recorded)


def _comparable(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in _ABOUT_THE_CODE}


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _words(row: dict[str, str]) -> dict[str, str]:
    # An answer is logged under another id each time.
    return {n: value for n, value in row.items() if n != "id" and not n.startswith("p_")}


def _probabilities(row: dict[str, str]) -> list[float]:
    return [float(value or "nan") for name, value in row.items() if name.startswith("p_") and value]


def test_a_run_in_a_recorded_home_succeeds_and_retains_its_versions(root: Path) -> None:
    done = _ask_quickly(root, "run", "pears")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _ask_quickly(root, "trace", "pears@1").returncode == 0
    assert sorted(os.listdir(root / "home" / "records")) == ["apples", "nets", "pears"]
