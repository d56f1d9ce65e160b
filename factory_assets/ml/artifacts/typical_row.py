"""An input example of a model that is no real row.

The files of the model belong in `trained_model.py`.
"""

from __future__ import annotations

from collections.abc import Collection

from factory_assets.ml.features.features import Features

_TIME = 1_735_689_600.0
"""1 January 2025, in the seconds that the graph reads: any time is as typical as another."""


def text_columns(features: Features) -> tuple[str, ...]:
    """Return the input columns that hold text: categories, sentences, the image."""
    names = (
        *(category.name for category in features.categorical),
        *(text.name for text in features.texts),
    )
    return (*names, features.picture.name) if features.picture else names


def input_kinds(features: Features) -> dict[str, str]:
    """Return each input column with the ONNX type by which rows without a contract are read."""
    return {
        **dict.fromkeys((number.name for number in features.numeric), "tensor(float)"),
        **dict.fromkeys(features.time_columns, "tensor(double)"),
        **dict.fromkeys(text_columns(features), "tensor(string)"),
    }


def typical_row(features: Features, hidden: Collection[str]) -> dict[str, object]:
    """Return medians and the most frequent categories.

    Args:
        hidden: the columns of which no value may be shown; they are 0 or empty.
    """
    numbers = {n.name: n.median for n in features.numeric}
    numbers |= dict.fromkeys(features.time_columns, _TIME)
    names = dict.fromkeys(text_columns(features), "")
    names |= {c.name: c.vocabulary[0] for c in features.categorical if c.vocabulary}
    shown = {**numbers, **names}
    empty = {**dict.fromkeys(numbers, 0.0), **dict.fromkeys(names, "")}
    return {name: empty[name] if name in hidden else shown[name] for name in shown}
