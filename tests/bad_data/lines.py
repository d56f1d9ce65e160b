"""Lines: line ends, quotes across lines, and very long or very many cells."""

from tests.bad_data.case import Case, Refused, Rows, csv

_TWO = Rows({"n": [1, 2], "y": ["a", "b"]})
_WIDE = 400
_KINDS = Refused("d.csv", "has line ends of several kinds")

CASES: list[Case] = [
    csv("lines: LF", b"n,y\n1,a\n2,b\n", _TWO),
    csv("lines: CR LF", b"n,y\r\n1,a\r\n2,b\r\n", _TWO),
    csv("lines: CR", b"n,y\r1,a\r2,b\r", _TWO),
    csv("lines: no line end at the end", b"n,y\n1,a\n2,b", _TWO),
    csv("lines: CR LF and no line end at the end", b"n,y\r\n1,a\r\n2,b", _TWO),
    csv("lines: LF, then CR LF", b"n,y\n1,a\r\n2,b\n", _KINDS),
    csv("lines: CR LF, then LF", b"n,y\r\n1,a\n2,b\n", _KINDS),
    csv("lines: LF, then CR", b"n,y\n1,a\r2,b\n", _KINDS),
    csv(
        "lines: a single CR far down",
        b'n,y\n1,"a\r\nb"\n2,c\n3,d\re\n4,f\n',
        Refused("d.csv:5: has line ends of several kinds"),
    ),
    csv("lines: CR CR LF", b"n,y\r\r\n1,a\r\r\n2,b\r\r\n", _KINDS),
    csv("lines: LF CR", b"n,y\n\r1,a\n\r2,b\n\r", _KINDS),
    csv("lines: blank lines between rows", b"n,y\n\n1,a\n\n\n2,b\n\n", _TWO),
    csv("lines: blank lines at the end", b"n,y\n1,a\n2,b\n\n\n\n", _TWO),
    csv(
        "lines: a line of spaces between rows",
        b"n,y\n1,a\n   \n2,b\n",
        Refused("d.csv:3: has 1 columns"),
    ),
    csv("lines: a blank line first", b"\nn,y\n1,a\n", Refused("d.csv:1: begins with a blank line")),
    csv(
        "lines: the end-of-file character of DOS",
        b"n,y\r\n1,a\r\n2,b\r\n\x1a",
        Refused("d.csv:4: has 1 columns"),
    ),
    csv(
        "lines: Unicode's own line ends are text",
        "n,y\n1,a\u2028b\u2029c\x85d\n",
        Rows({"n": [1], "y": ["a\u2028b\u2029c\x85d"]}),
    ),
    csv(
        "lines: a line end inside a quoted value",
        b'n,y\n1,"a\nb"\n2,c\n',
        Rows({"n": [1, 2], "y": ["a\nb", "c"]}),
    ),
    *(
        csv(
            f"lines: {rows!r} rows, and {inside!r} inside a name",
            f'n,"y{inside}z"{rows}1,a{rows}2,b{rows}',
            Rows({"n": [1, 2], f"y{inside}z": ["a", "b"]}),
        )
        for rows, inside in (("\r\n", "\n"), ("\n", "\r\n"), ("\n", "\n"), ("\r\n", "\r\n"))
    ),
    csv(
        "lines: CR LF rows with LF inside the first value, without a header",
        b'"a\nb",1\r\nc,2\r\n',
        Rows({"column_1": ["a\nb", "c"], "column_2": [1, 2]}),
        source={"header": False},
    ),
    csv(
        "lines: CR LF rows with LF inside values",
        b'n,y\r\n1,"a\nb"\r\n2,"c\r\nd"\r\n',
        Rows({"n": [1, 2], "y": ["a\nb", "c\r\nd"]}),
    ),
    csv(
        "lines: LF rows with CR inside values",
        b'n,y\n1,"a\rb"\n2,c\n',
        Rows({"n": [1, 2], "y": ["a\rb", "c"]}),
    ),
    csv(
        "lines: a value of line ends alone is missing",
        b'n,y\n1,"\n\n"\n2,c\n',
        Rows({"n": [1, 2], "y": [None, "c"]}),
    ),
    csv(
        "lines: a thousand line ends inside one value",
        b'n,y\n1,"' + b"x\n" * 1000 + b'z"\n2,c\n',
        Rows({"n": [1, 2], "y": ["x\n" * 1000 + "z", "c"]}),
    ),
    csv(
        "lines: a line end inside the header",
        b'n,"y\nz",y\n1,2,3\n',
        Rows({"n": [1], "y\nz": [2], "y": [3]}),
    ),
    csv(
        "lines: an empty line in a file of one column is a missing value",
        b"y\n1\n\n3\n",
        Rows({"y": [1, None, 3]}),
    ),
    csv(
        "lines: a quoted empty value in a file of one column",
        b'y\n1\n""\n3\n',
        Rows({"y": [1, None, 3]}),
    ),
    csv("quotes: doubled", b'n,y\n1,"a ""b"" c"\n', Rows({"n": [1], "y": ['a "b" c']})),
    csv("quotes: an empty value", b'n,y\n1,""\n2,x\n', Rows({"n": [1, 2], "y": [None, "x"]})),
    csv("quotes: four", b'n,y\n1,""""\n2,x\n', Rows({"n": [1, 2], "y": ['"', "x"]})),
    csv("quotes: a separator inside", b'n,y\n1,"a,b"\n', Rows({"n": [1], "y": ["a,b"]})),
    csv(
        "quotes: never closed",
        b'n,y\n1,"a\n2,b\n',
        Refused("d.csv:2: has a quoted value that never"),
    ),
    csv(
        "quotes: never closed before many rows",
        b'n,y\n1,"a\n' + b"2,b\n" * 100_000,
        Refused("d.csv:2: has a quoted value that never"),
    ),
    csv(
        "quotes: text after the closing one",
        b'n,y\n1,"a"b\n',
        Refused("d.csv:2: has a quoted value"),
    ),
    csv(
        "quotes: escaped by a backslash",
        b'n,y\n1,"a\\"b"\n',
        Refused("d.csv:2: has a quoted value"),
    ),
    csv(
        "quotes: in the middle of a value", b'n,y\n1,5" pipe\n', Rows({"n": [1], "y": ['5" pipe']})
    ),
    csv("quotes: single ones are text", b"n,y\n1,'a'\n", Rows({"n": [1], "y": ["'a'"]})),
    csv(
        "quotes: a space before the opening one",
        b'n,y\n1, "a"\n',
        Rows({"n": [1], "y": ["a"]}),
    ),
    csv("quotes: never closed in the header", b'n,"y\n1,2\n', Refused("d.csv")),
    csv("quotes: curly ones are text", "n,y\n1,“a”\n", Rows({"n": [1], "y": ["“a”"]})),
    csv(
        "long: a value of 100,000 letters",
        b"n,y\n1," + b"x" * 100_000 + b"\n",
        Rows({"n": [1], "y": ["x" * 100_000]}),
    ),
    csv(
        "long: a value of a million letters",
        b"n,y\n1,a\n2," + b"x" * 1_000_000 + b"\n",
        Rows({"n": [1, 2], "y": ["a", "x" * 1_000_000]}),
    ),
    csv(
        "long: a value of five million letters",
        b"n,y\n1,a\n2," + b"x" * 5_000_000 + b"\n",
        Refused("d.csv:3: has a line of more than"),
    ),
    csv("long: a file without any line end", b"x" * 3_000_000, Refused("d.csv")),
    csv("long: a header of a megabyte", b"x" * 1_000_000 + b",y\n1,2\n", Refused("d.csv")),
    csv(
        "many: 400 columns",
        ",".join(f"c{i}" for i in range(_WIDE)) + "\n" + ",".join(str(i) for i in range(_WIDE)),
        Rows({f"c{i}": [i] for i in range(_WIDE)}),
    ),
    csv(
        "many: 400 columns and a row with 399",
        ",".join(f"c{i}" for i in range(_WIDE)) + "\n" + ",".join(str(i) for i in range(_WIDE - 1)),
        Refused("d.csv:2: has 399 columns in this row, not 400"),
    ),
    csv(
        "many: separators alone",
        "," * 99 + "\n" + "," * 99 + "\n",
        Rows({f"column_{i}": [None] for i in range(1, 101)}),
    ),
    csv(
        "separator: a comma in a German file",
        b"n;y\n1;2,5\n2;3,5\n",
        Rows({"n": [1, 2], "y": ["2,5", "3,5"]}),
    ),
    csv("separator: one column", b"y\n1\n2\n", Rows({"y": [1, 2]})),
    csv(
        "separator: not the declared one",
        b"n;y\n1;2\n",
        Refused("there is no column 'y'", "set source.delimiter"),
        source={"delimiter": ",", "files": "data/d.csv"},
        contract=[{"name": "y"}],
    ),
    csv(
        "separator: of two characters",
        b"n||y\n1||2\n",
        Rows({"n": [1], "y": [2]}),
        source={"delimiter": "||", "files": "data/d.csv"},
    ),
    csv(
        "separator: a quote",
        b"n,y\n1,2\n",
        Refused("d.csv: cannot be split at"),
        source={"delimiter": '"', "files": "data/d.csv"},
    ),
    csv(
        "separator: a line end",
        b"n,y\n1,2\n",
        Refused("d.csv: cannot be split at"),
        source={"delimiter": "\n", "files": "data/d.csv"},
    ),
    csv(
        "separator: of five letters",
        b"n,y\n1,2\n",
        Refused("delimiter"),
        source={"delimiter": "comma", "files": "data/d.csv"},
    ),
]
