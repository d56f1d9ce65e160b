"""The `tune` section: which settings of a model are searched, between which values, for how long.

It also finds what is wrong with a search. Running one belongs in `ml.training.search`.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from factory_assets.spec.base import STORED, Number, Positive, Spec, listed, suggest
from factory_assets.spec.evaluate import Metric

TRIALS = 30
"""The number of trials if neither trials nor a budget are declared."""


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError(f"[{ends[0]}, {ends[1]}] must go from a smaller to a larger number")
    return ends


Ends = Annotated[tuple[Number, Number], listed, AfterValidator(_in_order)]
"""The smallest and the largest value."""


class Span(Spec):
    """All values between two bounds, both included."""

    range: Ends
    """The smallest and the largest value, such as `[1, 100]`; two whole numbers if the setting
    takes whole numbers only."""
    log: bool = False
    """Whether values are drawn on a logarithmic scale, so that 0.001 to 0.01 is tried as often as
    0.01 to 0.1."""

    @model_validator(mode="after")
    def _log_range_is_positive(self) -> Self:
        if self.log and self.range[0] <= 0:
            raise ValueError("log: a logarithmic scale needs a range that begins above 0")
        return self


class Choices(Spec):
    """A list of values to try."""

    values: Annotated[tuple[Any, ...], listed, Field(min_length=2)]
    """The values to try, at least two, such as `[15, 31, 63]`."""


def _form(value: Any) -> str:
    if isinstance(value, Choices) or (isinstance(value, dict) and "values" in value):
        return "choices"
    return "span" if isinstance(value, Span | dict) else "ends"


Searched = Annotated[
    Annotated[Ends, Tag("ends")]
    | Annotated[Span, Tag("span")]
    | Annotated[Choices, Tag("choices")],
    Discriminator(_form),
]


def _is_never(folds: str) -> bool:
    return folds == "never"


class Tune(Spec):
    """Train with other settings too, and use those that are best on held-out rows: the validation
    rows or, where rows are few, those of inner folds."""

    trials: Annotated[int | None, Field(ge=1, le=100_000)] = None
    """How many settings are tried; the declared ones are the first. Default: 30, or no limit if
    `minutes` or `wh` is given."""
    minutes: Positive | None = None
    """After this many minutes over all trials, no trial begins, and a trial ends after its epoch
    or inner fold. Default: no limit."""
    wh: Positive | None = None
    """No trial begins once all trials together have used this much energy, in Wh. Default: no
    limit."""
    search: Annotated[dict[str, Searched] | None, Field(min_length=1)] = None
    """The settings to search, each with its values: `[smallest, largest]`, `{range, log}` or
    `{values}`, such as `{learning_rate: [0.01, 0.3]}`. Default: the most important settings of the
    kind of model, around the declared values."""
    parallel: Annotated[int, Field(ge=1, le=64, exclude_if=lambda count: count == 1)] = 1
    """How many settings are proposed at a time, before any of them is tried, so that as many
    workers can try them at the same time. Another number proposes other settings."""
    prune: bool = True
    """Whether a trial is given up if half of the others were better: a network after as many
    epochs; where inner folds judge, any model after as many folds."""
    folds: Annotated[Literal["auto", "never"], Field(exclude_if=_is_never)] = "auto"
    """`auto` judges each trial by inner folds wherever rows are so few that they decide the
    threshold, see `train.refit`; a trial then takes five fits. `never` judges by the validation
    rows."""
    metric: Metric | None = None
    """The metric on the held-out rows that decides. Default: the primary metric of `evaluate`."""

    @model_validator(mode="before")
    @classmethod
    def _as_stored(cls, declared: Any, info: ValidationInfo) -> Any:
        # What was stored without the key is older than it, or says never.
        stored = info.context == STORED and isinstance(declared, dict)
        return {"folds": "never", **declared} if stored else declared

    @property
    def most(self) -> int | None:
        """The largest number of trials; None if only a budget ends the search."""
        unbounded = self.minutes is None and self.wh is None
        return TRIALS if self.trials is None and unbounded else self.trials


Space = dict[str, Span | Choices]

M = TypeVar("M", bound=BaseModel)

ARGS = "args."
"""The prefix of a setting that is an argument of the user's own class."""

_FIXED = frozenset({"kind", "python", "args", "by", "order", "image"})
"""Keys that say what a model is and what it reads, which no search changes."""

_LOG = frozenset(
    {"learning_rate", "weight_decay", "regularisation", "min_samples_leaf", "max_leaf_nodes"}
)
"""Settings that are searched on a logarithmic scale."""


def space_of(model: BaseModel, tune: Tune) -> Space:
    """Return what is searched: what is declared, or the most important settings of the kind."""
    if tune.search is None:
        return default_space(model)
    return {
        name: Span(range=values, log=name in _LOG and values[0] > 0)
        if isinstance(values, tuple)
        else values
        for name, values in tune.search.items()
    }


def default_space(model: BaseModel) -> Space:
    """Return a space around the declared settings, of the settings that the kind of model has."""
    space: Space = {}
    for name in settings(model):
        searched = _default_values(model, name)
        if isinstance(searched, Choices):
            valid = [value for value in searched.values if not refusal(model, name, value)]
            searched = Choices(values=tuple(valid)) if len(valid) > 1 else None
        if searched is not None:
            space[name] = searched
    return space


def _default_values(model: BaseModel, name: str) -> Span | Choices | None:
    value = getattr(model, name)
    match name:
        case "learning_rate":
            return Span(range=(value / 10, value * 4), log=True)
        case "weight_decay":
            return Span(range=(1e-6, 0.1), log=True)
        case "regularisation":
            # Trees may go without a penalty (0); a linear model may not.
            return Span(range=(1e-3, 1e3), log=True) if value else Span(range=(0.0, 10.0))
        case "dropout":
            return Span(range=(0.0, 0.5))
        case "max_features":
            return Span(range=(0.3, 1.0))
        case "max_leaf_nodes":
            return Span(range=(4, 128), log=True)
        case "min_samples_leaf":
            return Span(range=(1, 100), log=True)
        case "max_depth":
            return Choices(values=(value, *(d for d in (None, 6, 12, 24) if d != value)))
        case "hidden":
            return Choices(values=tuple(_scaled(value, factor) for factor in (0.5, 1, 2)))
    return None


def _scaled(width: Any, factor: float) -> Any:
    if isinstance(width, tuple):
        return [_scaled(one, factor) for one in width]
    return max(1, int(width * factor))


def settings(model: BaseModel) -> list[str]:
    """Return the keys of the model that a search may change."""
    return [name for name in type(model).model_fields if name not in _FIXED]


def with_settings(model: M, values: Mapping[str, Any]) -> M:
    """Return the model with other settings; `args.x` is an argument of the user's own class.

    Raises:
        ValidationError: a setting does not take its value, or not together with the others.
    """
    declared = dict(model)
    for name, value in values.items():
        if name.startswith(ARGS):
            declared["args"] = {**declared["args"], name.removeprefix(ARGS): value}
        else:
            declared[name] = value
    return type(model).model_validate(declared)


def declared_value(model: BaseModel, name: str) -> Any:
    """Return the value of a setting; None for an undeclared argument of a user's own class."""
    if name.startswith(ARGS):
        return getattr(model, "args", {}).get(name.removeprefix(ARGS))
    value = getattr(model, name)
    return list(value) if isinstance(value, tuple) else value


def is_whole(model: BaseModel, name: str, span: Span) -> bool:
    """Whether the search tries whole numbers only."""
    if name.startswith(ARGS):
        return all(isinstance(end, int) for end in span.range)
    return float not in _types(type(model).model_fields[name].annotation)


def search_mistakes(model: BaseModel, tune: Tune) -> Iterator[str]:
    """Yield one message for each setting that cannot be searched: key, mistake and remedy."""
    space = space_of(model, tune)
    if not space:
        yield "tune: `search` is missing; this model has no settings that are searched by default"
    for name, searched in space.items():
        for message in _mistakes(model, name, searched):
            yield f"tune.search.{name}: {message}"


def _mistakes(model: BaseModel, name: str, searched: Span | Choices) -> Iterator[str]:
    own = hasattr(model, "args")
    if not (own and name.startswith(ARGS)) and name not in settings(model):
        valid = [*settings(model), *([f"{ARGS}NAME"] if own else [])]
        yield f"{name!r} is not a setting that can be searched; {suggest(name, valid)}"
    elif isinstance(searched, Span) and not _is_number(model, name):
        yield f"{name!r} is not a number and has no range; write {{values: [...]}}"
    else:
        for value in searched.range if isinstance(searched, Span) else searched.values:
            if reason := refusal(model, name, value):
                yield f"{value} is not valid; {reason}"


def refusal(model: BaseModel, name: str, value: Any) -> str | None:
    """Return why the model does not accept this value of a setting; None if it does."""
    try:
        with_settings(model, {name: value})
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        if found["type"] in _WORDS:
            return f"must be {_WORDS[found['type']]}"
        return found["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return None


_WORDS = {
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
}
"""Pydantic's errors about the types of YAML that have another name there."""


def _is_number(model: BaseModel, name: str) -> bool:
    if name.startswith(ARGS):
        return True
    return bool({int, float} & set(_types(type(model).model_fields[name].annotation)))


def _types(annotation: Any) -> Iterator[Any]:
    """Yield the alternatives of a field's type; the element type of a list is not one."""
    if get_origin(annotation) in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _types(argument)
    elif get_origin(annotation) is Annotated:
        yield from _types(get_args(annotation)[0])
    else:
        yield annotation
