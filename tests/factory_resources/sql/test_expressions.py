"""Which expressions are accepted, which columns they name, and which are refused."""

import pytest

from factory_resources.errors import ExpressionError
from factory_resources.sql.expressions import columns_of, compared_constants, parse, suggestion


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        ("torque * speed > 0 AND type IN ('L', 'M')", ("torque", "speed", "type")),
        ('"we""ird name" + 1', ('we"ird name',)),
        ("CASE WHEN a THEN b ELSE c END -- a comment", ("a", "b", "c")),
        ("coalesce(nullif(x, 0), y::DOUBLE)", ("x", "y")),
        ("date_trunc('day', t) BETWEEN DATE '2020-01-01' AND u", ("t", "u")),
        ("greatest(a, b) /* largest */ ^ 2", ("a", "b")),
        ("regexp_matches(s, '^[a-z]') OR s LIKE 'x%'", ("s",)),
        ("if(a, b, b)", ("a", "b")),
        ("pi()", ()),
        ("(a)", ("a",)),
    ],
)
def test_columns_of_an_expression(expression: str, columns: tuple[str, ...]) -> None:
    assert columns_of(expression, "here") == columns
    assert not parse(expression, "here").windowed


def test_an_expression_with_over_is_windowed() -> None:
    parsed = parse("x - lag(x) OVER (PARTITION BY u ORDER BY t)", "here")
    assert (set(parsed.columns), parsed.windowed) == ({"x", "u", "t"}, True)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "is not one expression"),
        ("a, b", "is not one expression"),
        ("a +", "is not an SQL expression"),
        ("at + a", "a name that has blanks or is a keyword, such as at or order, in double quotes"),
        ("a b", "at character 3"),
        ("a; DROP TABLE x", "is not an SQL expression"),
        ("a) FROM t --", "is not an SQL expression"),
        ("a) UNION SELECT (1", "is not one expression"),
        ("a), (b", "is not one expression"),
        ("a) WHERE (b", "is not one expression"),
        ("a) LIMIT (1", "is not one expression"),
        ("a) GROUP BY ALL HAVING (b", "is not one expression"),
        ("a) FROM (SELECT 1 AS a", "is not one expression"),
        ("a) FROM (VALUES (1)", "is not one expression"),
        ("a) USING SAMPLE (1", "is not"),
        ("a); SELECT (b", "is not one expression"),
        ("a) AS (b", "is not"),
        ("(a, b)", "does not depend"),
        ("a /*", "is not an SQL expression"),
        ("(SELECT 1)", "a subquery"),
        ("x IN (SELECT 1)", "a subquery"),
        ("EXISTS (SELECT 1)", "a subquery"),
        ("*", "`*`"),
        ("COLUMNS('a.*')", "`*`"),
        ("t.*", "`*`"),
        ("#1", "a column by number"),
        ("$1", "is not one expression"),
        ("?", "is not one expression"),
        ("[v + 1 FOR v IN y]", "a lambda"),
        ("DEFAULT", "DEFAULT"),
        ("s.field", 'write a column with a dot in its name as "s.field"'),
        ("main.abs(x)", "another schema"),
        ("random()", "'random' does not depend on the row alone"),
        ("uuid()", "'uuid' does not depend"),
        ("now()", "'now' does not depend"),
        ("today()", "'today' does not depend"),
        ("age(t)", "'age' does not depend"),
        ("ago(INTERVAL 1 DAY)", "'ago' does not depend"),
        ("current_setting('threads')", "does not depend"),
        ("getvariable('x')", "does not depend"),
        ("read_text('/etc/passwd')", "does not depend"),
        ("nextval('s')", "does not depend"),
        ("pg_sleep(1)", "does not depend"),
        ("unnest([1, 2])", "does not depend"),
        ("max(random()) OVER ()", "does not depend"),
        ("avg(x)", "'avg' aggregates many rows"),
        ("getenv('HOME')", "there is no function 'getenv'"),
        ("sqroot(x)", "did you mean 'sqrt'?"),
        (" + ".join(["x"] * 2000), "nested too deeply"),
    ],
)
def test_a_refused_expression_is_reported_with_place_and_remedy(
    expression: str, message: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        columns_of(expression, "p/clean: where.r")
    line = str(caught.value)
    assert message in line
    assert line.startswith("p/clean: where.r: ")
    assert caught.value.remedy
    assert "\n" not in line


def test_suggestion_lists_the_known_names() -> None:
    assert suggestion("zzz", ["torque", "speed"]) == "available: torque, speed"
    assert suggestion("zzz", []) == "available: none"
    assert suggestion("TORQE", ["torque"]) == "did you mean 'torque'? available: torque"
    assert suggestion("x", [f"c{i}" for i in range(40)]).endswith("c29 and 10 more")


@pytest.mark.parametrize(
    ("expression", "constants"),
    [
        (
            "Email = 'a' AND (nbr IN (-4, 2.5) OR '7' = nbr)",
            {"email": ("a",), "nbr": (-4, 2.5, "7")},
        ),
        ("name = 'a' AND name LIKE 'a%' OR b = 1", {"b": (1,)}),
        ("NOT a = 1 AND b = c AND d = DATE '2026-01-02' AND e != 2 AND upper(f) = 'F'", {}),
    ],
)
def test_constants_to_which_a_column_has_to_be_equal(
    expression: str, constants: dict[str, tuple[object, ...]]
) -> None:
    assert compared_constants(expression, "here") == constants
