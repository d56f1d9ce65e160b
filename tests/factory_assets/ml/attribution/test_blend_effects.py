"""Influence of a blend: of one member as of that alone, of several as the blends of halves show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from factory_assets.ml.attribution.blend_effects import model_attribution
from factory_assets.ml.attribution.lds import halves, lds, predicted_quantity
from factory_assets.ml.attribution.methods import attribution
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import FitContext, Shape
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.models.portfolio.blend import BlendModel, blend_class
from factory_assets.ml.models.portfolio.encoding import encoded_for
from factory_assets.spec.models import Auto, ExtraTrees, MemberSpec
from tests.factory_assets.ml.attribution.cases import LINEAR, drawn

pytestmark = pytest.mark.slow

FOREST = ExtraTrees(kind="extra_trees", trees=20)

SPECS: dict[str, MemberSpec] = {"linear": LINEAR, "extra_trees": FOREST}

SCALES = ((1.0, 2.0), (0.0, 1.0), (-1.0, 0.5))
"""A blend standardises its rows by these for the linear member."""


def shape_of(rows: LabelledArrays) -> Shape:
    if rows.target.dtype.kind == "f":
        return Shape("regression", 3, (), 1, scales=SCALES)
    outputs = int(rows.target.max()) + 1
    return Shape("binary" if outputs == 2 else "multiclass", 3, (), outputs, scales=SCALES)


def blend(rows: LabelledArrays, weights: dict[str, float], seed: int = 0) -> BlendModel:
    """Return the blend of such members, fitted on the rows."""
    specs, shape = tuple(SPECS.values()), shape_of(rows)
    context = FitContext(
        Auto(kind="auto", members=specs), shape, seed, None, Path(), Path("/tmp"), lambda _: None
    )
    unfitted = blend_class([model_class(one, Path()) for one in specs])(
        shape, {}, [weights.get(kind, 0.0) for kind in SPECS]
    )
    rounds = {i: None for i, kind in enumerate(SPECS) if kind in weights}
    return unfitted.on_other_rows(context, rows, rows.take([0]), rounds)


@pytest.mark.parametrize("classes", [0, 3])
def test_effects_predict_a_blend(classes: int) -> None:
    rows, judged = drawn(150, classes), drawn(15, classes, seed=1)
    weights = {"linear": 0.4, "extra_trees": 0.6}
    whole, members = blend(rows, weights), halves(rows.target, 12, seed=5)
    said = judged.target if classes else None
    observed = [
        predicted_quantity(
            blend(rows.take(np.flatnonzero(half)), weights, 9).outputs(judged.inputs), said
        )
        for half in members
    ]
    method = model_attribution([whole], rows)
    effects = method.effects(method.variants[2], judged.inputs, said)
    others = np.random.default_rng(0).permutation(len(rows))
    assert lds(effects, members, np.stack(observed)) > 0.4
    assert lds(effects[:, others], members, np.stack(observed)) < 0.2


@pytest.mark.parametrize("kind", SPECS)
def test_effects_on_a_blend_of_one_are_those_on_its_member(kind: str) -> None:
    rows, judged = drawn(80, 3), drawn(6, 3, seed=1)
    whole = blend(rows, {kind: 1.0})
    [member] = whole.kept.values()
    alone, own = (
        replace(one, inputs=encoded_for(type(member), shape_of(rows), one.inputs))
        for one in (rows, judged)
    )
    expected, method = attribution([member], alone), model_attribution([whole], rows)
    assert (method.variants, method.reach) == (expected.variants, expected.reach)
    for variant in method.variants:
        np.testing.assert_array_equal(
            method.effects(variant, judged.inputs, judged.target),
            expected.effects(variant, own.inputs, judged.target),
        )
        np.testing.assert_array_equal(method.suspicion(variant), expected.suspicion(variant))


def test_small_changes_of_a_blend_are_those_of_its_members() -> None:
    """What a row changes in a blend of equal members is what it changes in each."""
    rows, judged = drawn(80, 2), drawn(6, 2, seed=1)
    one = blend(rows, {"linear": 1.0})
    twice = type(one)(shape_of(rows), {0: one.kept[0], 1: one.kept[0]}, [0.5, 0.5])
    alone, both = model_attribution([one], rows), model_attribution([twice], rows)
    said = one.outputs(judged.inputs)[np.arange(6), judged.target][:, None]
    np.testing.assert_allclose(
        both.effects(both.variants[0], judged.inputs, judged.target),
        said * (1 - said) * alone.effects(alone.variants[0], judged.inputs, judged.target),
    )
