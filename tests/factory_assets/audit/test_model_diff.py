"""What differs between two models is told by place and size, and no value with it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from factory_assets.audit.model_diff import Apart, FileApart, compare


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "before", tmp_path / "now"
    for folder in folders:
        folder.mkdir()
    return folders


def test_the_same_is_nothing(two: tuple[Path, Path]) -> None:
    for folder in two:
        save_file({"a": np.ones(3)}, folder / "w.safetensors")
        (folder / "manifest.json").write_text(str(folder))
    assert compare(*two) == ()


def test_tensors(two: tuple[Path, Path]) -> None:
    same = np.zeros(2, dtype=np.float32)
    tensors: list[dict[str, Any]] = [
        {"a": np.array([1.0, 2.0]), "b": same, "c": np.zeros(2), "gone": same, "n": np.zeros(1)},
        {"a": np.array([1.5, 1.0]), "b": same, "c": np.zeros(3), "n": np.array([np.nan])},
    ]
    for folder, content in zip(two, tensors, strict=True):
        save_file(content, folder / "w.safetensors")
    [file] = compare(*two)
    assert file == FileApart(
        name="w.safetensors",
        state="other",
        places=(
            Apart(at="a", difference=1.0),
            Apart(at="c", what="float64[2] is now float64[3]"),
            Apart(at="gone", what="missing"),
            Apart(at="n", what="not all are numbers"),
        ),
    )


def test_estimators_field_by_field(two: tuple[Path, Path]) -> None:
    kinds = np.dtype([("threshold", "f8"), ("left", "i4")])
    for folder, threshold in zip(two, (1.0, 1.25), strict=True):
        np.save(folder / "0.npy", np.array([(threshold, 3)], dtype=kinds))
        with zipfile.ZipFile(folder / "estimator.skops", "w") as archive:
            archive.write(folder / "0.npy", "0.npy")
            archive.writestr("schema.json", json.dumps({"depth": int(threshold * 4)}))
        (folder / "0.npy").unlink()
    [file] = compare(*two)
    assert file.places == (
        Apart(at="0.npy.threshold", difference=0.25),
        Apart(at="depth", difference=1.0),
    )


def test_a_description_by_place_without_values(two: tuple[Path, Path]) -> None:
    for folder, name, mean in zip(two, ("Alice", "Bob"), (4.0, 4.5), strict=True):
        content = {"features": [{"mean": mean, "vocabulary": [name]}], "same": True}
        (folder / "model.json").write_text(json.dumps(content))
    (two[0] / "old.txt").write_text("x")
    (two[1] / "new.txt").write_text("x")
    found = compare(*two)
    assert [(file.name, file.state) for file in found] == [
        ("model.json", "other"),
        ("new.txt", "new"),
        ("old.txt", "missing"),
    ]
    assert found[0].places == (
        Apart(at="features[0].mean", difference=0.5),
        Apart(at="features[0].vocabulary[0]", what="other"),
    )
    assert "Alice" not in found[0].model_dump_json()
