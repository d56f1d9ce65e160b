"""What stands before the rows: skipped lines of text, and the header of ARFF."""

from typing import Any

from tests.bad_data.case import Case, Refused, Rows, csv

_TWO = Rows({"n": [1, 2], "y": ["a", "b"]})


def _skipped(name: str, content: bytes | str, expected: Rows | Refused, lines: int) -> Case:
    return csv(f"skip: {name}", content, expected, source={"skip": lines})


def _arff(name: str, content: str, expected: Rows | Refused, **more: Any) -> Case:
    return Case(f"ARFF: {name}", {"d.arff": content.encode()}, expected, **more)


_ARFF = "@relation r\n@attribute n numeric\n@attribute y {a,b}\n@data\n"

CASES: list[Case] = [
    _skipped("one line", b"a title\nn,y\n1,a\n2,b\n", _TWO, 1),
    _skipped("lines with separators and an odd quote", b'"x,y,z\n,,\nn,y\n1,a\n2,b\n', _TWO, 2),
    _skipped("blank lines", b"\n\nn,y\n1,a\n2,b\n", _TWO, 2),
    _skipped("CR LF", b"a title\r\nn,y\r\n1,a\r\n2,b\r\n", _TWO, 1),
    _skipped("CR", b"a title\rn,y\r1,a\r2,b\r", _TWO, 1),
    _skipped("a byte order mark", b"\xef\xbb\xbfa title\nn,y\n1,a\n2,b\n", _TWO, 1),
    csv(
        "skip: blanks as separators",
        b"a title\nn y\n1 a\n2 b\n",
        _TWO,
        source={"skip": 1, "delimiter": " "},
    ),
    _skipped("other line ends", b"a title\r\n\rn,y\n1,a\n2,b\n", _TWO, 2),
    _skipped("an odd quote, and a ragged row", b'5" pipes\nn,y\n1,a\n2\n', Refused("d.csv:4:"), 1),
    csv(
        "skip: without a header",
        b"a title\n1,a\n2,b\n",
        _TWO,
        source={"skip": 1, "header": False, "columns": ["n", "y"]},
    ),
    csv(
        "skip: CR LF, and a value of two lines in the first row",
        b't\r\nn,y\r\n1,"a\nb"\r\n2,c\r\n',
        Rows({"n": [1, 2], "y": ["a\nb", "c"]}),
        source={"skip": 2, "header": False, "columns": ["n", "y"]},
    ),
    csv(
        "a byte order mark, and a name of two lines",
        b'\xef\xbb\xbf"n\nm",y\r\n1,a\r\n2,b\r\n',
        Rows({"n\nm": [1, 2], "y": ["a", "b"]}),
    ),
    csv(
        "UTF-16, and a name of two lines",
        '\ufeff"n\nm",y\n1,a\n2,b\n'.encode("utf-16-le"),
        Rows({"n\nm": [1, 2], "y": ["a", "b"]}),
        source={"encoding": "utf-16"},
    ),
    csv(
        "skip: UTF-16",
        "\ufeffGröße\nn,y\n1,a\n2,b\n".encode("utf-16-le"),
        _TWO,
        source={"skip": 1, "encoding": "utf-16"},
    ),
    _skipped("too many", b"n,y\n1,a\n", Refused("d.csv", "has no line after the 5 skipped"), 5),
    _skipped("a blank line follows", b"t\n\nn,y\n1,a\n", Refused("d.csv:2", "source.skip to 2"), 1),
    _skipped("a ragged row", b"title\nn,y\n1,a\n2\n", Refused("d.csv:4: has 1 columns"), 1),
    csv("skip: a title that is not declared", b"a title\nn,y\n1,a\n", Refused("d.csv:", "columns")),
    _arff("rows", f"{_ARFF}1,a\n2,b\n", _TWO),
    _arff(
        "nominal numbers are text",
        _ARFF.replace("{a,b}", "{01,02}") + "1,01\n2,02\n",
        Rows({"n": [1, 2], "y": ["01", "02"]}),
    ),
    _arff("missing values", f"{_ARFF}?,a\n2,?\n", Rows({"n": [None, 2], "y": ["a", None]})),
    _arff(
        "the contract holds",
        f"{_ARFF}1,a\n200,b\nNaN,b\n",
        Rows(
            {"y": ["a"], "n": [1.0]},
            {"range:n": 1, "type:n": 1},
            {"y": ["b", "b"], "n": ["200.0", "nan"]},
        ),
        contract=[{"name": "y"}, {"name": "n", "type": "float64", "range": [0, 100]}],
    ),
    _arff("no rows", _ARFF, Refused("d.arff", "has no rows")),
    _arff("sparse rows", f"{_ARFF}{{0 1, 1 a}}\n", Refused("d.arff:5: is sparse ARFF")),
    _arff("a value that is not declared", f"{_ARFF}1,c\n", Refused("d.arff:5: 'c' is not a value")),
    _arff("cut off in the header", _ARFF[:40], Refused("d.arff:3", "ARFF header")),
]
