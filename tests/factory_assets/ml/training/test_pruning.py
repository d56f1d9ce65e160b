"""A trial ends if half of the others were better after as many epochs or folds, or time is over."""

from math import nan

import pytest

from factory_assets.ml.models.base import TrialPruned
from factory_assets.ml.training.pruning import EpochWatch, FoldWatch
from factory_assets.results.training import Epoch


def test_epoch_watch_prunes_a_late_or_hopeless_network() -> None:
    epoch = Epoch(epoch=0, train_loss=1.0, validation_loss=1.0)
    for seconds in (None, 3600):
        EpochWatch({0: 1.0, 1: 0.5}, prune=True, seconds=seconds).after_epoch(epoch)
    with pytest.raises(TrialPruned, match="ran out"):
        EpochWatch({}, prune=True, seconds=-1).after_epoch(epoch)
    with pytest.raises(TrialPruned, match="after 1 epochs, half of the other"):
        EpochWatch({0: 0.9}, prune=True, seconds=None).after_epoch(epoch)
    EpochWatch({0: 0.9}, prune=False, seconds=None).after_epoch(epoch)
    # The best loss so far counts.
    watch = EpochWatch({0: 2.0, 1: 1.5}, prune=True, seconds=None)
    for number, loss in enumerate((1.0, 9.0)):
        watch.after_epoch(Epoch(epoch=number, train_loss=1.0, validation_loss=loss))
    assert (watch.epochs, watch.losses) == (2, {0: 1.0, 1: 9.0})


def folds(medians: dict[int, float], seconds: float | None = None, *, up: bool = True) -> FoldWatch:
    return FoldWatch(medians, prune=True, seconds=seconds, maximise=up)


def test_fold_watch_compares_the_metric_after_as_many_folds() -> None:
    watch = folds({2: -0.8, 3: -0.7})
    for value in (0.1, 0.9):
        watch.after_fold(value)
    with pytest.raises(TrialPruned, match="after 3 inner folds, half of the other"):
        watch.after_fold(0.6)
    assert watch.losses == {1: -0.1, 2: -0.9, 3: -0.6}
    folds({1: 5.0}, up=False).after_fold(4.0)
    with pytest.raises(TrialPruned, match="after 1 inner folds"):
        folds({1: 5.0}, up=False).after_fold(6.0)


def test_a_network_judged_by_folds_is_compared_after_folds_alone() -> None:
    watch = folds({0: 0.5, 1: 0.5}, seconds=3600)
    watch.after_epoch(Epoch(epoch=0, train_loss=1.0, validation_loss=1.0))
    for undefined in (None, nan):
        watch.after_fold(undefined)
    assert (watch.epochs, watch.losses) == (1, {})


def test_fold_watch_ends_a_trial_whose_time_is_over() -> None:
    with pytest.raises(TrialPruned, match="ran out"):
        folds({}, seconds=-1).after_fold(0.9)
    with pytest.raises(TrialPruned, match="ran out"):
        folds({}, seconds=-1).after_epoch(Epoch(epoch=0, train_loss=1.0, validation_loss=1.0))
