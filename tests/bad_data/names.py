"""Hostile, reserved, missing and repeated column names."""

from tests.bad_data.case import Case, Refused, Rows, csv

_RESERVED = "is reserved"
_DIFFER_IN_CASE = "differ only in case or Unicode form, or not at all"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _named(what: str, name: str, stored_as: str | None = None) -> Case:
    """Return a case with a column of that name, whose value must be found under it."""
    return csv(
        f"name: {what}", f"{_quoted(name)},y\nv,2\n", Rows({stored_as or name: ["v"], "y": [2]})
    )


def _refused(what: str, header: str, *said: str) -> Case:
    cells = ",".join("1" for _ in header.split(","))
    return csv(f"name: {what}", f"{header}\n{cells}\n", Refused(*said))


CASES: list[Case] = [
    _named("SQL that drops", "y; DROP TABLE checked; --"),
    _named("SQL that selects", "(SELECT getenv('HOME'))"),
    _named("a closing quote", 'a" , 1 AS "b'),
    _named("a single quote", "it's"),
    _named("a comment", "a /* b */ -- c"),
    _named("a star", "*"),
    _named("a dollar", "$1"),
    _named("braces", "{a} ${FACTORY_HOME} %s %(x)s"),
    _named("a backslash", "a\\nb\\"),
    _named("HTML", "<script>alert(1)</script>"),
    _named("Markdown", "[a](javascript:alert(1))|b"),
    _named("a formula", "=cmd|' /C calc'!A0"),
    _named("a path", "../../etc/passwd"),
    _named("a line break", "a\nb"),
    _named("a tab", "a\tb"),
    _named("colons and commas", "type:a,null:b"),
    _named("a keyword", "select"),
    _named("a number", "1"),
    _named("a name inside the query", "checked"),
    _named("a name of an inner column", "v0"),
    _named("a terminal's colours", "\x1b[31mred"),
    _named("1,000 characters", "x" * 1000),
    _named("spaces around", "  a  ", "a"),
    csv(
        "name: inner names side by side",
        "p0,x0,v0,m0,c0,y\n1,2,3,4,5,6\n",
        Rows({"p0": [1], "x0": [2], "v0": [3], "m0": [4], "c0": [5], "y": [6]}),
    ),
    csv("name: an empty one", ",y\n1,2\n", Rows({"column_1": [1], "y": [2]})),
    csv("name: spaces alone", '"  ",y\n1,2\n', Rows({"column_1": [1], "y": [2]})),
    _refused(
        "an empty one beside the name that replaces it",
        ",column_1,y",
        "has 2 columns named 'column_1'",
    ),
    _refused("_file", "_file,y", _RESERVED),
    _refused("_row", "_row,y", _RESERVED),
    _refused("_rules", "_rules,y", _RESERVED),
    _refused("_source", "_source,y", _RESERVED),
    _refused("an underscore alone", "_,y", _RESERVED),
    _refused("file_row_number", "file_row_number,y", _RESERVED),
    _refused("FILE_ROW_NUMBER", "FILE_ROW_NUMBER,y", _RESERVED),
    _refused("twice", "a,a,y", "d.csv:1: has 2 columns named 'a'"),
    _refused("twice except for spaces", "a, a,y", "d.csv:1: has 2 columns named 'a'"),
    _refused("two that differ in case", "a,A,y", _DIFFER_IN_CASE),
    csv(
        "name: two that differ in case, renamed by the contract",
        "a,A,y\n1,2,3\n",
        Rows({"y": [3], "lower": [1], "upper": [2]}),
        contract=[{"name": "y"}, {"name": "lower", "from": "a"}, {"name": "upper", "from": "A"}],
    ),
    csv(
        "name: the contract uses another case",
        "Torque,y\n1,2\n",
        Refused("there is no column 'torque'", "did you mean 'Torque'"),
        contract=[{"name": "y"}, {"name": "torque"}],
    ),
    csv(
        "name: reserved ones, renamed by the contract",
        "_file,file_row_number,y\n1,2,3\n",
        Rows({"y": [3], "f": [1], "r": [2]}),
        contract=[
            {"name": "y"},
            {"name": "f", "from": "_file"},
            {"name": "r", "from": "file_row_number"},
        ],
    ),
    csv(
        "name: hostile ones in the error message",
        "a\x1b[2Jb\u202e,y\n1,2\n",
        Refused("there is no column 'nosuch'"),
        contract=[{"name": "y"}, {"name": "nosuch"}],
    ),
    csv(
        "name: a hostile one in a quarantine rule",
        '"a\'b,c",y\nx,1\n2,3\n',
        Rows({"y": [3], "a'b,c": [2]}, {"type:a'b,c": 1}, {"y": ["1"], "a'b,c": ["x"]}),
        contract=[{"name": "y"}, {"name": "a'b,c", "type": "int64"}],
    ),
    csv(
        "name: numbers in the header line",
        "1,2\n3,4\n",
        Rows({"1": [3], "2": [4]}),
    ),
    csv(
        "name: declared twice",
        "1,2\n3,4\n",
        Refused("names 'y' twice"),
        source={"files": "data/d.csv", "header": False, "columns": ["y", "y"]},
    ),
    csv(
        "name: too few declared",
        "1,2,3\n",
        Refused("d.csv:1: has 3 columns, but source.columns names 2"),
        source={"files": "data/d.csv", "header": False, "columns": ["n", "y"]},
    ),
]
