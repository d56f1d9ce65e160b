"""How the best settings of a model are searched for: how long, and where.

Which settings of a model are searched, between which values, and what is wrong with that.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from factory_assets.spec.base import Spec, listed, suggest
from factory_assets.spec.evaluate import Metric
from factory_assets.spec.models import Positive

TRIALS = 30
"""The trials of a search that has no other end."""


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError(f"[{ends[0]}, {ends[1]}] must go from a smaller to a larger number")
    return ends


Ends = Annotated[tuple[float | int, float | int], listed, AfterValidator(_in_order)]
"""The smallest and the largest value."""


class Span(Spec):
    """Every value between two ends, which belong to it."""

    range: Ends
    """The smallest and the largest value; two whole numbers where the setting takes no others."""
    log: bool = False
    """Whether orders of magnitude are tried alike, so that 0.001 to 0.01 counts as 0.01 to 0.1."""

    @model_validator(mode="after")
    def _magnitudes_are_above_zero(self) -> Self:
        if self.log and self.range[0] <= 0:
            raise ValueError("log: orders of magnitude need a range that begins above 0")
        return self


class Choices(Spec):
    """One of some values."""

    values: Annotated[tuple[Any, ...], listed, Field(min_length=2)]
    """The values to try, such as `[15, 31, 63]`."""


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


class Tune(Spec):
    """Train with other settings too, and keep those that are best on the validation rows."""

    trials: Annotated[int | None, Field(ge=1, le=100_000)] = None
    """How many settings are tried, the declared ones first; 30 where neither `minutes` nor `wh` end
    the search."""
    minutes: Positive | None = None
    """No trial begins later, counted over all trials."""
    wh: Positive | None = None
    """No trial begins once the trials have used so much energy."""
    search: Annotated[dict[str, Searched] | None, Field(min_length=1)] = None
    """Setting of the model to `[smallest, largest]`, `{range, log}` or `{values}`; left out, what
    matters most for the kind."""
    prune: bool = True
    """Whether a network is given up after an epoch in which half of the others were better."""
    metric: Metric | None = None
    """What is compared on the validation rows; left out, the headline of `evaluate`."""

    @property
    def most(self) -> int | None:
        """How many trials there are; None where only a budget ends the search."""
        unbounded = self.minutes is None and self.wh is None
        return TRIALS if self.trials is None and unbounded else self.trials


Space = dict[str, Span | Choices]

M = TypeVar("M", bound=BaseModel)

ARGS = "args."
"""How the name of an argument of a user's own class begins."""

_FIXED = frozenset({"kind", "python", "args", "by", "order", "image"})
"""What a model is and what it reads: no settings of it."""

_LOG = frozenset(
    {"learning_rate", "weight_decay", "regularisation", "min_samples_leaf", "max_leaf_nodes"}
)
"""Settings that are tried by orders of magnitude."""


def space_of(model: BaseModel, tune: Tune) -> Space:
    """What is searched: as declared, or what matters most for the kind."""
    if tune.search is None:
        return default_space(model)
    return {
        name: Span(range=given, log=name in _LOG and given[0] > 0)
        if isinstance(given, tuple)
        else given
        for name, given in tune.search.items()
    }


def default_space(model: BaseModel) -> Space:
    """Around the declared settings, as far as the kind has them."""
    found: Space = {}
    for name in settings(model):
        where = _around(model, name)
        if isinstance(where, Choices):
            fit = [value for value in where.values if not refusal(model, name, value)]
            where = Choices(values=tuple(fit)) if len(fit) > 1 else None
        if where is not None:
            found[name] = where
    return found


def _around(model: BaseModel, name: str) -> Span | Choices | None:
    value = getattr(model, name)
    match name:
        case "learning_rate":
            return Span(range=(value / 10, value * 4), log=True)
        case "weight_decay":
            return Span(range=(1e-6, 0.1), log=True)
        case "regularisation":
            # The leaves of trees may do without; weights may not.
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
    """What can be declared of the kind and is a matter of trying."""
    return [name for name in type(model).model_fields if name not in _FIXED]


def with_settings(model: M, values: Mapping[str, Any]) -> M:
    """The model with other settings; `args.x` is an argument of the user's own class.

    Raises:
        ValidationError: a value that a setting does not take, or not with the others.
    """
    declared = model.model_dump()
    for name, value in values.items():
        if name.startswith(ARGS):
            declared["args"] = {**declared["args"], name.removeprefix(ARGS): value}
        else:
            declared[name] = value
    return type(model).model_validate(declared)


def declared_value(model: BaseModel, name: str) -> Any:
    """None where an argument of a user's own class is not declared."""
    if name.startswith(ARGS):
        return getattr(model, "args", {}).get(name.removeprefix(ARGS))
    value = getattr(model, name)
    return list(value) if isinstance(value, tuple) else value


def is_whole(model: BaseModel, name: str, span: Span) -> bool:
    """Whether only whole numbers are meant."""
    if name.startswith(ARGS):
        return all(isinstance(end, int) for end in span.range)
    return float not in _types(type(model).model_fields[name].annotation)


def search_mistakes(model: BaseModel, tune: Tune) -> Iterator[str]:
    """One line for each thing that cannot be tried with the model: where, what, what instead."""
    space = space_of(model, tune)
    if not space:
        yield "tune: `search` is missing: this model has no setting that is searched by itself"
    for name, where in space.items():
        for says in _mistakes(model, name, where):
            yield f"tune.search.{name}: {says}"


def _mistakes(model: BaseModel, name: str, where: Span | Choices) -> Iterator[str]:
    own = hasattr(model, "args")
    if not (own and name.startswith(ARGS)) and name not in settings(model):
        valid = [*settings(model), *([f"{ARGS}NAME"] if own else [])]
        yield f"{name!r} is no setting that can be searched; {suggest(name, valid)}"
    elif isinstance(where, Span) and not _is_number(model, name):
        yield f"{name!r} has no range; write {{values: [...]}}"
    else:
        for value in where.range if isinstance(where, Span) else where.values:
            if says := refusal(model, name, value):
                yield f"{value} is not valid; {says}"


def refusal(model: BaseModel, name: str, value: Any) -> str | None:
    """Why the model cannot have that value of a setting."""
    try:
        with_settings(model, {name: value})
    except ValidationError as error:
        says = str(error.errors(include_url=False)[0]["msg"])
        return says.removeprefix("Value error, ").replace("Input should", "must")
    return None


def _is_number(model: BaseModel, name: str) -> bool:
    if name.startswith(ARGS):
        return True
    return bool({int, float} & set(_types(type(model).model_fields[name].annotation)))


def _types(annotation: Any) -> Iterator[Any]:
    """The alternatives of a field; the type of a list's elements is none."""
    if get_origin(annotation) in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _types(argument)
    elif get_origin(annotation) is Annotated:
        yield from _types(get_args(annotation)[0])
    else:
        yield annotation
