"""Encodings: text in another encoding than declared, and files that are not text."""

from tests.bad_data.case import Case, Refused, Rows, csv

_TEXT = "n,y\n1,Ärger\n2,ok\n"
_READ = Rows({"n": [1, 2], "y": ["Ärger", "ok"]})
_LATIN = {"encoding": "latin-1", "files": "data/d.csv"}
_UTF16 = {"encoding": "utf-16", "files": "data/d.csv"}
_NOT_UTF8 = Refused("d.csv", "is not utf-8 text", "set source.encoding")
_UNDECLARED = Refused("d.csv", "holds NUL bytes", "set source.encoding to utf-16")
_LONG = "n,y\n" + "".join(f"{i},x\n" for i in range(300))

CASES: list[Case] = [
    csv("encoding: plain utf-8", _TEXT, _READ),
    csv("encoding: utf-8 with a byte order mark", _TEXT.encode("utf-8-sig"), _READ),
    csv(
        "encoding: a byte order mark and a quoted header",
        b'\xef\xbb\xbf"n","y"\n1,2\n',
        Rows({"n": [1], "y": [2]}),
    ),
    csv(
        "encoding: two byte order marks",
        b"\xef\xbb\xbf\xef\xbb\xbfn,y\n1,2\n",
        Rows({"n": [1], "y": [2]}),
    ),
    csv(
        "encoding: a byte order mark inside a value",
        "n,y\n1,a\ufeffb\n2,\ufeff\n",
        Rows({"n": [1, 2], "y": ["a\ufeffb", "\ufeff"]}),
    ),
    csv("encoding: a byte order mark alone", b"\xef\xbb\xbf", Refused("d.csv: is empty")),
    csv(
        "encoding: a byte order mark and a line end", b"\xef\xbb\xbf\n", Refused("d.csv: is empty")
    ),
    csv(
        "encoding: a byte order mark without a header",
        b"\xef\xbb\xbf1,2\n3,4\n",
        Rows({"n": [1, 3], "y": [2, 4]}),
        source={"header": False, "columns": ["n", "y"]},
    ),
    csv("encoding: utf-16 as declared", _TEXT.encode("utf-16"), _READ, source=_UTF16),
    csv(
        "encoding: utf-16 big-endian with its mark",
        b"\xfe\xff" + _TEXT.encode("utf-16-be"),
        _READ,
        source=_UTF16,
    ),
    csv("encoding: utf-16 without a mark", _TEXT.encode("utf-16-le"), _READ, source=_UTF16),
    csv("encoding: utf-16 read as utf-8", _TEXT.encode("utf-16"), _UNDECLARED),
    csv(
        "encoding: utf-16 big-endian read as utf-8",
        b"\xfe\xff" + _TEXT.encode("utf-16-be"),
        _UNDECLARED,
    ),
    csv(
        "encoding: utf-16 without a mark read as utf-8",
        "n,y\n1,2\n".encode("utf-16-le"),
        _UNDECLARED,
    ),
    csv(
        "encoding: utf-16 big-endian without a mark read as utf-8",
        "n,y\n1,2\n".encode("utf-16-be"),
        _UNDECLARED,
    ),
    csv(
        "encoding: utf-8 read as utf-16 would be a single line",
        _TEXT + "\n" * (len(_TEXT.encode()) % 2),
        Refused("d.csv: is UTF-8 text, not utf-16", "set source.encoding to utf-8"),
        source=_UTF16,
    ),
    csv(
        "encoding: utf-16 of an odd number of bytes",
        _TEXT.encode("utf-16") + b"x",
        Refused("d.csv", "is not utf-16 text"),
        source=_UTF16,
    ),
    csv(
        "encoding: utf-16 that ends inside a surrogate pair",
        "n,y\n1,x\n2,".encode("utf-16") + b"\x3d\xd8",
        Refused("d.csv", "is not utf-16 text"),
        source=_UTF16,
    ),
    csv(
        "encoding: utf-16 with half a surrogate pair",
        "n,y\n1,".encode("utf-16") + b"\x3d\xd8" + "a\n".encode("utf-16-le"),
        Refused("d.csv", "is not utf-16 text"),
        source=_UTF16,
    ),
    csv(
        "encoding: utf-16 with a whole surrogate pair",
        "n,y\n1,\U0001f34e\n".encode("utf-16"),
        Rows({"n": [1], "y": ["\U0001f34e"]}),
        source=_UTF16,
    ),
    csv(
        "encoding: utf-32 read as utf-8",
        _TEXT.encode("utf-32"),
        _UNDECLARED,
    ),
    csv("encoding: utf-32 read as utf-16", _TEXT.encode("utf-32"), Refused("d.csv"), source=_UTF16),
    csv("encoding: latin-1 as declared", _TEXT.encode("latin-1"), _READ, source=_LATIN),
    csv("encoding: latin-1 read as utf-8", _TEXT.encode("latin-1"), _NOT_UTF8),
    csv(
        "encoding: latin-1 in the header",
        "n,Größe,y\n1,2,3\n".encode("latin-1"),
        _NOT_UTF8,
    ),
    csv(
        "encoding: latin-1 far down",
        _LONG.encode() + b"9,\xe4\n",
        Refused("d.csv:302: is not utf-8"),
    ),
    csv(
        "encoding: utf-8 and latin-1 mixed",
        "n,y\n1,ä\n".encode() + "2,ä\n".encode("latin-1"),
        Refused("d.csv:3: is not utf-8 text"),
    ),
    csv(
        "encoding: utf-8 read as latin-1 has control characters",
        _TEXT,
        Refused("d.csv: is UTF-8 text, not latin-1", "set source.encoding to utf-8"),
        source=_LATIN,
    ),
    csv(
        "encoding: utf-8 read as latin-1 has other letters",
        "n,y\n1,für\n".encode(),
        Refused("d.csv: is UTF-8 text, not latin-1", "set source.encoding to utf-8"),
        source=_LATIN,
    ),
    csv(
        "encoding: latin-1 of ascii alone",
        b"n,y\n1,x\n",
        Rows({"n": [1], "y": ["x"]}),
        source=_LATIN,
    ),
    csv(
        "encoding: windows-1252 quotes read as latin-1",
        b"n,y\n1,\x93hi\x94\n",
        Refused("d.csv", "is not latin-1 text"),
        source=_LATIN,
    ),
    csv(
        "encoding: windows-1252 as declared",
        "n,y\n1,„3 €“\n".encode("windows-1252"),
        Rows({"n": [1], "y": ["„3 €“"]}),
        source={**_LATIN, "encoding": "windows-1252"},
    ),
    csv(
        "encoding: utf-8 read as windows-1252 has other letters",
        "n,y\n1,süß\n".encode(),
        Refused("d.csv: is UTF-8 text, not windows-1252", "set source.encoding to utf-8"),
        source={**_LATIN, "encoding": "windows-1252"},
    ),
    csv(
        "encoding: windows-1252 of ascii alone",
        b"n,y\n1,x\n",
        Rows({"n": [1], "y": ["x"]}),
        source={**_LATIN, "encoding": "windows-1252"},
    ),
    csv(
        "encoding: windows-1252 with a byte without a letter",
        b"n,y\n1,\x81\n",
        Refused("d.csv", "is not windows-1252 text"),
        source={**_LATIN, "encoding": "windows-1252"},
    ),
    csv(
        "encoding: every latin-1 letter",
        b"n,y\n" + b"".join(b"%d,%c\n" % (i, i) for i in range(0xA1, 0x100)),
        Rows({"n": [*range(0xA1, 0x100)], "y": [chr(i) for i in range(0xA1, 0x100)]}),
        source=_LATIN,
    ),
    csv("encoding: a lone continuation byte", b"n,y\n1,\x80\n", _NOT_UTF8),
    csv("encoding: an overlong slash", b"n,y\n1,\xc0\xaf\n", _NOT_UTF8),
    csv("encoding: a surrogate in utf-8", b"n,y\n1,\xed\xa0\x80\n", _NOT_UTF8),
    csv("encoding: beyond the last code point", b"n,y\n1,\xf4\x90\x80\x80\n", _NOT_UTF8),
    csv("encoding: a letter cut short at the end", b"n,y\n1,a\xc3", _NOT_UTF8),
    csv("encoding: bytes ff and fe in a value", b"n,y\n1,\xff\xfe\n", _NOT_UTF8),
    csv("encoding: random bytes", bytes(range(256)) * 40, Refused("d.csv")),
    csv(
        "encoding: an image named csv",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)),
        Refused("d.csv"),
    ),
    csv("encoding: a NUL in a value", b"n,y\n1,a\0b\n2,c\n", Refused("d.csv", "holds NUL")),
    csv("encoding: a NUL in the header", b"n,y\0\n1,2\n", Refused("d.csv", "holds NUL")),
    csv("encoding: NULs alone", bytes(5000), Refused("d.csv", "holds NUL")),
    csv(
        "encoding: NULs after the last line",
        _LONG.encode() + bytes(4096),
        Refused("d.csv", "holds NUL"),
    ),
    csv("encoding: a NUL far down", _LONG.encode() + b"9,a\0\n", Refused("d.csv", "holds NUL")),
    csv(
        "encoding: a NUL in latin-1",
        b"n,y\n1,\xe4\0\n",
        Refused("d.csv", "holds NUL"),
        source=_LATIN,
    ),
    csv(
        "encoding: a form feed and a vertical tab are text",
        "n,y\n1,a\x0cb\x0bc\n",
        Rows({"n": [1], "y": ["a\x0cb\x0bc"]}),
    ),
    csv("encoding: utf-7 is text", "n,y\n1,+AOQ-\n", Rows({"n": [1], "y": ["+AOQ-"]})),
]
