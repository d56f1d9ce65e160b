"""Names for programs that take only some characters."""

from factory_resources.narrow_names import narrow_name


def test_a_name_that_fits_stays() -> None:
    assert narrow_name("coverage_north", r"[^a-z_]", 14) == "coverage_north"


def test_names_that_differ_in_other_characters_alone_stay_different() -> None:
    below, above = (narrow_name(name, r"[^a-z0-9_]", 30) for name in ("age_<5", "age_>5"))
    assert below.startswith("age__5_")
    assert above.startswith("age__5_")
    assert below != above


def test_a_long_name_is_cut() -> None:
    first, second = (narrow_name("a" * 40 + end, r"[^a-z]", 30) for end in "bc")
    assert len(first) == len(second) == 30
    assert first != second
