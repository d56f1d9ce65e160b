"""Comparing two models reports the place and size of each difference, but no values."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from factory_assets.audit.model_diff import Difference, FileDifference, compare


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    pair = tmp_path / "before", tmp_path / "now"
    for folder in pair:
        folder.mkdir()
    return pair


def test_equal_models_have_no_differences(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        save_file({"a": np.ones(3)}, folder / "w.safetensors")
        (folder / "manifest.json").write_text(str(folder))
    assert compare(*folders) == ()


def test_tensors_are_compared_by_largest_difference(folders: tuple[Path, Path]) -> None:
    same = np.zeros(2, dtype=np.float32)
    tensors: list[dict[str, Any]] = [
        {"a": np.array([1.0, 2.0]), "b": same, "c": np.zeros(2), "gone": same, "n": np.zeros(1)},
        {"a": np.array([1.5, 1.0]), "b": same, "c": np.zeros(3), "n": np.array([np.nan])},
    ]
    for folder, content in zip(folders, tensors, strict=True):
        save_file(content, folder / "w.safetensors")
    [file] = compare(*folders)
    assert file == FileDifference(
        name="w.safetensors",
        state="other",
        places=(
            Difference(at="a", difference=1.0),
            Difference(at="c", what="float64[2] is now float64[3]"),
            Difference(at="gone", what="missing"),
            Difference(at="n", what="not all are numbers"),
        ),
    )


def test_estimators_are_compared_field_by_field(folders: tuple[Path, Path]) -> None:
    kinds = np.dtype([("threshold", "f8"), ("left", "i4")])
    for folder, threshold in zip(folders, (1.0, 1.25), strict=True):
        np.save(folder / "0.npy", np.array([(threshold, 3)], dtype=kinds))
        with zipfile.ZipFile(folder / "estimator.skops", "w") as archive:
            archive.write(folder / "0.npy", "0.npy")
            archive.writestr("schema.json", json.dumps({"depth": int(threshold * 4)}))
        (folder / "0.npy").unlink()
    [file] = compare(*folders)
    assert file.places == (
        Difference(at="0.npy.threshold", difference=0.25),
        Difference(at="depth", difference=1.0),
    )


def test_a_description_is_compared_by_place_without_values(folders: tuple[Path, Path]) -> None:
    for folder, name, mean in zip(folders, ("Alice", "Bob"), (4.0, 4.5), strict=True):
        content = {"features": [{"mean": mean, "vocabulary": [name]}], "same": True}
        (folder / "model.json").write_text(json.dumps(content))
    (folders[0] / "old.txt").write_text("x")
    (folders[1] / "new.txt").write_text("x")
    differing = compare(*folders)
    assert [(file.name, file.state) for file in differing] == [
        ("model.json", "other"),
        ("new.txt", "new"),
        ("old.txt", "missing"),
    ]
    assert differing[0].places == (
        Difference(at="features[0].mean", difference=0.5),
        Difference(at="features[0].vocabulary[0]", what="other"),
    )
    assert "Alice" not in differing[0].model_dump_json()
