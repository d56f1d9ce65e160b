"""Pictures from files: read within limits, learned by a small network, and served the same."""

import base64
import io
import json
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import BATCH_VALUES, OnnxModel
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.ml.models.base import CLIP_SD, Shape
from factory_assets.ml.training.fitting import fit
from factory_assets.results.stages import STAGES
from factory_assets.serving.batch import predict
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.openapi import example, row_schema
from factory_assets.serving.http.records import record_of
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.refusals import explain
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.serving.scored_file import as_declared
from factory_assets.spec import Cnn, ImageSource, Pipeline
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, DataError, SourceError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.prediction_log.record import decode
from factory_resources.sources.files import images
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import hostile, pipeline, rows
from tests.factory_assets.ml.models.test_kinds import same_everywhere
from tests.factory_assets.serving.http.cases import call_of
from tests.long_run import in_long
from tests.pipelines import declare

DIGITS: dict[str, Any] = {
    "purpose": "Tell digits apart",
    "ingest": {
        "source": {"images": "scans/*/*.png", "size": 8, "colours": "grey", "label": "digit"},
        "contract": [
            {"name": "path", "type": "string"},
            {"name": "sha256", "type": "string"},
            {"name": "digit", "type": "string"},
            {"name": "pixels", "type": "string", "nullable": False},
        ],
    },
    "split": {"test": 0.25, "validation": 0.15, "stratify": "digit"},
    "train": {
        "target": "digit",
        "exclude": ["path", "sha256"],
        "model": {"kind": "cnn", "image": "pixels", "epochs": 20},
        "seed": 1,
    },
    "evaluate": {"gates": [{"metric": "accuracy", "at_least": 0.9}]},
}


def write_digits(folder: Path, count: int) -> None:
    """Write scikit-learn's digits as PNG files, each in a folder named after its class."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i in range(count):
        place = folder / "scans" / str(digits.target[i])
        place.mkdir(parents=True, exist_ok=True)
        grey = (digits.images[i] * 255 / 16).astype(np.uint8)
        Image.fromarray(grey).save(place / f"{i:04}.png")


def small(folder: Path, **source: Any) -> Pipeline:
    ingesting = {**DIGITS["ingest"], "source": {**DIGITS["ingest"]["source"], **source}}
    return declare(folder, {**DIGITS, "ingest": ingesting})


def png(image: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def run(declared: Pipeline, home: Home) -> dict[str, StageRun]:
    prepare(home)
    return {stage: run_stage(StageRequest(declared, stage, home, "run")) for stage in STAGES}


@pytest.mark.slow
@pytest.mark.long
def test_digits_from_files_to_predictions(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "digits"
    write_digits(folder, 700)
    declared = declare(folder, DIGITS)
    values: Any = {stage: result.value for stage, result in run(declared, home).items()}
    candidate, verdict = values["train"], values["evaluate"]
    assert verdict.metrics["accuracy"] > 0.9
    assert verdict.metrics["accuracy"] > verdict.baselines["trivial"]["accuracy"] + 0.5
    assert "pixels" in candidate.categorical
    test = read_arrow(values["split"].test, home)
    trained = load_trained(candidate, home, folder)
    served = OnnxModel.of(export(trained))
    assert served._rows_at_once() == BATCH_VALUES // (1 + 8 * 8)
    difference = np.abs(served.outputs(test) - trained.outputs(test))
    assert difference.max() <= 1e-5
    row = test.slice(0, 1).to_pylist()[0]
    scored = predict(declared, folder / "scans" / row["digit"] / Path(row["path"]).name, home)
    assert scored["prediction"].to_pylist()[0] == served.classes[served.outputs(test)[0].argmax()]
    file = folder / "scans" / row["digit"] / Path(row["path"]).name
    require_same_in_a_request(ServedModel(declared.name, 1, served, home), file, scored)
    assert all(result.reused for result in run(declared, home).values())
    (folder / "scans" / row["digit"] / Path(row["path"]).name).write_bytes(
        png(Image.new("L", (8, 8), 7))
    )
    after = run_stage(StageRequest(declared, "ingest", home, "run"))
    assert not after.reused
    assert after.value.data_version != values["ingest"].data_version


def require_same_in_a_request(served: ServedModel, file: Path, scored: pa.Table) -> None:
    content = base64.b64encode(file.read_bytes()).decode()
    [outputs] = served.score([{"pixels": content}]).outputs.tolist()
    assert outputs == [scored[f"p_{name}"].to_pylist()[0] for name in served.model.classes]
    broken = served.score([{"pixels": content}, {"pixels": "no picture"}, {"pixels": None}])
    assert [one.row for one in broken.refusals] == [1, 2]
    served.close()


@pytest.mark.slow
def test_a_renamed_picture_is_served_and_one_that_is_none_refuses_its_row_alone(
    tmp_path: Path, home: Home
) -> None:
    write_digits(tmp_path / "digits", 60)
    *columns, pixels = DIGITS["ingest"]["contract"]
    # A model of images reads no row without one, whether the contract says so or not.
    renamed = [*columns, {**pixels, "name": "scan", "from": "pixels", "nullable": True}]
    learning = {**DIGITS["train"], "model": {"kind": "cnn", "image": "scan", "epochs": 1}}
    ingesting = {**DIGITS["ingest"], "contract": renamed}
    declared = declare(
        tmp_path / "digits", {**DIGITS, "ingest": ingesting, "train": learning, "split": {}}
    )
    prepare(home)
    stages: Any = {s: run_stage(StageRequest(declared, s, home, "run")) for s in STAGES[:4]}
    trained = load_trained(stages["train"].value, home, tmp_path / "digits")
    served = ServedModel(declared.name, 1, OnnxModel.of(export(trained)), home)
    [row] = read_arrow(stages["split"].value.test, home).slice(0, 1).to_pylist()
    file = base64.b64encode((tmp_path / "digits" / row["path"]).read_bytes()).decode()
    others = [row["scan"] + "é", row["scan"][:-4], "4x4x1:" + "A" * 24, 7, None]
    scored = served.score([{"pixels": value} for value in (file, *others, row["scan"])])
    assert row_schema(served)["properties"]["pixels"]["contentEncoding"] == "base64"
    call = call_of(served, [{"pixels": file}])
    rows_sent, _ = read_rows(call.body, served.decoder, Limits())
    logged = decode(record_of(call, rows_sent, served.score(rows_sent.objects()), None))
    assert json.loads(logged.input) == [{"pixels": row["scan"]}]
    assert list(scored.rows) == [0, 6]
    assert scored.outputs[0].tolist() == scored.outputs[1].tolist()
    assert [(one.row, one.rules) for one in scored.refusals] == [
        (i, ("null:scan",)) for i in range(1, 6)
    ]
    told = [
        explain(one, {"pixels": sent}, served.columns, served.model.clean, "scan")[0]["remedy"]
        for one, sent in zip(scored.refusals, others, strict=True)
    ]
    assert told[-1] == "send a value"
    image = "send the content of a PNG or JPEG file in base64 that can be read"
    assert {*told[:-1]} == {f"{image}; what was sent counts as none"}
    assert not served.score([example(served)]).refusals
    served.close()


def torn_camera_data() -> PngInfo:
    """Return the beginning of EXIF data as ImageMagick writes them into a PNG."""
    data = PngInfo()
    begun = b"Exif\0\0MM\0*"
    data.add_text("Raw profile type exif", f"\nexif\n{len(begun):8}\n{begun.hex()}\n")
    return data


def without_palette(content: bytes) -> bytes:
    """Return a PNG whose colours are numbers of a palette that it does not have."""
    start = content.index(b"PLTE") - 4
    size = int.from_bytes(content[start : start + 4])
    return content[:start] + content[start + 12 + size :]


def test_ingest_stores_one_row_per_file(tmp_path: Path, home: Home) -> None:
    write_digits(tmp_path / "digits", 12)
    result = read_arrow(ingest(small(tmp_path / "digits"), home).snapshot, home)
    assert result.num_rows == 12
    paths, digits = result["path"].to_pylist(), result["digit"].to_pylist()
    assert paths == sorted(paths)
    assert [Path(path).parent.name for path in paths] == digits
    assert len(set(result["sha256"].to_pylist())) == 12


def test_an_image_is_scored_as_the_images_of_several_sources_are_read(tmp_path: Path) -> None:
    sources = {name: {"images": f"{name}/*.png", "size": 8, "colours": "grey"} for name in "ab"}
    ingesting = {"sources": sources, "label": "site", "contract": DIGITS["ingest"]["contract"]}
    declared = declare(tmp_path, {**DIGITS, "ingest": ingesting})
    found = as_declared(declared.spec.ingest, tmp_path / "one.PNG")
    assert isinstance(found, ImageSource)
    assert (found.size, found.colours) == (8, "grey")


@pytest.mark.parametrize("name", ["one.gif", "Thumbs.db", "one"])
def test_what_is_no_image_is_not_taken_for_a_table(name: str, tmp_path: Path) -> None:
    declared = declare(tmp_path, DIGITS)
    with pytest.raises(SourceError, match=rf"{name}: is not an image; name a file that ends in"):
        as_declared(declared.spec.ingest, tmp_path / name)


def test_broken_images_go_to_quarantine(tmp_path: Path, home: Home) -> None:
    folder = tmp_path / "digits"
    write_digits(folder, 12)
    (folder / "scans" / "0" / "broken.png").write_bytes(b"no image")
    whole = png(Image.new("RGB", (300, 200), (1, 2, 3)))
    (folder / "scans" / "0" / "torn.png").write_bytes(whole[: len(whole) // 2])
    result = ingest(small(folder), home)
    assert result.snapshot.rows == 12
    assert result.quarantined_rows == 2
    assert [rule for rule in result.quarantined if "pixels" in rule]


def test_pixels_are_those_of_the_file() -> None:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    text = images.encode_picture(png(image), 4, grey=False)
    from factory_assets.ml.features.images import fit_picture

    table = pa.table({"seen": [text]})
    picture = fit_picture(table, "seen")
    assert (picture.height, picture.width, picture.colours) == (4, 4, 3)
    assert picture.read(table)[0].tolist() == list(range(48))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png(Image.new("RGB", (9, 9)))[:-30],
        png(Image.new("RGB", (9, 9)), "GIF"),
        png(Image.new("RGB", (9, 9)), "TIFF"),
        png(Image.new("1", (20_000, 20_000))),
        png(Image.new("L", (9, 9)), pnginfo=torn_camera_data()),
    ],
    ids=["empty", "header", "torn", "gif", "tiff", "bomb", "camera data"],
)
def test_broken_and_unsupported_images_are_not_read(content: bytes) -> None:
    assert images.encode_picture(content, 8, grey=True) is None


def test_an_image_of_a_palette_that_it_does_not_have_is_not_read() -> None:
    colours = np.arange(243, dtype=np.uint8).reshape(9, 9, 3)
    whole = png(Image.fromarray(colours).convert("P"), transparency=3)
    assert images.encode_picture(whole, 8, grey=False)
    assert images.encode_picture(without_palette(whole), 8, grey=False) is None


def test_no_more_of_a_file_is_read_than_a_picture_may_have(tmp_path: Path, home: Home) -> None:
    (tmp_path / "digits" / "scans" / "1").mkdir(parents=True)
    with (tmp_path / "digits" / "scans" / "1" / "a.png").open("wb") as file:
        file.truncate(4 * images.MOST_BYTES)
    declared = small(tmp_path / "digits")
    tracemalloc.start()
    try:
        with pytest.raises(ContractError, match="1 of 1 rows"):
            ingest(declared, home)
        assert tracemalloc.get_traced_memory()[1] < 2 * images.MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_is_read(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    text = images.encode_picture(png(Image.new(mode, (5, 7)), kind), 4, grey=False)
    assert text is not None
    assert text.startswith("4x4x3:")


def test_grey_of_16_bits_has_the_shades_of_grey_of_8() -> None:
    shades = np.arange(64, dtype=np.uint16).reshape(8, 8) * 4
    fine = png(Image.fromarray(shades * 256))
    assert images.encode_picture(fine, 8, grey=True) == images.encode_picture(
        png(Image.fromarray(shades.astype(np.uint8))), 8, grey=True
    )


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("odd", [0x0100, 0x011A], ids=["width", "resolution"])
def test_a_picture_is_turned_upright_whatever_else_its_camera_says(
    orientation: int, odd: int
) -> None:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(png(image, exif=tags(orientation)))))
    # A text where a number belongs.
    more = odd.to_bytes(2) + b"\0\x02\0\0\0\x03ab\0\0"
    seen = images.encode_picture(png(image, exif=tags(orientation, more)), 8, grey=True)
    assert seen == images.encode_picture(png(turned), 8, grey=True)


def tags(orientation: int, *more: bytes) -> bytes:
    """Return EXIF data."""
    count = (1 + len(more)).to_bytes(2)
    held = b"\x01\x12\0\x03\0\0\0\x01" + orientation.to_bytes(2) + b"\0\0"
    return b"Exif\0\0MM\0*\0\0\0\x08" + count + b"".join((*more, held)) + b"\0\0\0\0"


def test_oddities_of_a_picture_that_is_read_are_not_warned_of() -> None:
    content = png(Image.new("L", (6, 6)), exif=tags(1)[:-9])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.encode_picture(content, 8, grey=True)


def test_other_file_types_raise_a_one_line_error(tmp_path: Path, home: Home) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(
        SourceError, match=r"notes.txt is not an image; name files that end in .png"
    ):
        ingest(small(tmp_path, images="*.txt"), home)


def test_pictures_of_another_size_are_refused() -> None:
    from factory_assets.ml.features.images import fit_picture

    texts = [images.encode_picture(png(Image.new("L", (9, 9))), size, grey=True) for size in (4, 5)]
    table = pa.table({"seen": [texts[0], texts[1], None]})
    picture = fit_picture(table, "seen")
    for row, message in (
        (1, "holds an image of size 5x5x1, expected an image of size 4x4x1"),
        (2, "a row without an image"),
    ):
        with pytest.raises(DataError, match=message):
            picture.read(table.slice(row, 1))
    with pytest.raises(DataError, match="holds an image that lacks pixels, expected an image"):
        picture.read(pa.table({"seen": ["4x4x1:AAAA"]}))
    for words in ("Jane Doe: ill", "4x4x1:" + "é" * 16):
        with pytest.raises(DataError, match=r"column .seen. holds an? .*, expected") as raised:
            picture.read(pa.table({"seen": [words]}))
        assert "Doe" not in str(raised.value)
    with pytest.raises(DataError, match="a row without an image"):
        fit_picture(pa.table({"seen": ["a", "b"]}), "seen")
    with pytest.raises(DataError, match=r"'seen' holds double, not images; name the column"):
        fit_picture(pa.table({"seen": [1.5, 2]}), "seen")


@pytest.mark.slow
def test_flip_mirrors_about_half_of_the_pictures() -> None:
    import torch

    from factory_assets.ml.models.networks.modules.cnn import CnnModule

    shape = Shape("binary", 2 + 5 * 6 * 3, (4,), 2, picture=(5, 6, 3))
    module = CnnModule(shape, Cnn(kind="cnn", image="seen", flip=True, hidden=(4,)))
    numbers = torch.rand(50, shape.numbers)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flipped = module._flipped(numbers)
    assert torch.equal(flipped[:, :2], numbers[:, :2])
    before, after = (n[:, 2:].reshape(50, 5, 6, 3) for n in (numbers, flipped))
    same = (after == before).flatten(1).all(dim=1)
    mirrored = (after == before.flip(2)).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 10 < int(mirrored.sum()) < 40


@pytest.mark.slow
def test_an_absurd_number_beside_the_picture_does_not_decide_alone() -> None:
    import torch

    from factory_assets.ml.models.networks.modules.cnn import CnnModule

    shape = Shape("binary", 2 + 5 * 6 * 3, (4,), 2, picture=(5, 6, 3))
    module = CnnModule(shape, Cnn(kind="cnn", image="seen", hidden=(4,))).eval()
    numbers, codes = torch.rand(1, shape.numbers).repeat(2, 1), torch.zeros(2, 1, dtype=torch.int64)
    numbers[0, 0], numbers[1, 0] = 3e38, CLIP_SD
    outputs = module(numbers, codes)
    assert torch.equal(outputs[0], outputs[1])


def seen(count: int, seed: int, task: str) -> pa.Table:
    """Return rows with one picture each, which is brighter if the target is larger."""
    table = rows(count, seed, task)
    chance = np.random.default_rng(seed)
    score = table["heat"].fill_null(50).to_numpy() / 100
    noise = chance.integers(0, 100, (count, 6, 6, 3))
    pixels = np.clip(noise + (score * 150)[:, None, None, None], 0, 255).astype(np.uint8)
    texts = [images.encode_picture(png(Image.fromarray(one)), 6, grey=False) for one in pixels]
    return table.append_column("seen", pa.array(texts))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", *in_long(["multiclass", "regression"])])
def test_models_of_pictures_and_columns_are_served_the_same(task: str, tmp_path: Path) -> None:
    model = {"kind": "cnn", "image": "seen", "epochs": 4, "hidden": [4, 8], "flip": True}
    declared = pipeline(tmp_path, {**model, "ensemble": 2 if task == "binary" else 1})
    one, other = (
        fit(declared, seen(300, 1, task), seen(100, 2, task), Home(tmp_path / "home")).trained
        for _ in range(2)
    )
    test = hostile(seen(60, 3, task))
    np.testing.assert_array_equal(one.outputs(test), other.outputs(test))
    same_everywhere(one, tmp_path, task, 1e-5, test)
