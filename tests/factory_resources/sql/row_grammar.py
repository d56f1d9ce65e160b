"""A grammar of the expressions that row functions know, and rows with the values that trip them."""

import re

from hypothesis import strategies as st

from factory_resources.sql.scalar.binding import Kind

COLUMNS: dict[str, Kind] = {
    "a": "BIGINT", "b": "BIGINT", "i": "INTEGER", "x": "DOUBLE", "y": "DOUBLE",
    "s": "VARCHAR", "u": "VARCHAR", "t": "BOOLEAN", "f": "BOOLEAN",
}  # fmt: skip

LEAVES = {
    "B": ["a", "b", "99999999999", "9223372036854775807", "(-9223372036854775808)", "NULL::BIGINT"],
    "I": ["i", "0", "1", "2", "(-1)", "7", "2147483647", "(-2147483648)", "NULL"],
    "D": ["x", "y", "x", "y", "1e0", "(-0e0)", "0e0", "5e-324", "1.7e308", "0.1e0", "pi()",
          "NULL::DOUBLE"],
    "N": ["0.5", "0.1", "2.50", "(-1.25)", "(-0.0)", "1234567.891", "100.0", "0.000001"],
    "S": ["s", "u", "s", "u", "''", "'a'", "'B'", "' a '", "'é'", "'12'", "'O''Neill'",
          "NULL::VARCHAR"],
    "T": ["t", "f", "true", "false", "NULL::BOOLEAN"],
}  # fmt: skip
"""Expressions without parts, by type: BIGINT, INTEGER, DOUBLE, (N)umeric, (S)tring, (T)ruth."""

FORMS = {
    "B": [
        "({B} + {B})", "({B} - {I})", "({I} * {B})", "(-{B})", "({B} // {B})", "({B} % {I})",
        "abs({B})", "@{B}", "{D}::BIGINT", "{T}::BIGINT", "CAST({I} AS BIGINT)", "length({S})",
        "coalesce({B}, {I})", "CASE WHEN {T} THEN {B} ELSE {I} END", "nullif({B}, {D})",
        "greatest({B}, {I}, {B})", "least({B}, {B})", "instr({S}, {S})", "strlen({S})",
        "TRY_CAST({S} AS BIGINT)", "CAST({S} AS BIGINT)", "mod({B}, {B})", "(+{B})",
        "if({T}, {B}, {B})", "add({B}, {I})", "divide({B}, {I})", "ifnull({B}, {B})",
    ],
    "I": [
        "({I} + {I})", "({I} + 2)", "(7 + {I})", "({I} * 3)", "(3 * {I})", "({I} * 1)", "({I} + 0)",
        "({I} + 2147483640)", "({I} - {I})", "({I} * {I})", "(-{I})", "({I} // {I})", "({I} % {I})",
        "abs({I})", "{B}::INTEGER", "{D}::INTEGER",
        "CASE {S} WHEN 'a' THEN {I} WHEN {S} THEN {I} END",
        "coalesce({I}, {I}, {I})", "least({I}, {I})", "TRY_CAST({S} AS INTEGER)", "{T}::INTEGER",
    ],
    "D": [
        "({D} + {D})", "({D} - {D})", "({D} * {D})", "({D} / {D})", "({B} / {I})", "({D} * {N})",
        "({D} + {I})", "({B} * {D})", "({D} - {N})", "({I} / {N})", "(-{D})", "({D} % {D})",
        "({D} ^ 2)", "({D} ** {D})", "pow({D}, {N})", "power({I}, {I})", "sqrt({D})",
        "sqrt(abs({D}))", "ln({D})", "log({D})", "log10({D})", "log2({D})", "exp({D})", "cbrt({D})",
        "ln(abs({D}) + 1)", "sin({D})", "cos({D})", "tan({D})", "asin({D})", "acos({D})",
        "atan({D})", "atan2({D}, {D})", "sinh({D})", "cosh({D})", "tanh({D})", "radians({D})",
        "degrees({D})", "floor({D})", "ceil({D})", "ceiling({D})", "round({D})", "trunc({D})",
        "abs({D})", "{B}::DOUBLE", "{N}::DOUBLE", "CAST({I} AS DOUBLE)", "{T}::DOUBLE",
        "TRY_CAST({S} AS DOUBLE)", "{S}::DOUBLE", "coalesce({D}, {B}, {N})",
        "CASE WHEN {T} THEN {D} WHEN {T} THEN {N} END", "nullif({D}, {I})",
        "greatest({D}, {B})", "least({D}, {D}, {N})", "CASE {I} WHEN 1 THEN {D} ELSE {D} END",
        "({D} + ({B} + {N}))", "floor({B})", "multiply({D}, {D})", "fdiv({D}, {D})",
    ],
    "N": [
        "({B} * {N})", "({I} + {N})", "({N} - {N})", "({N} * {N})", "(-{N})", "{B}::DECIMAL(20,1)",
        "coalesce({I}, {N})", "CASE WHEN {T} THEN {N} ELSE {I} END", "least({N}, {I})",
        "{N}::DECIMAL(30,8)",
    ],
    "S": [
        "({S} || {S})", "({S} || {B})", "concat({S}, {S}, {T})", "concat({I}, ' ', {S})",
        "lower({S})", "upper({S})", "lcase({S})", "ucase({S})", "trim({S})", "ltrim({S})",
        "rtrim({S})", "coalesce({S}, {S})", "CASE WHEN {T} THEN {S} ELSE {S} END",
        "CASE WHEN {T} THEN {S} END", "nullif({S}, {S})", "greatest({S}, {S})", "least({S}, {S})",
        "{B}::VARCHAR", "{T}::VARCHAR", "{I}::VARCHAR", "replace({S}, {S}, {S})",
        "substring({S}, 1, 2)", "substr({S}, {I}, {I})", "left({S}, 2)", "right({S}, {I})",
    ],
    "T": [
        "({B} < {B})", "({B} <= {I})", "({B} = {D})", "({I} <> {I})", "({D} > {D})", "({D} >= {N})",
        "({I} > {N})", "({B} = {N})", "({N} < {N})", "({D} = {I})", "({D} != {D})", "({S} = {S})",
        "({S} < {S})", "({S} >= {S})", "({T} = {T})", "({T} < {T})", "({S} > 'M')",
        "({D} IS DISTINCT FROM {B})", "({S} IS NOT DISTINCT FROM {S})", "({T} IS TRUE)",
        "({T} IS NOT FALSE)", "({T} IS UNKNOWN)", "({D} BETWEEN {I} AND {D})",
        "({B} NOT BETWEEN {I} AND {N})", "({S} BETWEEN 'a' AND {S})",
        "(({D} + {D}) BETWEEN {D} AND {D})", "({B} IN (1, 2, {I}))", "({D} IN (1, 2.5, NULL))",
        "({D} NOT IN ({D}, {N}, {B}))", "({S} IN ('a', 'b', {S}))", "({S} NOT IN ('a', 'é', ''))",
        "({I} IN (1, 2, 3, 4, 5, 6, 7))", "({S} IN ('a', NULL))", "({D} IS NULL)",
        "({S} IS NOT NULL)", "({B} IS NULL)", "(NOT {T})", "({T} AND {T})", "({T} OR {T})",
        "({T} AND {T} AND {T})", "({T} OR {T} OR {T})", "CASE WHEN {T} THEN {T} ELSE {T} END",
        "coalesce({T}, {T})", "contains({S}, {S})", "starts_with({S}, {S})", "prefix({S}, 'a')",
        "({S} ^@ {S})", "ends_with({S}, {S})", "suffix({S}, 'a')", "({S} LIKE 'a%')",
        "({S} LIKE '%a')", "({S} LIKE '%a%')", "({S} NOT LIKE 'a%b')", "({S} LIKE 'a%b%c')",
        "({S} LIKE '_a%')", "({S} LIKE '%a_')", "({S} LIKE '')", "({S} LIKE '%')",
        "({S} LIKE 'aB')", "({S} LIKE '%é%')", "({S} ILIKE 'A%b')", "({S} NOT ILIKE '%a_')",
        "({S} LIKE '%a%a%')", "({S} LIKE 'a%a')", "({S} LIKE '%%a')", "isnan({D})", "isfinite({D})",
        "{I}::BOOLEAN", "{D}::BOOLEAN", "if({T}, {T}, {T})", "({T} IS NOT DISTINCT FROM {T})",
        "({I} = '1')", "({N} IN ({N}, 1))", "({B} % 2 = 0)", "({B} + 1 > {I})", "({I} - 1 = {I})",
        "({S} LIKE {P})", "({S} NOT LIKE {P})", "({S} ILIKE {P})", "(2147483647 + {I} > {I})",
        "({I} * 2 = {I})", "(2 - {I} >= {I})",
    ],
}  # fmt: skip
"""Expressions with parts, of the types in braces."""


@st.composite
def expressions(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(sorted(FORMS)))
    return draw_expression(draw, kind, draw(st.integers(1, 4)), {})


def draw_expression(draw: st.DrawFn, kind: str, depth: int, made: dict[str, list[str]]) -> str:
    """Draw an expression; `made` are those drawn before, since the engine computes twins once."""
    if kind == "P":
        return "'" + draw(st.text("aAb%_é", max_size=5)) + "'"
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(made.get(kind, []) + LEAVES[kind]))
    form = draw(st.sampled_from(FORMS[kind]))
    sql = re.sub(r"\{(\w)\}", lambda hole: draw_expression(draw, hole[1], depth - 1, made), form)
    made.setdefault(kind, []).append(sql)
    return sql


def whole_numbers(bits: int) -> st.SearchStrategy[int]:
    most = 2**bits
    near = [0, 1, -1, 2, 3, -7, 2**53, 2**53 + 1, -(2**53) - 1, most - 1, -most, 1 - most]
    return st.sampled_from([n for n in near if -most <= n < most]) | st.integers(-most, most - 1)


DOUBLES = (
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, 1.5, 5e-324, -5e-324, 1.7e308, 2.0**53])
    | st.floats(-1000, 1000)
    | st.floats()
)
ODD_TEXTS = [
    "", "a", "A", "b", "aB", "abc", " a ", "é", "e\u0301", "ß", "İ", "12", "-1.5", "1e5", "V57",
    "E95", "inf", "nan", "\t1", "1 ", "0x1", "🙂a", "a\0b", "true", "x" * 30, "a_b", "a%b", "aa",
]  # fmt: skip
TEXTS = st.sampled_from(ODD_TEXTS) | st.text("abAB 01.%_é", max_size=8)

ROWS = st.fixed_dictionaries(
    {
        "a": st.none() | whole_numbers(63), "b": st.none() | whole_numbers(63),
        "i": st.none() | whole_numbers(31), "x": st.none() | DOUBLES, "y": st.none() | DOUBLES,
        "s": st.none() | TEXTS, "u": st.none() | TEXTS,
        "t": st.none() | st.booleans(), "f": st.none() | st.booleans(),
    }
)  # fmt: skip
