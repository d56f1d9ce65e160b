"""A pattern that `factory new` drafts has an example that the drafted expression reads."""

import duckdb
import pytest

from factory_assets.cli.new.units import Unit
from factory_assets.cli.new.written_forms import written_forms
from factory_assets.data.contract.pattern_examples import example_of
from factory_resources.sql.engine import literal


def test_each_form_of_writing_has_an_example() -> None:
    with duckdb.connect() as connection:
        for form in written_forms(clocks=True):
            example = example_of(form.pattern)
            assert example is not None, form
            text = literal(example)
            query = f"SELECT regexp_full_match({text}, {literal(form.pattern)}), {form.sql}"
            assert None not in connection.execute(query.replace("{}", text)).fetchall()[0], form
    assert example_of(written_forms(clocks=True)[1].pattern) == "1.234,5"


def test_a_number_stands_beside_its_unit() -> None:
    german = written_forms(clocks=True)[1].pattern
    assert example_of(Unit("€").around(german), "€") == "1.234,5 €"
    assert example_of(german, "mg/l") == "1.234,5"


@pytest.mark.parametrize("pattern", ["M[0-9]{4}", "[A-Za-z0-9 .,]+", ".*", "[", r"\pN+"])
def test_other_patterns_have_none(pattern: str) -> None:
    assert example_of(pattern) is None
