"""Numbers that are huge, tiny, or unusually written."""

from tests.bad_data.case import BROKEN, Case, typed

_MOST = 2**63 - 1

CASES: list[Case] = [
    typed("int64", [str(_MOST), str(-(2**63))], [_MOST, -(2**63)], name="huge: the last int64"),
    typed("int64", ["1", str(2**63)], [1, BROKEN], name="huge: the first beyond int64"),
    typed("int64", ["1", "9" * 40], [1, BROKEN], name="huge: forty digits"),
    typed("int64", ["1", "9" * 5000], [1, BROKEN], name="huge: five thousand digits"),
    typed("int64", ["9007199254740993"], [2**53 + 1], name="huge: more digits than a double holds"),
    typed(
        "int64",
        ["9007199254740993.0", "9007199254740993.4"],
        [2**53 + 1, BROKEN],
        name="huge: a fraction that a double rounds away",
    ),
    typed(
        "int64",
        ["1", "0.99999999999999999999"],
        [1, BROKEN],
        name="tiny: almost one",
    ),
    typed("int64", ["1", "1e-400"], [1, BROKEN], name="tiny: a fraction below all doubles"),
    typed("int64", ["1", "1e400"], [1, BROKEN], name="huge: 1e400 among whole numbers"),
    typed("int64", ["1e18", "1e19"], [10**18, BROKEN], name="huge: with exponents"),
    typed("int64", ["1", "1_000"], [1, BROKEN], name="written: an underscore among digits"),
    typed("int64", ["1", "0x1F"], [1, BROKEN], name="written: hexadecimal"),
    typed("int64", ["007", "+5", "-0"], [7, 5, 0], name="written: zeros and signs"),
    typed("int64", ["1", "1-", "(5)"], [1, BROKEN, BROKEN], name="written: a minus of bookkeepers"),
    typed("int64", ["1", "\u22125"], [1, BROKEN], name="written: Unicode's own minus"),
    typed("float64", ["1", "1e400"], [1.0, BROKEN], name="huge: 1e400"),
    typed("float64", ["1", "-1e400"], [1.0, BROKEN], name="huge: -1e400"),
    typed(
        "float64",
        ["1.7976931348623157e308"],
        [1.7976931348623157e308],
        name="huge: the last double",
    ),
    typed("float64", ["5e-324"], [5e-324], name="tiny: the first double"),
    typed("float64", ["-0.0", "0"], [-0.0, 0.0], name="tiny: the negative zero"),
    typed("float64", ["1", "inf", "-Infinity"], [1.0, BROKEN, BROKEN], name="huge: infinity"),
    typed("float64", ["1", "nan", "-NaN"], [1.0, BROKEN, BROKEN], name="written: not a number"),
    typed(
        "float64", ["0.1", "1" + "0" * 20], [0.1, 1e20], name="huge: a whole double of 21 digits"
    ),
    typed(
        "float64",
        ["1", "1e", "e1", "."],
        [1.0, BROKEN, BROKEN, BROKEN],
        name="written: incomplete numbers",
    ),
    typed("float64", ["1", "1.2.3"], [1.0, BROKEN], name="written: two points"),
    typed(
        None,
        ["1", "12345678901234567890"],
        ["1", "12345678901234567890"],
        name="inferred: an identifier of twenty digits stays text",
    ),
    typed(
        None,
        ["0.5", "9007199254740993"],
        ["0.5", "9007199254740993"],
        name="inferred: a fraction does not round an identifier beside it",
    ),
    typed(None, ["1", "9007199254740993"], [1, 2**53 + 1], name="inferred: sixteen digits"),
    typed(None, ["1.5", "1e400"], [1.5, BROKEN], name="inferred: 1e400 among fractions"),
    typed(None, ["1.5", "1" + "0" * 22], [1.5, 1e22], name="inferred: a whole double of 23 digits"),
    typed(
        None,
        ["1", "0.99999999999999999999"],
        [1.0, 1.0],
        name="inferred: fractions are the nearest doubles",
    ),
    typed(None, ["9" * 400, "1"], ["9" * 400, "1"], name="inferred: four hundred digits are text"),
]
