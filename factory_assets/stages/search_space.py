"""Between the settings of a model and what a search proposes: numbers, and words for all others."""

import json
from typing import Any

from factory_assets.spec import Choices, ModelSpec, Span
from factory_assets.spec.space import declared_value, is_whole, space_of, with_settings
from factory_assets.spec.tune import Tune
from factory_resources.tracking.studies import Numbers, Settings, Space, Words


def dimensions(model: ModelSpec, tune: Tune) -> Space:
    """What is searched."""
    return {name: _dimension(model, name, where) for name, where in space_of(model, tune).items()}


def _dimension(model: ModelSpec, name: str, where: Span | Choices) -> Numbers | Words:
    if isinstance(where, Choices):
        return Words(tuple(dict.fromkeys(map(json.dumps, where.values))))
    low, high = where.range
    return Numbers(low, high, log=where.log, whole=is_whole(model, name, where))


def declared_settings(model: ModelSpec, space: Space) -> Settings:
    """What of the space the declaration says itself."""
    found = {name: declared_value(model, name) for name in space}
    return {n: json.dumps(v) if isinstance(space[n], Words) else v for n, v in found.items()}


def with_proposed(model: ModelSpec, space: Space, settings: Settings) -> ModelSpec:
    """The model that a trial is about.

    Raises:
        ValidationError: it cannot have such settings together.
    """
    found: dict[str, Any] = {
        name: json.loads(value) if isinstance(space[name], Words) else value
        for name, value in settings.items()
    }
    return with_settings(model, found)
