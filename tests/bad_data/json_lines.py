"""JSON Lines: JSON that is not a record, and unusual records."""

from tests.bad_data.case import Case, Refused, Rows

_NOT_LINES = "is not one JSON object per line"


def _case(name: str, content: str | bytes, expected: Rows | Refused) -> Case:
    raw = content.encode() if isinstance(content, str) else content
    return Case(f"json: {name}", {"d.jsonl": raw}, expected)


CASES: list[Case] = [
    _case("keys that come and go", '{"y": 1}\n{"n": 2}\n', Rows({"n": [None, 2], "y": [1, None]})),
    _case(
        "keys in another order",
        '{"y": 1, "n": 2}\n{"n": 3, "y": 4}\n',
        Rows({"n": [2, 3], "y": [1, 4]}),
    ),
    _case("a key twice", '{"y": 1, "y": 2}\n', Refused("d.jsonl: record 1 has a key twice")),
    _case(
        "a key twice further down",
        '{"y": 1}\n\n{"y": 1, "n": 1, "y": 2}\n',
        Refused("record 2 has a key twice"),
    ),
    _case("a key twice, once escaped", '{"y": 1, "\\u0079": 2}\n', Refused("a key twice")),
    _case("keys that differ in case", '{"y": 1, "Y": 2}\n', Refused("differ only in case")),
    _case("an escaped key", '{"\\u0079": 1}\n', Rows({"y": [1]})),
    _case("an empty key", '{"": 1, "y": 2}\n', Refused("record 1 has a key without a name")),
    _case("hostile keys", '{"a\'\\"; --": 1, "y": 2}\n', Rows({"a'\"; --": [1], "y": [2]})),
    _case(
        "pointers as keys",
        '{"/a~b": 1, "a/0": 2, "y": 3}\n',
        Rows({"/a~b": [1], "a/0": [2], "y": [3]}),
    ),
    _case("paths as keys", '{"$.y": 1, "y": 2}\n', Rows({"$.y": [1], "y": [2]})),
    _case("a reserved key", '{"_row": 1, "y": 2}\n', Refused("is reserved")),
    _case(
        "nested objects", '{"y": {"a": [1, {"b": null}]}}\n', Rows({"y": ['{"a":[1,{"b":null}]}']})
    ),
    _case("nested lists", '{"y": [1, [2, "x"]]}\n', Rows({"y": ['[1,[2,"x"]]']})),
    _case(
        "a hundred thousand levels",
        '{"y": ' + "[" * 100_000 + "]" * 100_000 + "}\n",
        Rows({"y": ["[" * 100_000 + "]" * 100_000]}),
    ),
    _case(
        "five hundred levels",
        '{"y": ' + "[" * 500 + "]" * 500 + "}\n",
        Rows({"y": ["[" * 500 + "]" * 500]}),
    ),
    _case(
        "null and empty text",
        '{"y": null, "n": 1}\n{"y": "", "n": 2}\n',
        Rows({"n": [1, 2], "y": [None, None]}),
    ),
    _case("the text null", '{"y": "null"}\n', Rows({"y": ["null"]})),
    _case("truth values", '{"y": true}\n{"y": false}\n', Rows({"y": [True, False]})),
    _case("numbers and text", '{"y": 1}\n{"y": "x"}\n', Rows({"y": ["1", "x"]})),
    _case("numbers as text", '{"y": "1"}\n{"y": 2}\n', Rows({"y": [1, 2]})),
    _case("NaN", '{"y": 1.5}\n{"y": NaN}\n', Rows({"y": [1.5]}, {"type:y": 1}, {"y": ["NaN"]})),
    _case(
        "infinity",
        '{"y": 1.5}\n{"y": -Infinity}\n',
        Rows({"y": [1.5]}, {"type:y": 1}, {"y": ["-Infinity"]}),
    ),
    _case(
        "1e400", '{"y": 1.5}\n{"y": 1e400}\n', Rows({"y": [1.5]}, {"type:y": 1}, {"y": ["1e400"]})
    ),
    _case(
        "an identifier of twenty digits",
        '{"y": 12345678901234567890}\n{"y": 1}\n',
        Rows({"y": ["12345678901234567890", "1"]}),
    ),
    _case(
        "an identifier of thirty digits",
        '{"y": 123456789012345678901234567890}\n{"y": 1}\n',
        Rows({"y": ["123456789012345678901234567890", "1"]}),
    ),
    _case("the last int64", '{"y": 9223372036854775807}\n', Rows({"y": [2**63 - 1]})),
    _case("fractions", '{"y": 0.1}\n{"y": 1.0}\n{"y": -0.0}\n', Rows({"y": [0.1, 1.0, -0.0]})),
    _case("numbers with leading zeros", '{"y": 007}\n', Refused(_NOT_LINES)),
    _case(
        "text with escapes",
        '{"y": "a\\n\\t\\"\\\\\\u00e4\\ud83c\\udf4e"}\n',
        Rows({"y": ['a\n\t"\\ä\U0001f34e']}),
    ),
    _case("a NUL in text", '{"y": "a\\u0000b", "n": 1}\n', Rows({"n": [1], "y": ["a\0b"]})),
    _case("half a surrogate pair in text", '{"y": "\\ud83c"}\n', Refused("d.jsonl")),
    _case("an unknown escape", '{"y": "\\q"}\n', Refused(_NOT_LINES)),
    _case("a line break inside text", '{"y": "a\nb"}\n', Refused(_NOT_LINES)),
    _case("single quotes", "{'y': 1}\n", Refused(_NOT_LINES)),
    _case("a comment", '{"y": 1}\n// note\n{"y": 2}\n', Refused(_NOT_LINES)),
    _case("a list at the top", '[{"y": 1}, {"y": 2}]\n', Refused("d.jsonl")),
    _case("a list over many lines", '[\n{"y": 1},\n{"y": 2}\n]\n', Refused("d.jsonl")),
    _case("one object over many lines", '{\n  "y": 1\n}\n', Refused(_NOT_LINES)),
    _case("two objects on a line", '{"y": 1}{"y": 2}\n{"y": 3}\n', Refused(_NOT_LINES)),
    _case("two objects and a space on a line", '{"y": 1} {"y": 2}\n', Refused(_NOT_LINES)),
    _case(
        "a list among objects",
        '{"y": 1}\n[1, 2]\n',
        Refused("d.jsonl: record 2 is not a JSON object"),
    ),
    _case("a number among objects", '{"y": 1}\n\n5\n', Refused("not a JSON object")),
    _case("null among objects", '{"y": 1}\nnull\n', Refused("not a JSON object")),
    _case("empty objects", "{}\n{}\n", Refused("holds no JSON object")),
    _case("an empty object among others", '{"y": 1}\n{}\n', Rows({"y": [1, None]})),
    _case("blank lines between records", '{"y": 1}\n\n  \n{"y": 2}\n', Rows({"y": [1, 2]})),
    _case("CR LF", '{"y": 1}\r\n{"y": 2}\r\n', Rows({"y": [1, 2]})),
    _case("a byte order mark", '{"y": 1}\n'.encode("utf-8-sig"), Rows({"y": [1]})),
    _case("utf-16", '{"y": 1}\n'.encode("utf-16"), Refused("d.jsonl")),
    _case("latin-1", '{"y": "ä"}\n'.encode("latin-1"), Refused("d.jsonl")),
    _case("no JSON at all", "n,y\n1,2\n", Refused(_NOT_LINES)),
    _case(
        "text of five million letters",
        '{"y": "' + "x" * 5_000_000 + '"}\n',
        Rows({"y": ["x" * 5_000_000]}),
    ),
    _case(
        "two hundred keys",
        "{" + ", ".join(f'"k{i:03}": {i}' for i in range(200)) + "}\n",
        Rows({f"k{i:03}": [i] for i in range(200)}),
    ),
]
