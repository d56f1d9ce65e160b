"""What to do about inputs that give the answer away, and about parts that know each other.

How a network's training is carried out: nothing here says what it learns.

What a training may spend.

What is learned, from which columns, by which model.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import ColumnName, Columns, Spec, listed
from factory_assets.spec.models import (
    Cnn,
    GradientBoosting,
    Gru,
    LightGbm,
    Mlp,
    Network,
    OwnModule,
    Positive,
    Tcn,
    Transformer,
)
from factory_assets.spec.tune import Tune, search_mistakes


def _worded(reason: str) -> str:
    if not reason.strip():
        raise ValueError("a reason needs words")
    return reason


Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_worded)]


class LeakRule(Spec):
    """Leaks are looked for in every pipeline with a model; what is accepted needs a reason."""

    action: Literal["block", "warn", "off"] = "block"
    """What follows from a leak that is sure: `block` trains nothing, `warn` only says so."""
    allow: dict[ColumnName, Reason] = {}
    """Columns that are right as they are, each with the reason why, which is kept with the model:
    why its value is known when the model is asked."""
    duplicates: Reason | None = None
    """Why rows may be in the training part and in the test part alike."""


Accelerator = Literal["auto", "cpu", "cuda", "mps"]

Count = Annotated[int, Field(ge=1, le=1024)]


class Checkpoint(Spec):
    """How often the state of a training is kept, so that a killed one can go on from there."""

    seconds: Annotated[float, Field(ge=0)] = 30.0
    """It is kept when so long has passed since it was kept last: after an epoch, or amid one."""
    epochs: Annotated[int | None, Field(ge=1)] = None
    """And after so many epochs, however short."""


class Trainer(Spec):
    """How the training of a network is carried out."""

    accelerator: Accelerator = "auto"
    """What computes: `auto` takes a GPU where there is one."""
    devices: Literal["auto"] | Count | Annotated[tuple[int, ...], Field(min_length=1), listed] = 1
    """How many devices share each batch, each in a process of its own; `auto` for all, or a list of
    the numbers of some GPUs. Another number gives other weights."""
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    """How several devices work together."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """The numbers that are computed with; the weights are kept in 32 bits."""
    nodes: Count = 1
    """On how many machines; each runs the same stage, with MASTER_ADDR, MASTER_PORT and NODE_RANK
    in its environment."""
    checkpoint: Checkpoint = Checkpoint()
    """How often its state is kept, so that it goes on from there after a crash."""

    @property
    def alone(self) -> bool:
        """Whether one process trains, as far as the declaration tells."""
        one = self.devices == 1 or (isinstance(self.devices, tuple) and len(self.devices) == 1)
        return self.nodes == 1 and one


class Budget(Spec):
    """What a training may spend, all networks of an ensemble together; then it stops, and the best
    epoch so far is kept."""

    wh: Positive | None = None
    """Energy in Wh, as the factory meters it."""
    minutes: Positive | None = None
    """Wall time."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.wh is None and self.minutes is None:
            raise ValueError("a budget needs `wh` or `minutes`")
        return self


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
