"""Models of series in a declaration: which splits and settings they refuse."""

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
def test_split_that_keeps_series_whole_is_accepted(split: dict[str, Any]) -> None:
    assert isinstance(spec(split).training.model, Gru)


@pytest.mark.parametrize(
    "split", [{}, {"stratify": "heat"}, {"given": {"column": "heat", "test": "x"}}]
)
def test_rows_drawn_one_by_one_are_refused(split: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"add split\.group: engine, or split\.time: cycle"):
        spec(split)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"by": "engin"}, "train.model.by: no column 'engin'; did you mean 'engine'"),
        ({"order": "cycles"}, "train.model.order: no column 'cycles'"),
        ({"window": 1}, "greater than or equal to 2"),
        ({"kind": "transformer", "hidden": 10}, "hidden 10 is not a multiple of heads 4"),
        ({"heads": 2}, "Extra inputs"),
    ],
)
def test_wrong_model_settings_are_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec({"group": "engine"}, **model)
