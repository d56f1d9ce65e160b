"""A home made by earlier code answers later code as it answered then.

Its records, tables, tags, files and published JSON are a promise. `make.py` made the archive.
"""

import csv
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.recorded_home.make import ARCHIVE, QUESTIONS, ask

pytestmark = pytest.mark.slow
_ABOUT_THE_CODE = {"environment", "seconds"}
"""What a reproduction says of today's code and of its own run."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "recorded"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _asked(root: Path, name: str) -> tuple[str, str]:
    """What was answered then, with today's folder in it, and what is answered now."""
    answers = json.loads((root / "answers.json").read_text())
    then = answers[name].replace((root / "root.txt").read_text(), str(root))
    done = ask(root, *QUESTIONS[name])
    assert done.returncode in (0, 1), done.stderr
    return then, done.stdout


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("trace")])
def test_traces_as_then(root: Path, name: str) -> None:
    then, now = _asked(root, name)
    assert json.loads(now) == json.loads(then)


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("predict")])
def test_predicts_as_then(root: Path, name: str) -> None:
    then, now = (_rows(text) for text in _asked(root, name))
    assert [_words(row) for row in now] == [_words(row) for row in then]
    for one, other in zip(then, now, strict=True):
        assert _numbers(other) == pytest.approx(_numbers(one), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name.startswith("reproduce")])
def test_reproduces_as_then(root: Path, name: str) -> None:
    then, now = (json.loads(text) for text in _asked(root, name))
    if {"processor", "device"} & {one["what"] for one in now["environment"]}:
        pytest.skip("the bits of a model are those of its kind of processor; this is another")
    assert _without(now) == _without(then)


def _without(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in _ABOUT_THE_CODE}


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _words(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if not name.startswith("p_")}


def _numbers(row: dict[str, str]) -> list[float]:
    return [float(value or "nan") for name, value in row.items() if name.startswith("p_") and value]


def test_a_run_upon_it_ends_well_and_keeps_its_versions(root: Path) -> None:
    done = ask(root, "run", "pears")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ask(root, "trace", "pears@1").returncode == 0
    assert sorted(os.listdir(root / "home" / "records")) == ["apples", "nets", "pears"]
