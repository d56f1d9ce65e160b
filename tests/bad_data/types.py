"""Types that drift down a column, and what is almost of a type."""

from tests.bad_data.case import BROKEN, Case, Rows, csv, typed

_FAR = 3_000

CASES: list[Case] = [
    typed("int64", ["1", "2", "x"], [1, 2, BROKEN], name="drift: text in whole numbers"),
    typed("int64", ["1", "2.5", "3"], [1, BROKEN, 3], name="drift: a fraction in whole numbers"),
    typed(
        "int64", ["1", "3.0", "1e3"], [1, 3, 1000], name="drift: whole numbers written otherwise"
    ),
    typed("float64", ["1.5", "n/a", "2"], [1.5, BROKEN, 2.0], name="drift: a note among numbers"),
    typed("float64", ["1.5", "2,5"], [1.5, BROKEN], name="drift: a comma for a point"),
    typed("float64", ["1.5", "1,000.5"], [1.5, BROKEN], name="drift: thousands set apart"),
    typed("float64", ["1.5", "1 000"], [1.5, BROKEN], name="drift: thousands set apart by a blank"),
    typed("float64", ["1.5", "5 kg"], [1.5, BROKEN], name="drift: a number with its unit"),
    typed("float64", ["1.5", "12%"], [1.5, BROKEN], name="drift: a number with its percent"),
    typed("float64", ["1.5", "$3"], [1.5, BROKEN], name="drift: a number with its currency"),
    typed("float64", ["1.5", "#DIV/0!"], [1.5, BROKEN], name="drift: a spreadsheet's error"),
    typed("float64", ["1.5", "true"], [1.5, BROKEN], name="drift: a truth value among numbers"),
    typed("float64", ["1.5", "2024-01-02"], [1.5, BROKEN], name="drift: a date among numbers"),
    typed(
        "bool", ["true", "FALSE", "1", "0"], [True, False, True, False], name="drift: truth values"
    ),
    typed("bool", ["true", "yes", "2"], [True, BROKEN, BROKEN], name="drift: almost truth values"),
    typed(None, ["1", "2", "x"], ["1", "2", "x"], name="found: text in whole numbers makes text"),
    typed(None, ["1", "2.5"], [1.0, 2.5], name="found: a fraction makes fractions"),
    typed(None, ["1", "true"], ["1", "true"], name="found: a truth value makes text"),
    typed(None, ["true", "FALSE"], [True, False], name="found: truth values"),
    typed(None, ["yes", "no"], ["yes", "no"], name="found: yes and no are text"),
    typed(None, ["0", "1"], [0, 1], name="found: 0 and 1 are numbers"),
    typed(None, ["007", "8"], ["007", "8"], name="found: leading zeros make text"),
    typed(None, ["1", "2024-01-02"], ["1", "2024-01-02"], name="found: a date makes text"),
    typed(None, ["", " ", "\t"], [None, None, None], name="found: nothing at all"),
    typed(None, ["1.5", "NaN"], [1.5, BROKEN], name="found: not a number"),
    typed(None, ["1", "1_000"], ["1", "1_000"], name="found: an underscore makes text"),
    typed(None, ["10", "0x1F"], ["10", "0x1F"], name="found: hexadecimal is text"),
    typed(None, ["10", "0b11"], ["10", "0b11"], name="found: binary is text"),
    typed(None, ["1", "١٢"], ["1", "١٢"], name="found: digits of another script are text"),
    typed(None, ["1", "½"], ["1", "½"], name="found: a half in one sign is text"),
    typed(None, ["NULL", "x"], ["NULL", "x"], name="found: the word NULL is text"),
    typed(None, ["1e3", "2E3"], [1000, 2000], name="found: whole numbers with exponents"),
    csv(
        "drift: text after thousands of numbers",
        "n,y\n" + "".join(f"{i},{i}\n" for i in range(_FAR)) + f"{_FAR},last\n",
        Rows({"n": [*range(_FAR + 1)], "y": [*map(str, range(_FAR)), "last"]}),
    ),
    csv(
        "drift: text after thousands of numbers, against a contract",
        "n,y\n" + "".join(f"{i},{i}\n" for i in range(_FAR)) + f"{_FAR},last\n",
        Rows({"y": [*range(_FAR)]}, {"type:y": 1}, {"y": ["last"]}),
        contract=[{"name": "y", "type": "int64"}],
    ),
    Case(
        "drift: numbers in one file, text in the next",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"n,y\n2,x\n"},
        Rows({"n": [1, 2], "y": ["2", "x"]}),
        {"files": "data/*.csv"},
    ),
    Case(
        "drift: numbers in one file, nothing in the next",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"n,y\n2,\n"},
        Rows({"n": [1, 2], "y": [2, None]}),
        {"files": "data/*.csv"},
    ),
    csv(
        "drift: columns swapped half way",
        "n,y\n1,a\n2,b\nc,3\n",
        Rows({"y": ["a", "b"], "n": [1, 2]}, {"type:n": 1}, {"y": ["3"], "n": ["c"]}),
        contract=[{"name": "y"}, {"name": "n", "type": "int64"}],
    ),
]
