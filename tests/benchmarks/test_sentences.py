"""The benchmark of sentences: which sentences it finds, and that both readings are judged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import sentences
from benchmarks.sentences import docstrings, judged

MODULE = '''
def told(a, b):
    """Tell people in time
    what happened.

    More."""

def repeated():
    """Tell people in time what happened."""

def _hidden():
    """Nobody outside reads this one here."""

def brief():
    """Say it."""
'''


def test_first_sentences_of_what_is_public_are_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spoken").mkdir()
    (tmp_path / "spoken" / "__init__.py").write_text(MODULE)
    (tmp_path / "spoken" / "newer.py").write_text("def f[T](: a newer syntax")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sentences, "PACKAGES", ("spoken", "no_such_package"))
    assert docstrings().to_dict("records") == [
        {
            "sentence": "Tell people in time what happened.",
            "arguments": 2,
            "lines": 4,
            "package": "spoken",
        }
    ]


@pytest.mark.slow
def test_sentences_taken_for_categories_are_judged() -> None:
    lines = np.random.default_rng(0).integers(1, 50, 120)
    said = [f"Tell people number {i} what happened." for i in range(120)]
    package = np.where(lines > 25, "long", "short")
    table = pd.DataFrame({"sentence": said, "arguments": 1, "lines": lines, "package": package})
    found = judged(table, "linear", 0, {"text": {}})
    assert 0.8 < found.accuracy <= 1
    assert 0 < found.loss < 0.5
