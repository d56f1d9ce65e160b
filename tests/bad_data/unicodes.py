"""Unicode: letters that combine, run from right to left, have no width, or look alike."""

# ruff: noqa: RUF001 (letters that look alike are the subject)

import unicodedata

from tests.bad_data.case import Case, Refused, Rows, csv

_NFC, _NFD = unicodedata.normalize("NFC", "größe"), unicodedata.normalize("NFD", "größe")


def _unchanged(name: str, *values: str) -> Case:
    """Return a case whose values must stay unchanged."""
    text = "n,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))
    return csv(f"unicode: {name}", text, Rows({"n": [*range(len(values))], "y": [*values]}))


CASES: list[Case] = [
    _unchanged("two normal forms of a value", _NFC, _NFD),
    _unchanged("many marks on one letter", "Z" + "\u0351\u036b\u0343\u036a" * 20 + "a", "b"),
    _unchanged("right to left", "שלום", "مرحبا بالعالم"),
    _unchanged("a right-to-left override", "abc\u202edcba", "plain"),
    _unchanged(
        "emoji, families and flags",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1e9\U0001f1ea",
    ),
    _unchanged("letters without width", "a\u200bb", "a\u200db", "a\u2060b", "\u00ad"),
    _unchanged("spaces that are not trimmed", "\u00a0a\u00a0", "\u3000b", "\u2003c"),
    _unchanged("the last code points", "\uffff", "\U0010ffff", "\ufffd"),
    _unchanged("private letters", "\ue000", "\U000f0000"),
    _unchanged("letters that look alike", "paypal", "p\u0430ypal"),
    _unchanged("case that changes length", "straße", "STRASSE", "İ", "ı", "ﬃ"),
    _unchanged("Chinese, Thai, Hindi", "数据工厂", "โรงงาน", "कारख़ाना"),
    _unchanged("half and full width", "ｱｲｳ", "１２３", "ＡＢＣ"),
    _unchanged("mathematical letters", "𝕏𝟙", "𝓪"),
    _unchanged("invisible tags", "a\U000e0041\U000e0042", "b"),
    csv(
        "unicode: a header in another normal form than the contract's",
        f"{_NFD},y\n1,2\n",
        Refused(f"there is no column '{_NFC}'", "did you mean"),
        contract=[{"name": "y"}, {"name": "g", "from": _NFC}],
    ),
    csv(
        "unicode: a header that combines",
        f"{_NFD},y\n1,2\n",
        Rows({_NFD: [1], "y": [2]}),
    ),
    csv(
        "unicode: two normal forms of one header",
        f"{_NFC},{_NFD},y\n1,2,3\n",
        Refused("differ only in case or Unicode form, or not at all"),
    ),
    csv(
        "unicode: two normal forms of one header, one renamed",
        f"{_NFC},{_NFD},y\n1,2,3\n",
        Rows({"y": [3], "composed": [1], "decomposed": [2]}),
        contract=[
            {"name": "y"},
            {"name": "composed", "from": _NFC},
            {"name": "decomposed", "from": _NFD},
        ],
    ),
    csv(
        "unicode: headers that differ in case beyond ASCII",
        "Äpfel,äpfel,y\n1,2,3\n",
        Refused("differ only in case or Unicode form, or not at all"),
    ),
    csv(
        "unicode: a letter without width in a header",
        "y\u200b,n\n1,2\n",
        Refused("there is no column 'y'", "did you mean 'y\\u200b'"),
        contract=[{"name": "y"}],
    ),
    csv(
        "unicode: emoji and right to left in headers",
        "\U0001f34e,שם,y\n1,2,3\n",
        Rows({"\U0001f34e": [1], "שם": [2], "y": [3]}),
    ),
    csv(
        "unicode: no-break spaces around a header",
        "\u00a0n\u00a0,y\n1,2\n",
        Rows({"n": [1], "y": [2]}),
    ),
    csv(
        "unicode: a value that is allowed in another normal form only",
        f"n,y\n1,{_NFC}\n2,{_NFD}\n",
        Rows({"y": [_NFC]}, {"values:y": 1}, {"y": [_NFD]}),
        contract=[{"name": "y", "values": [_NFC]}],
    ),
]
