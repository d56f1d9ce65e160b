"""A value that changed changes the digests of the kinds of evidence that show it, and no others."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory_assets.audit.requirements.catalogue import EVIDENCE_KINDS
from factory_assets.audit.requirements.evidence_digests import evidence_digests
from factory_assets.audit.requirements.version_records import (
    VersionRecords,
    newest_version,
    version_records,
)
from factory_assets.declarations.loader import load_pipeline
from factory_assets.results.base import digest
from factory_assets.results.stages import STAGES, Stage
from factory_resources.errors import UnknownNameError
from tests.approvals import Factory, copy_factory
from tests.long_run import in_long

pytestmark = pytest.mark.slow


@pytest.fixture
def shown(made: Factory, monkeypatch: pytest.MonkeyPatch) -> VersionRecords:
    monkeypatch.setenv("FACTORY_DEFS", str(made.defs))
    return version_records(load_pipeline(made.defs / "apples"), 1, made.home)


def _changed(before: VersionRecords, after: VersionRecords) -> set[str]:
    first, second = (evidence_digests(EVIDENCE_KINDS, one) for one in (before, after))
    return {kind for kind in EVIDENCE_KINDS if first[kind] != second[kind]}


def _with(shown: VersionRecords, stage: Stage, field: str, path: str, value: Any) -> VersionRecords:
    """Return the records with another value at a dotted path of a field of one stage's record."""
    [record] = shown.by_stage[stage]
    content = {field: copy.deepcopy(getattr(record, field))}
    *above, last = [field, *filter(None, path.split("."))]
    place: Any = content
    for name in above:
        place = place[int(name) if isinstance(place, list) else name]
    place[last] = value
    changed = record.model_copy(update=content)
    return replace(shown, by_stage={**shown.by_stage, stage: (changed,)})


_SLICE = {"column": "colour", "value": "red", "rows": 40, "metrics": {"roc_auc": 0.5}}
_GROUP = {"column": "colour", "value": "red", "rows": 40, "rates": {}}
_GATE = {
    "name": "roc_auc_at_least",
    "metric": "roc_auc",
    "value": 0.9,
    "bound": 0.8,
    "passed": True,
    "explanation": "roc_auc 0.9 reaches 0.8",
}
_NOISE = {"kind": "noise", "level": 0.1, "mean": 0.9, "sd": 0.0}
_DRIFT = {"against": "0" * 64, "rows_before": 5, "schema_changes": ["size is gone"], "moved": []}


@pytest.mark.parametrize(
    ("stage", "path", "value", "kinds"),
    [
        ("ingest", "sources", [], {"sources"}),
        ("ingest", "findings.personal", {"label": "names"}, {"personal_data"}),
        ("clean", "duplicates", 3, {"lineage"}),
        ("evaluate", "metrics.roc_auc", 0.1, {"metrics"}),
        ("evaluate", "metrics.selection_rate_ratio", 0.1, {"metrics", "fairness"}),
        ("evaluate", "slices", [_SLICE], {"slices"}),
        ("evaluate", "robustness", [_NOISE], {"robustness"}),
        ("evaluate", "importances", None, {"influence"}),
        ("evaluate", "candidate.numeric", [], {"training", "interface"}),
        ("deploy", "max_difference", 0.5, set()),
        *in_long(
            [
                ("ingest", "quarantined", {"range": 1}, {"data_contract"}),
                ("ingest", "findings.drift", _DRIFT, {"drift"}),
                ("split", "leaks.later", {"size": 0.5}, {"leaks"}),
                ("evaluate", "metrics.brier", 0.1, {"metrics", "calibration"}),
                ("evaluate", "intervals", {}, {"metrics"}),
                ("evaluate", "groups", [_GROUP], {"fairness"}),
                ("evaluate", "gates", [_GATE], {"gates"}),
                ("evaluate", "candidate.threshold", 0.1, {"training", "calibration"}),
                ("evaluate", "pictures", {}, set()),
            ]
        ),
    ],
)
def test_a_changed_result_changes_what_shows_it(
    shown: VersionRecords, stage: Stage, path: str, value: Any, kinds: set[str]
) -> None:
    assert _changed(shown, _with(shown, stage, "value", path, value)) == kinds


def test_other_rows_of_a_part_change_the_splits(shown: VersionRecords) -> None:
    [record] = shown.by_stage["split"]
    assert _changed(shown, _with(shown, "split", "value", "test", record.value["train"])) == {
        "splits"
    }


def test_how_a_gate_is_explained_changes_nothing(shown: VersionRecords) -> None:
    before = _with(shown, "evaluate", "value", "gates", [_GATE])
    after = _with(shown, "evaluate", "value", "gates", [{**_GATE, "explanation": "in time"}])
    assert _changed(before, after) == set()


@pytest.mark.parametrize(
    ("stage", "path", "value", "kinds"),
    [
        ("ingest", "declaration.contract", {"columns": []}, {"data_contract"}),
        ("clean", "declaration", {}, {"lineage"}),
        ("split", "declaration.split", {"seed": 2}, {"splits"}),
        ("train", "declaration", {"seed": 2}, {"training"}),
        ("train", "code", "0" * 64, {"code"}),
        ("train", "user code", "0" * 64, {"code"}),
    ],
)
def test_another_component_changes_what_shows_it(
    shown: VersionRecords, stage: Stage, path: str, value: Any, kinds: set[str]
) -> None:
    assert _changed(shown, _with(shown, stage, "parts", path, value)) == kinds


def test_a_difference_names_the_components_that_are_others_than_those_of_the_replaced_version(
    shown: VersionRecords,
) -> None:
    def difference(one: VersionRecords) -> str:
        return evidence_digests(["version_difference"], one)["version_difference"]

    same: dict[str, Any] = {stage: {} for stage in STAGES}
    replacing = _with(shown, "deploy", "value", "replaced", 1)
    assert difference(shown) == digest(None)
    assert difference(replacing) == digest([1, same])
    [trained] = shown.by_stage["train"]
    code = trained.parts["code"]
    other = _with(replacing, "train", "parts", "code", "0" * 64)
    assert difference(other) == digest([1, same | {"train": {"code": [[code], ["0" * 64]]}}])
    fewer = trained.model_copy(
        update={"parts": {name: part for name, part in trained.parts.items() if name != "code"}}
    )
    without = replace(replacing, by_stage={**replacing.by_stage, "train": (fewer,)})
    assert difference(without) == digest([1, same | {"train": {"code": [[code], [None]]}}])
    assert difference(_with(shown, "deploy", "value", "replaced", 7)) == digest(7)


def test_what_a_training_cost_is_shown_as_energy_alone(shown: VersionRecords) -> None:
    assert _changed(shown, _with(shown, "train", "wh", "", 99.0)) == {"energy"}


@pytest.mark.parametrize(
    ("section", "value", "kinds"),
    [
        ("deploy", {"approval": {"signatures": 2}}, {"approvals"}),
        (
            "deploy",
            {"approval": {"signatures": 1}, "log": {"sensitive": "encrypt"}},
            {"prediction_log"},
        ),
        ("watch", {}, {"drift"}),
        ("boundary", "required", {"boundary"}),
        ("purpose", "Another", set()),
    ],
)
def test_what_is_declared_now_changes_what_shows_it(
    shown: VersionRecords, section: str, value: Any, kinds: set[str]
) -> None:
    spec = shown.pipeline.spec
    declared = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {section: value}
    changed = type(spec).model_validate(declared, strict=False)
    pipeline = replace(shown.pipeline, spec=changed)
    assert _changed(shown, replace(shown, pipeline=pipeline)) == kinds


def test_how_long_answers_are_kept_changes_retention(
    made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples = copy_factory(made, tmp_path / "root", monkeypatch)
    pipeline = load_pipeline(apples.defs / "apples")
    before = evidence_digests(EVIDENCE_KINDS, version_records(pipeline, 1, apples.home))
    apples.declare(rollout={"log": {"keep": "1y"}})
    after = evidence_digests(EVIDENCE_KINDS, version_records(pipeline, 1, apples.home))
    assert {kind for kind in EVIDENCE_KINDS if before[kind] != after[kind]} == {"retention"}


def test_a_version_that_is_gone_from_the_records_has_less_to_show(shown: VersionRecords) -> None:
    without = replace(shown, by_stage={})
    assert without.candidate is None
    assert len(evidence_digests(EVIDENCE_KINDS, without)) == len(EVIDENCE_KINDS)


def test_the_newest_version_is_the_one_trained_last(shown: VersionRecords) -> None:
    assert newest_version(shown.pipeline, shown.home) == 1
    with pytest.raises(UnknownNameError, match="apples@7 does not exist"):
        version_records(shown.pipeline, 7, shown.home)
