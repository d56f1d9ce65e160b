"""Hostile values: data that would be code elsewhere. Every value stays unchanged."""

from tests.bad_data.case import Case, Refused, Rows, csv


def _unchanged(name: str, *values: str) -> Case:
    lines = [f'{i},"{value.replace(chr(34), chr(34) * 2)}"' for i, value in enumerate(values)]
    text = "n,y\n" + "\n".join(lines) + "\n"
    return csv(f"value: {name}", text, Rows({"n": [*range(len(values))], "y": [*values]}))


CASES: list[Case] = [
    _unchanged("formulas", "=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\u00a0=1"),
    _unchanged("SQL", "'; DROP TABLE checked; --", "1 OR 1=1", "' UNION SELECT 1", "$$ x $$"),
    _unchanged("SQL functions that read", "read_text('/etc/passwd')", "FROM '/etc/passwd'"),
    _unchanged(
        "HTML and scripts", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;"
    ),
    _unchanged("Markdown", "![x](http://127.0.0.1:9/x.png)", "| a | b |", "`code`", "# head"),
    _unchanged("control characters", "a\x01b", "a\x07b", "a\x1b[31mb", "a\x7fb", "a\x08b"),
    _unchanged(
        "templates and formats", "{{7*7}}", "${HOME}", "${FACTORY_HOME}", "%s%n", "{0.__class__}"
    ),
    _unchanged("paths", "../../etc/passwd", "/dev/zero", "C:\\Windows", "file:///etc/passwd"),
    _unchanged(
        "pickles and YAML tags", "!!python/object/apply:os.system [id]", "cos\nsystem\n(S'id'"
    ),
    _unchanged("JSON and XML", '{"a": [1, 2]}', '<!DOCTYPE a SYSTEM "file:///etc/passwd">'),
    _unchanged("lists and structs of the engine", "[1, 2, 3]", "{'a': 1}", "MAP {'a': 1}", "NULL"),
    _unchanged("backslashes", "a\\", "\\N", "\\x00", "\\u0000"),
    _unchanged(
        "words for missing values in other systems", "None", "null", "NaN?", "undefined", "NA", "-"
    ),
    csv(
        "value: a hostile one in the error message",
        "n,y\n1,\x1b]0;owned\x07\u202e<b>\n",
        Refused("1 of 1 rows break the contract", "'type:y'"),
        contract=[{"name": "y", "type": "int64"}],
    ),
    csv(
        "value: a secret one is not in the error message",
        "n,y\n1,hunter2\n",
        Refused("1 of 1 rows break the contract, most of them 'type:y' (1 row); correct"),
        contract=[{"name": "n"}, {"name": "y", "type": "int64", "sensitive": "secret"}],
    ),
    csv(
        "value: hostile ones that are allowed",
        "n,y\n1,'; --\n2,x\n",
        Rows({"y": ["'; --"]}, {"values:y": 1}, {"y": ["x"]}),
        contract=[{"name": "y", "values": ["'; --"]}],
    ),
    csv(
        "value: hostile tokens for missing values",
        "n,y\n1,' OR 1=1\n2,x\n",
        Rows({"n": [1, 2], "y": [None, "x"]}),
        ingest={"missing": ["' OR 1=1", ""]},
    ),
    csv(
        "value: a hostile label",
        "n,y\n1,2\n",
        Rows({"n": [1], "y": [2], "site": ["'; DROP TABLE x; --"]}),
        source={"files": {"'; DROP TABLE x; --": "data/d.csv"}, "label": "site"},
    ),
]
