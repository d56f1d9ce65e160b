"""Plots: valid PNG files of one size, small and repeatable, for any names in the data."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.plots import training
from factory_assets.ml.plots.evaluation import evaluation_plots, plot_slices
from factory_assets.ml.plots.training import plot_loss, plot_portfolio, plot_search
from factory_assets.results.evaluation import Slice
from factory_assets.results.model import Candidate, Portfolio, PortfolioMember, Trial, Tuned
from factory_assets.results.training import Epoch
from tests.long_run import in_long

LIMIT = 40_000

ODD = "$x_1$ <b>\n名 " + "n" * 80


def require_picture(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (480, 360))
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 18)
        assert colours is not None
        assert len(colours) > 10, "an empty picture"
    assert len(content) <= LIMIT


def classes(task: str, rows: int, count: int, noise: float = 1.0) -> ScoredRows:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, count, rows)
    scores = np.exp(2 * np.eye(count)[truth] + noise * generator.normal(size=(rows, count)))
    outputs = scores / scores.sum(axis=1, keepdims=True)
    return ScoredRows(task, truth, outputs, 0.5)  # type: ignore[arg-type]


def numbers(rows: int) -> ScoredRows:
    generator = np.random.default_rng(0)
    truth = generator.normal(50, 20, rows)
    return ScoredRows("regression", truth, truth + generator.normal(0, 5, rows))


def candidate(epochs: int, model: str = "pipeline") -> Candidate:
    return Candidate(
        model=model,
        version=1,
        run_id="r",
        kind="mlp",
        task="binary",
        target="y",
        classes=("a", "b"),
        numeric=("x",),
        categorical=(),
        digest="d",
        history=tuple(
            Epoch(epoch=i, train_loss=1 / (i + 1), validation_loss=1 / (i + 1) + i / 200)
            for i in range(epochs)
        ),
        best_epoch=epochs // 2,
        threshold=0.5,
        validation={},
        rows=10,
        parameters=3,
    )


@pytest.mark.parametrize(
    ("scored", "names"),
    [
        (classes("binary", 50, 2), ("no", "yes")),
        (classes("multiclass", 20_000, 40, noise=3.0), tuple(f"{ODD}{i}" for i in range(40))),
        (numbers(20_000), ()),
        *in_long([(classes("binary", 20_000, 2, noise=3.0), ("no", ODD))]),
        *in_long([(classes("multiclass", 300, 3), ("a", "b", "c")), (numbers(40), ())]),
    ],
    ids=["binary", "forty classes", "many numbers", "odd names", "three classes", "few numbers"],
)
def test_plots_are_small_and_repeatable(scored: ScoredRows, names: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = evaluation_plots(scored, names, ODD)
    for content in drawn.values():
        require_picture(content)
    assert drawn == evaluation_plots(scored, names, ODD)


def test_plots_of_each_task() -> None:
    binary = evaluation_plots(classes("binary", 50, 2), ("no", "yes"), "y")
    assert set(binary) == {
        "ROC curve",
        "precision and recall",
        "confusion matrix",
        "calibration",
    }
    several = evaluation_plots(classes("multiclass", 50, 3), ("a", "b", "c"), "y")
    assert set(several) == set(binary)
    assert set(evaluation_plots(numbers(50), (), "y")) == {
        "predicted against actual",
        "residuals",
    }


def test_one_class_and_certain_scores_are_drawn() -> None:
    certain = ScoredRows("binary", np.zeros(9, int), np.tile([1.0, 0.0], (9, 1)))
    drawn = evaluation_plots(certain, ("no", "yes"), "y")
    assert "ROC curve" not in drawn
    for content in drawn.values():
        require_picture(content)
    constant = ScoredRows("regression", np.ones(9), np.ones(9))
    for content in evaluation_plots(constant, (), "y").values():
        require_picture(content)


@pytest.mark.parametrize(
    "errors", [[0.0, 0.0], [5.0, np.nextafter(5.0, 6.0)], [1e17], [-1e-9, 2e3]]
)
def test_residuals_that_hardly_differ_are_drawn(errors: list[float]) -> None:
    drawn = evaluation_plots(
        ScoredRows("regression", np.zeros(len(errors)), np.array(errors)), (), "y"
    )
    for content in drawn.values():
        require_picture(content)


@pytest.mark.parametrize("epochs", [1, 40, 5000])
def test_plot_loss_draws_any_number_of_epochs(epochs: int) -> None:
    require_picture(plot_loss(candidate(epochs, model="m" * 64)))


def test_plot_loss_names_no_loss_that_training_did_not_lower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A model of numbers may lower the absolute error, and an own network any loss.
    labels = list[str]()
    monkeypatch.setattr(training, "label", lambda axes, **texts: labels.append(texts["y"]))
    for task in ("binary", "regression"):
        plot_loss(candidate(3).model_copy(update={"task": task}))
    assert labels == ["loss", "loss"]


def test_plot_slices_draws_many_and_undefined_slices() -> None:
    many = [
        Slice(column="site", value=f"{ODD}{i}", rows=i + 1, metrics={"f1": i / 50})
        for i in range(50)
    ]
    undefined = Slice(column="site", value="lone", rows=1, metrics={"accuracy": 1.0})
    require_picture(plot_slices([*many, undefined], "f1", {"f1": 0.4}))
    require_picture(plot_slices([undefined], "f1", {}))


def test_plots_leave_no_figure_in_pyplot() -> None:
    import matplotlib.pyplot as plt

    evaluation_plots(numbers(20), (), "y")
    assert plt.get_fignums() == []


@pytest.mark.parametrize("values", [[0.5], [0.5, None, 0.25, 0.75, None]])
def test_plot_search_draws_complete_and_pruned_trials(values: list[float | None]) -> None:
    trials = [Trial(state="pruned" if v is None else "complete", value=v) for v in values]
    tuned = Tuned(
        metric="f1",
        higher_is_better=True,
        trials=tuple(trials),
        chosen=len(values) // 2 + (len(values) > 1),
        settings={},
    )
    assert tuned.best_so_far() == ([0.5] if len(values) == 1 else [0.5, 0.5, 0.75])
    require_picture(plot_search(candidate(1, ODD), tuned))


@pytest.mark.parametrize("count", [1, 12])
def test_plot_portfolio_draws_members_with_and_without_a_figure(count: int) -> None:
    members = tuple(
        PortfolioMember(
            kind=ODD,
            value=None if i == 1 else 0.5 + i / 50,
            sd=None if i % 2 else 0.01,
            weight=0.25 if i < 4 else 0.0,
        )
        for i in range(count)
    )
    portfolio = Portfolio(
        metric="f1",
        higher_is_better=True,
        rows=100,
        folds=5,
        members=members,
        value=0.9,
        sd=0.02,
    )
    values = [member.value for member in portfolio.ranked]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=True)
    assert (values[-1] is None) == (count > 1)
    require_picture(plot_portfolio(candidate(1, ODD), portfolio))
