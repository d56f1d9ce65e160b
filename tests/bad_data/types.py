"""Types that change within a column, and values that are almost of a type."""

from tests.bad_data.case import BROKEN, Case, Rows, csv, typed

_FAR = 3_000

CASES: list[Case] = [
    typed("int64", ["1", "2", "x"], [1, 2, BROKEN], name="mixed: text in whole numbers"),
    typed("int64", ["1", "2.5", "3"], [1, BROKEN, 3], name="mixed: a fraction in whole numbers"),
    typed(
        "int64", ["1", "3.0", "1e3"], [1, 3, 1000], name="mixed: other spellings of whole numbers"
    ),
    typed("float64", ["1.5", "n/a", "2"], [1.5, BROKEN, 2.0], name="mixed: a note among numbers"),
    typed("float64", ["1.5", "2,5"], [1.5, BROKEN], name="mixed: a decimal comma"),
    typed("float64", ["1.5", "1,000.5"], [1.5, BROKEN], name="mixed: thousands separators"),
    typed("float64", ["1.5", "1 000"], [1.5, BROKEN], name="mixed: spaces as thousands separators"),
    typed("float64", ["1.5", "5 kg"], [1.5, BROKEN], name="mixed: a number with its unit"),
    typed("float64", ["1.5", "12%"], [1.5, BROKEN], name="mixed: a number with its percent"),
    typed("float64", ["1.5", "$3"], [1.5, BROKEN], name="mixed: a number with its currency"),
    typed("float64", ["1.5", "#DIV/0!"], [1.5, BROKEN], name="mixed: a spreadsheet's error"),
    typed("float64", ["1.5", "true"], [1.5, BROKEN], name="mixed: a truth value among numbers"),
    typed("float64", ["1.5", "2024-01-02"], [1.5, BROKEN], name="mixed: a date among numbers"),
    typed(
        "bool", ["true", "FALSE", "1", "0"], [True, False, True, False], name="mixed: truth values"
    ),
    typed("bool", ["true", "yes", "2"], [True, BROKEN, BROKEN], name="mixed: almost truth values"),
    typed(
        None, ["1", "2", "x"], ["1", "2", "x"], name="inferred: text in whole numbers makes text"
    ),
    typed(None, ["1", "2.5"], [1.0, 2.5], name="inferred: a fraction makes fractions"),
    typed(None, ["1", "true"], ["1", "true"], name="inferred: a truth value makes text"),
    typed(None, ["true", "FALSE"], [True, False], name="inferred: truth values"),
    typed(None, ["yes", "no"], ["yes", "no"], name="inferred: yes and no are text"),
    typed(None, ["0", "1"], [0, 1], name="inferred: 0 and 1 are numbers"),
    typed(None, ["007", "8"], ["007", "8"], name="inferred: leading zeros make text"),
    typed(None, ["1", "2024-01-02"], ["1", "2024-01-02"], name="inferred: a date makes text"),
    typed(None, ["", " ", "\t"], [None, None, None], name="inferred: missing values alone"),
    typed(None, ["1.5", "NaN"], [1.5, BROKEN], name="inferred: not a number"),
    typed(None, ["1", "1_000"], ["1", "1_000"], name="inferred: an underscore makes text"),
    typed(None, ["10", "0x1F"], ["10", "0x1F"], name="inferred: hexadecimal is text"),
    typed(None, ["10", "0b11"], ["10", "0b11"], name="inferred: binary is text"),
    typed(None, ["1", "١٢"], ["1", "١٢"], name="inferred: digits of another script are text"),
    typed(None, ["1", "½"], ["1", "½"], name="inferred: a fraction in one sign is text"),
    typed(None, ["NULL", "x"], ["NULL", "x"], name="inferred: the word NULL is text"),
    typed(None, ["1e3", "2E+3"], [1000, 2000], name="inferred: whole numbers with exponents"),
    typed(None, ["1E-3", "2.5E3"], [0.001, 2500.0], name="inferred: fractions with exponents"),
    typed(None, ["1E2", "10E1"], ["1E2", "10E1"], name="inferred: codes like exponents are text"),
    typed(None, ["0.5", "1E2"], ["0.5", "1E2"], name="inferred: a code beside a fraction"),
    typed("float64", ["1E2", "10E1"], [100.0, 100.0], name="declared: numbers like codes"),
    csv(
        "mixed: text after thousands of numbers",
        "n,y\n" + "".join(f"{i},{i}\n" for i in range(_FAR)) + f"{_FAR},last\n",
        Rows({"n": [*range(_FAR + 1)], "y": [*map(str, range(_FAR)), "last"]}),
    ),
    csv(
        "mixed: text after thousands of numbers, against a contract",
        "n,y\n" + "".join(f"{i},{i}\n" for i in range(_FAR)) + f"{_FAR},last\n",
        Rows({"y": [*range(_FAR)]}, {"type:y": 1}, {"y": ["last"]}),
        contract=[{"name": "y", "type": "int64"}],
    ),
    Case(
        "mixed: numbers in one file, text in the next",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"n,y\n2,x\n"},
        Rows({"n": [1, 2], "y": ["2", "x"]}),
        {"files": "data/*.csv"},
    ),
    Case(
        "mixed: numbers in one file, nothing in the next",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"n,y\n2,\n"},
        Rows({"n": [1, 2], "y": [2, None]}),
        {"files": "data/*.csv"},
    ),
    csv(
        "mixed: columns swapped half way",
        "n,y\n1,a\n2,b\nc,3\n",
        Rows({"y": ["a", "b"], "n": [1, 2]}, {"type:n": 1}, {"y": ["3"], "n": ["c"]}),
        contract=[{"name": "y"}, {"name": "n", "type": "int64"}],
    ),
]
