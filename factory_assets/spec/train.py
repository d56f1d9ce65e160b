"""What is learned, from which columns, by which model."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import ColumnName, Columns, Spec
from factory_assets.spec.boosting import GradientBoosting, LightGbm
from factory_assets.spec.budget import Budget
from factory_assets.spec.leaks import LeakRule
from factory_assets.spec.network import Cnn, Mlp, Network, OwnModule, Positive
from factory_assets.spec.sequence import Gru, Tcn, Transformer
from factory_assets.spec.space import search_mistakes
from factory_assets.spec.trainer import Trainer
from factory_assets.spec.tune import Tune

Task = Literal["binary", "multiclass", "regression"]
Encoder = Annotated[str, Field(pattern=r"^(/|\$\{FACTORY_\w+\}/|[A-Za-z][\w.-]*$)")]
"""An installed package, or a folder: absolute, or beginning with `${FACTORY_…}/`."""
Calibrate = Literal["none", "auto", "temperature", "platt"]


class Linear(Spec):
    """Logistic regression for classes, ridge regression for numbers."""

    kind: Literal["linear"]
    """Which model."""
    regularisation: Positive = 1.0
    """Strength of the L2 penalty: 1/C of the logistic, alpha of the ridge regression."""


class RandomForest(Spec):
    kind: Literal["random_forest"]
    """Which model."""
    trees: Annotated[int, Field(ge=1, le=10_000)] = 300
    """The number of trees."""
    max_depth: Annotated[int | None, Field(ge=1)] = None
    """The deepest a tree may be; no limit where left out."""
    min_samples_leaf: Annotated[int, Field(ge=1)] = 1
    """The fewest training rows in a leaf."""


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "python" if "python" in given else given.get("kind")


ModelSpec = Annotated[
    Annotated[Mlp, Tag("mlp")]
    | Annotated[Cnn, Tag("cnn")]
    | Annotated[Gru, Tag("gru")]
    | Annotated[Tcn, Tag("tcn")]
    | Annotated[Transformer, Tag("transformer")]
    | Annotated[OwnModule, Tag("python")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[RandomForest, Tag("random_forest")]
    | Annotated[GradientBoosting, Tag("gradient_boosting")]
    | Annotated[LightGbm, Tag("lightgbm")],
    Discriminator(_kind),
]


class Train(Spec):
    """Learn `target` from every other column that is not excluded.

    Columns that only say which rows go together (`split.group`) or where to (`split.given`) are no
    inputs either."""

    target: ColumnName
    """The column to predict."""
    task: Task | None = None
    """Found from the target where left out: text, booleans and whole numbers of few values are
    classes, other numbers are regressed."""
    positive: str | int | bool | None = None
    """Of two classes, the one that metrics and the threshold are about; left out, the larger
    number, or the rarer name in the training rows."""
    exclude: Columns = ()
    """Columns that must not be inputs: identifiers, and outcomes that would leak."""
    categorical: Columns = ()
    """Whole-number columns whose values are names rather than amounts."""
    text: dict[ColumnName, Encoder] = {}
    """Columns whose sentences are read by an encoder, each with the installed package or the folder
    that holds it; other text is categories."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` counts each class as if all were equally frequent: for rare classes."""
    calibrate: Calibrate = "none"
    """Correct probabilities by what became of the validation rows: `temperature` makes all more or
    less extreme, `platt` shifts those of two classes too; `auto` takes the better one, if either
    helps rows that it was not fitted on."""
    model: ModelSpec
    """Which model learns, and its settings."""
    seed: int = 0
    """The same rows, settings and seed give the same weights."""
    leaks: LeakRule = LeakRule()
    """What to do about inputs that give the answer away."""
    trainer: Trainer = Trainer()
    """How the training of a network is carried out; other kinds have no use for it."""
    budget: Budget | None = None
    """What training may spend before it stops at its best so far; all it needs where left out."""
    tune: Tune | None = None
    """Search for better settings than the declared ones; where left out, those are trained."""

    @model_validator(mode="after")
    def _only_networks_have_a_trainer(self) -> Self:
        # Not whether it is given: a declaration that was stored gives every key.
        if self.trainer != Trainer() and not isinstance(self.model, Network):
            raise ValueError("`trainer` is for networks; leave it out with another kind of model")
        return self

    @model_validator(mode="after")
    def _search_suits_the_model(self) -> Self:
        if self.tune and (wrong := [*search_mistakes(self.model, self.tune)]):
            raise ValueError("\n".join(wrong))
        return self

    @model_validator(mode="after")
    def _can_stop(self) -> Self:
        if self.budget and self.tune:
            raise ValueError("budget: a search has its own, tune.wh and tune.minutes; keep those")
        if self.budget and not self.trainer.alone:
            raise ValueError("budget: only a training on one device can be stopped by it")
        if self.budget and not isinstance(self.model, Network | LightGbm):
            raise ValueError(
                f"budget: {self.model.kind} learns in one go and cannot be stopped in between; "
                "leave the budget out, or choose a network or lightgbm"
            )
        return self
