"""`factory new` on images: the folder of each one says what it shows."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from factory_assets.cli.new.new import new
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult
from factory_resources.errors import DataError, SourceError
from factory_resources.home.home import Home


def write(folder: Path, count: int, mode: str = "L", size: tuple[int, int] = (40, 24)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cells = np.full((size[1], size[0], 3), number * 20, np.uint8)
        Image.fromarray(cells).convert(mode).save(folder / f"part {number}.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes, a file that is there twice, and one that is no image."""
    folder = tmp_path / "images"
    write(folder / "good", 6)
    write(folder / "Riß", 4)
    (folder / "good" / "again.png").write_bytes((folder / "good" / "part 1.png").read_bytes())
    (folder / "good" / "broken.png").write_bytes(b"no image")
    return folder


def test_a_folder_for_each_class_is_drafted(images: Path, home: Home, tmp_path: Path) -> None:
    drafted = new("parts", source=images, folder=tmp_path / "defs")
    assert (drafted.target, drafted.guessed) == ("label", "")
    text = drafted.path.read_text()
    assert "# Riß 4, good 8" in text
    pipeline = load_pipeline(drafted.path.parent)
    spec = pipeline.spec
    assert (spec.training.task, spec.training.positive) == ("binary", "Riß")
    source = yaml.safe_load(text)["attributes"]["ingest"]["source"]
    assert source == {
        "images": ["../../images/*/*.png"],
        "label": "label",
        "size": 24,
        "colours": "grey",
    }
    for stage in ("ingest", "clean"):
        done = run_stage(StageRequest(pipeline, stage, home, run_id="r"))
    # Two of the brightnesses are in both folders, as is the copy: each file counts once.
    assert isinstance(done.value, CleanResult)
    assert done.value.snapshot.rows == 6
    assert done.value.rows_in == 11


def test_suffixes_and_depths_may_differ_and_one_colour_makes_all_of_them_coloured(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "images"
    for name in ("a", "b", "more/c"):
        write(folder / name, 6, "RGB", (300, 200))
    (folder / "a" / "part 0.png").rename(folder / "a" / "first.JPG")
    drafted = new("parts", source=folder, folder=tmp_path / "defs", target="kind")
    attributes = yaml.safe_load(drafted.path.read_text())["attributes"]
    source = attributes["ingest"]["source"]
    assert source["images"] == ["../../images/**/*.JPG", "../../images/**/*.png"]
    assert (source["size"], source["colours"], source["label"]) == (64, "rgb", "kind")
    assert attributes["train"]["task"] == "multiclass"
    load_pipeline(drafted.path.parent)
    drafted = new("some", source=folder / "[ab]" / "*.png", folder=tmp_path / "defs")
    assert "# a 5, b 6\n" in drafted.path.read_text()


def test_images_without_classes_are_no_table(images: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"good: 8 images in one folder: .* name the folder above"
    ):
        new("parts", source=images / "good", folder=tmp_path / "defs")
    with pytest.raises(DataError, match="'path' is a column of every image"):
        new("parts", source=images, folder=tmp_path / "defs", target="path")
    assert not (tmp_path / "defs").exists()


def test_too_few_images_of_a_class_are_told_as_too_few_rows_are(tmp_path: Path) -> None:
    for name, count in (("good", 9), ("bad", 2)):
        write(tmp_path / "images" / name, count)
    with pytest.raises(DataError, match=r"folders in images have 9 and 2 images, too few"):
        new("parts", source=tmp_path / "images", folder=tmp_path / "defs")
    assert not (tmp_path / "defs").exists()


def test_a_text_beside_images_is_no_table(images: Path, tmp_path: Path) -> None:
    (images / "README.txt").write_text("Parts of this week.\nGood ones and torn ones.\n")
    drafted = new("parts", source=images, folder=tmp_path / "defs")
    assert "# Riß 4, good 8" in drafted.path.read_text()


def test_a_table_beside_images_is_drafted(images: Path, tmp_path: Path) -> None:
    rows = [f"{number % 7}.5,{'good' if number % 3 else 'bad'}" for number in range(60)]
    (images / "measured.csv").write_text("\n".join(["size,grade", *rows]) + "\n")
    drafted = new("parts", source=images, folder=tmp_path / "defs")
    assert drafted.target == "grade"
