"""Models of series in a declaration: what they refuse before anything is read."""

from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.spec import Gru, PipelineSpec


def spec(split: dict[str, Any], **model: Any) -> PipelineSpec:
    return PipelineSpec.model_validate(
        {
            "purpose": "Predict wear",
            "ingest": {
                "source": {"files": "a.csv"},
                "contract": [{"name": n} for n in ("engine", "cycle", "heat", "wear")],
            },
            "split": split,
            "train": {
                "target": "wear",
                "model": {"kind": "gru", "by": "engine", "order": "cycle", **model},
            },
        }
    )


@pytest.mark.parametrize(
    "split",
    [
        {"group": "engine"},
        {"time": "cycle"},
        {"given": {"column": "heat", "test": "x", "validation": "y"}},
        {"given": {"column": "heat", "test": "x"}, "group": "engine"},
    ],
)
def test_series_stay_whole(split: dict[str, Any]) -> None:
    assert isinstance(spec(split).training.model, Gru)


@pytest.mark.parametrize(
    "split", [{}, {"stratify": "heat"}, {"given": {"column": "heat", "test": "x"}}]
)
def test_rows_drawn_one_by_one_are_refused(split: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"add split\.group: engine, or split\.time: cycle"):
        spec(split)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"by": "engin"}, "train.model.by: no column 'engin'; did you mean 'engine'"),
        ({"order": "cycles"}, "train.model.order: no column 'cycles'"),
        ({"window": 1}, "greater than or equal to 2"),
        ({"kind": "transformer", "hidden": 10}, "hidden 10 is no multiple of heads 4"),
        ({"heads": 2}, "Extra inputs"),
    ],
)
def test_refuses(model: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        spec({"group": "engine"}, **model)
