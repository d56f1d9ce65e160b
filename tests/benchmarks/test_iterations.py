"""The portfolios that the benchmark compares, and the tables that it draws."""

import numpy as np

from benchmarks.iterations import DEFAULT, TABLES, portfolios
from factory_assets.ml.models.portfolio.defaults import ITERATIONS
from factory_assets.spec.models import Boosting, MemberSpec


def _iterations(members: tuple[MemberSpec, ...]) -> list[int]:
    return [member.iterations for member in members if isinstance(member, Boosting)]


def test_portfolios_differ_in_their_iterations_alone() -> None:
    few, many = (portfolios(4_000)[one].members or () for one in (DEFAULT, ITERATIONS))
    assert _iterations(few) == [300, 3_000, 300, 300]
    assert _iterations(many) == [1_000, 3_000, 1_000, 1_000]
    assert [
        member.model_copy(update={"iterations": 300}) if isinstance(member, Boosting) else member
        for member in many
    ] == [
        member.model_copy(update={"iterations": 300}) if isinstance(member, Boosting) else member
        for member in few
    ]


def test_noise_is_drawn_beside_the_same_signal() -> None:
    clear, noisy = (TABLES[f"friedman1-{name}"](5, 2_000) for name in ("clear", "noisy"))
    assert clear.drop(columns="y").equals(noisy.drop(columns="y"))
    ratio = float(np.var(noisy["y"]) / np.var(clear["y"]))
    assert 1.8 < ratio < 2.2
    assert not clear["y"].equals(TABLES["friedman1-clear"](6, 2_000)["y"])
