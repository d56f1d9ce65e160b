"""Suggestions for a wrong word, and the descriptions of keys."""

from factory_assets.spec import Gate
from factory_assets.spec.base import SHOWN, Spec, descriptions, nearest, suggest


def test_near_word_comes_first_and_all_are_listed() -> None:
    assert suggest("mpl", ["linear", "mlp"]) == "did you mean 'mlp'? valid: linear, mlp"
    gates = ["at_least", "at_most", "margin"]
    assert suggest("min", gates) == "did you mean 'at_least'? valid: at_least, at_most, margin"
    assert suggest("min", ["margin"]) == "did you mean 'margin'? valid: margin"
    assert suggest("forest", ["linear", "mlp"]) == "valid: linear, mlp"


def test_case_does_not_matter() -> None:
    assert nearest("TORQUE", ["speed", "Torque"]) == "Torque"


def test_any_object_may_be_looked_up() -> None:
    assert nearest(None, ["a"]) is None
    assert nearest(["x"], []) is None
    assert suggest(5, []) == "nothing is valid here"


def test_long_lists_are_cut() -> None:
    words = [f"column_{i}" for i in range(SHOWN + 7)]
    assert suggest("x", words).endswith(f"column_{SHOWN - 1} and 7 more")


class _Above(Spec):
    first: int
    """Of the
    class above."""
    bare: int = 0


class _Below(_Above):
    second: str = ""
    """Its own."""
    first: int = 1


def test_inherited_and_own_fields() -> None:
    assert dict(descriptions(_Below)) == {"first": "Of the\nclass above.", "second": "Its own."}


def test_description_of_a_declared_key() -> None:
    assert descriptions(Gate)["metric"] == "The metric that is compared, such as `roc_auc`."
