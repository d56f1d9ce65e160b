"""The tables and portfolios with which criteria of splits are compared."""

from itertools import islice

from benchmarks.split_criterion import Task, compared, drawn_smooth, portfolios
from factory_assets.spec.models import Forest


def test_portfolios_differ_in_the_criterion_of_forests_alone() -> None:
    gini, entropy = (portfolios(300)[name].members or () for name in ("gini", "entropy"))
    assert [one.kind for one in gini] == [one.kind for one in entropy]
    different = [(a, b) for a, b in zip(gini, entropy, strict=True) if a != b]
    assert [a.kind for a, _ in different] == ["extra_trees", "random_forest"]
    for a, b in different:
        assert isinstance(a, Forest)
        assert b == a.model_copy(update={"criterion": "entropy"})


def test_what_changes_is_told_with_its_error() -> None:
    few = (Task(one.table.head(300), 150, one.seed) for one in islice(drawn_smooth(), 2))
    told = compared("extra_trees", few)
    assert told.startswith("2 tables, log loss ")
    assert told.count("±") == 2
