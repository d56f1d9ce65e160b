"""The tables and the portfolios that the benchmark compares."""

import numpy as np

from benchmarks.absolute_error import ABSOLUTE, SQUARED, Distances, line, portfolio
from factory_assets.cli.new.target import is_skewed
from factory_assets.spec.models import Boosting, Network


def test_portfolios_differ_by_the_loss_alone() -> None:
    squared, absolute = portfolio(SQUARED, 300), portfolio(ABSOLUTE, 300)
    assert (squared.loss, absolute.loss) == (SQUARED, ABSOLUTE)
    assert not any(isinstance(one, Network) for one in squared.members or ())
    pairs = zip(squared.members or (), absolute.members or (), strict=True)
    for one, other in pairs:
        changed = {"loss": ABSOLUTE} if isinstance(one, Boosting) else {}
        assert other == one.model_copy(update=changed)


def test_tables_are_skewed_by_few_rows() -> None:
    usual, few = np.random.default_rng(1).normal(size=500), np.arange(500) < 4
    assert not is_skewed(usual)
    assert is_skewed(np.where(few, 90.0, usual))
    assert not is_skewed(np.where(few, 90.0, 0.0))


def test_the_line_counts_tables_on_which_a_constant_is_as_good() -> None:
    told = line([Distances(2.0, 4.0, 3.0), Distances(2.0, 4.0, 1.0)])
    assert told.startswith("MAE by the absolute error -50.0000 ± 25.0000 %; ")
    assert told.endswith("as good on 2 by the squared error, on 1 by the absolute one")
