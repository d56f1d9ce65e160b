"""What is suggested for a wrong word."""

from factory_assets.spec.suggest import SHOWN, nearest, suggest


def test_near_word_comes_first_and_all_are_listed() -> None:
    assert suggest("mpl", ["linear", "mlp"]) == "did you mean 'mlp'? valid: linear, mlp"
    assert suggest("forest", ["linear", "mlp"]) == "valid: linear, mlp"


def test_case_does_not_matter() -> None:
    assert nearest("TORQUE", ["speed", "Torque"]) == "Torque"


def test_anything_may_be_asked() -> None:
    assert nearest(None, ["a"]) is None
    assert nearest(["x"], []) is None
    assert suggest(5, []) == "nothing is valid here"


def test_long_lists_are_cut() -> None:
    words = [f"column_{i}" for i in range(SHOWN + 7)]
    assert suggest("x", words).endswith(f"column_{SHOWN - 1} and 7 more")
