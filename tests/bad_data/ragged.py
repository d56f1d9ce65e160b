"""Ragged, truncated and damaged files of every format."""

import gzip
import io
import zipfile
from pathlib import Path

from tests.bad_data.case import Case, Refused, Rows, csv

_LINES = b"n,y\n" + b"".join(b"%d,%d\n" % (i, i * 7 % 1000) for i in range(2_000))
_DAMAGED = "is damaged or cut short"


def _zst(content: bytes) -> bytes:
    import pyarrow

    compressed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
    return compressed


def _zip(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("d.csv", content)
    return target.getvalue()


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :]


def _parquet(content: bytes) -> bytes:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    target = io.BytesIO()
    table = pyarrow.csv.read_csv(io.BytesIO(content))
    pyarrow.parquet.write_table(table, target, compression="zstd", use_dictionary=False)
    return target.getvalue()


def _packed(name: str, file: str, content: bytes, *said: str) -> Case:
    return Case(f"damaged: {name}", {file: content}, Refused(file, *said))


def _lazily(name: str, file: str, create: object, *said: str) -> Case:
    """Return a case whose file is created when it runs, so that listing it needs no pyarrow."""

    def write(folder: Path) -> None:
        assert callable(create)
        (folder / file).write_bytes(create())

    return Case(f"damaged: {name}", write, Refused(file, *said), {"files": f"data/{file}"})


_GZ = gzip.compress(_LINES, mtime=0)
_STORED = gzip.compress(_LINES, compresslevel=0, mtime=0)

CASES: list[Case] = [
    csv(
        "ragged: one cell too many", "n,y\n1,2\n1,2,3\n", Refused("d.csv:3: has 3 columns", "not 2")
    ),
    csv("ragged: one cell too few", "n,y\n1,2\n1\n", Refused("d.csv:3: has 1 columns", "not 2")),
    csv(
        "ragged: one cell too few between semicolons",
        "n;y\n1,5;2\n2,5;3\n1\n",
        Refused("d.csv:4: has 1 columns", "not 2"),
    ),
    csv(
        "ragged: one cell too many between tabs without a header",
        "1\t2\n2\t3\n1\t2\t3\n",
        Refused("d.csv:3: has 3 columns", "not 2"),
        source={"header": False},
    ),
    csv(
        "ragged: a separator at the end of each row but not of the header",
        "n,y\n1,2,\n3,4,\n",
        Rows({"n": [1, 3], "y": [2, 4]}),
    ),
    csv("ragged: a cell after an empty one", "n,y\n1,2,,5\n", Refused("d.csv:2: has 3 columns")),
    csv(
        "ragged: a separator at the end of the header",
        "n,y,\n1,2\n",
        Refused("d.csv:2: has 2 columns", "not 3"),
    ),
    csv(
        "ragged: a separator at the end of each line",
        "n,y,\n1,2,\n3,4,\n",
        Rows({"n": [1, 3], "y": [2, 4], "column_3": [None, None]}),
    ),
    csv("ragged: the last row is cut short", "n,y\n1,2\n3", Refused("d.csv:3: has 1 columns")),
    csv(
        "ragged: a last value that is cut short cannot be detected",
        "n,y\n1,200\n3,4",
        Rows({"n": [1, 3], "y": [200, 4]}),
    ),
    csv(
        "ragged: a comment among the rows", "n,y\n# note\n1,2\n", Refused("d.csv:2: has 1 columns")
    ),
    csv(
        "ragged: a title before the header", "Report of May\nn,y\n1,2\n", Refused("d.csv", "has 2")
    ),
    csv(
        "ragged: a second header among the rows",
        "n,y\n1,2\nn,y\n3,4\n",
        Rows({"y": [2, 4], "n": [1, 3]}, {"type:y": 1, "type:n": 1}, {"y": ["y"], "n": ["n"]}),
        contract=[{"name": "y", "type": "int64"}, {"name": "n", "type": "int64"}],
    ),
    csv(
        "ragged: a total without its cells", "n,y\n1,2\n2,3\nTotal: 5\n", Refused("d.csv:4: has 1")
    ),
    csv(
        "ragged: a row of separators alone",
        "n,y\n1,2\n,\n3,4\n",
        Rows({"n": [1, None, 3], "y": [2, None, 4]}),
    ),
    csv(
        "ragged: ten thousand cells in a row",
        "n,y\n" + "1," * 10_000 + "1\n",
        Refused("d.csv:2: has"),
    ),
    csv(
        "ragged: other separators further down",
        "n,y\n" + "1,2\n" * 200 + "1;2\n",
        Refused("d.csv:202: has 1 columns"),
    ),
    Case(
        "ragged: spaces as separators, one cell too many",
        {"d.txt": b"n y\n1 2\n1 2 3\n"},
        Refused("d.txt:3: has 3 columns in this row, not 2"),
        {"delimiter": " ", "files": "data/d.txt"},
    ),
    Case(
        "ragged: two files with different columns",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"n,z\n1,2\n"},
        Refused("a.csv: there is no column 'z'"),
        {"files": "data/*.csv"},
    ),
    Case(
        "ragged: two files with another order of columns",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"y,n\n4,3\n"},
        Rows({"n": [1, 3], "y": [2, 4]}),
        {"files": "data/*.csv"},
    ),
    Case(
        "ragged: one of two files is empty",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b""},
        Refused("b.csv: is empty"),
        {"files": "data/*.csv"},
    ),
    Case(
        "ragged: one of two files is a header alone",
        {"a.csv": b"n,y\n1,2\n", "b.csv": b"n,y\n"},
        Rows({"n": [1], "y": [2]}),
        {"files": "data/*.csv"},
    ),
    csv("ragged: a header alone", "n,y\n", Refused("d.csv: has no rows")),
    csv("ragged: a header without a line end", "n,y", Refused("d.csv: has no rows")),
    csv("ragged: an empty file", "", Refused("d.csv: is empty")),
    csv("ragged: spaces alone", "   ", Refused("d.csv: is empty")),
    _packed("gz cut in the middle", "d.csv.gz", _GZ[: len(_GZ) // 2], _DAMAGED),
    _packed("gz without its last byte", "d.csv.gz", _GZ[:-1], _DAMAGED),
    _packed("gz without its checksum", "d.csv.gz", _GZ[:-8], _DAMAGED),
    _packed("gz of a wrong checksum", "d.csv.gz", _flipped(_GZ, len(_GZ) - 8), _DAMAGED),
    _packed("gz with one changed bit", "d.csv.gz", _flipped(_STORED, len(_STORED) // 2), _DAMAGED),
    _packed("gz that is plain text", "d.csv.gz", _LINES, _DAMAGED),
    _packed("gz of no bytes", "d.csv.gz", b"", "is empty"),
    _packed("gz that unpacks to nothing", "d.csv.gz", gzip.compress(b""), "is empty"),
    _packed("gz followed by rubbish", "d.csv.gz", _GZ + b"rubbish", _DAMAGED),
    _packed("gz inside gz", "d.csv.gz", gzip.compress(_GZ), "d.csv.gz"),
    Case(
        "damaged: gz of two members is one file",
        {"d.csv.gz": gzip.compress(b"n,y\n1,2\n") + gzip.compress(b"3,4\n")},
        Rows({"n": [1, 3], "y": [2, 4]}),
    ),
    _lazily("zst cut in the middle", "d.csv.zst", lambda: _zst(_LINES)[:-900], _DAMAGED),
    _lazily("zst without its last byte", "d.csv.zst", lambda: _zst(_LINES)[:-1], _DAMAGED),
    _packed("zst that is plain text", "d.csv.zst", _LINES, _DAMAGED),
    _packed("zst that is gz", "d.csv.zst", _GZ, _DAMAGED),
    _packed("zst of no bytes", "d.csv.zst", b"", "is empty"),
    _packed("zip cut in the middle", "d.zip", _zip(_LINES)[:900], _DAMAGED),
    _packed("zip without its first bytes", "d.zip", _zip(_LINES)[20:], _DAMAGED),
    _packed("zip with one changed bit", "d.zip", _flipped(_zip(_LINES), 700), _DAMAGED),
    _packed("zip that is plain text", "d.zip", _LINES, _DAMAGED),
    _packed("zip of no bytes", "d.zip", b"", _DAMAGED),
    _packed("zip without members", "d.zip", b"PK\5\6" + bytes(18), "the zip has 0 members"),
    _lazily("parquet cut in the middle", "d.parquet", lambda: _parquet(_LINES)[:2000]),
    _lazily("parquet without its last byte", "d.parquet", lambda: _parquet(_LINES)[:-1]),
    _lazily("parquet without its first bytes", "d.parquet", lambda: _parquet(_LINES)[100:]),
    _lazily(
        "parquet of overwritten pages",
        "d.parquet",
        lambda: _parquet(_LINES)[:200] + b"\xff" * 800 + _parquet(_LINES)[1000:],
    ),
    _packed("parquet of no bytes", "d.parquet", b"", "is empty"),
    _packed("parquet of text", "d.parquet", _LINES),
    _packed("parquet of magic alone", "d.parquet", b"PAR1PAR1"),
    _packed("parquet of a huge footer", "d.parquet", b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1"),
    _packed("parquet of a footer of rubbish", "d.parquet", b"PAR1" + b"x" * 50 + b"\x32\0\0\0PAR1"),
    _packed(
        "parquet with an encrypted footer", "d.parquet", b"PARE" + b"x" * 50 + b"\x32\0\0\0PARE"
    ),
    _packed(
        "jsonl cut inside an object",
        "d.jsonl",
        b'{"y": 1}\n{"y": 2, "n',
        "one JSON object per line",
    ),
    _packed("jsonl cut inside text", "d.jsonl", b'{"y": 1}\n{"y": "ab', "one JSON object per line"),
    _packed("jsonl of no bytes", "d.jsonl", b"", "is empty"),
    _packed("jsonl of blank lines", "d.jsonl", b"\n\n\n", "holds no JSON object"),
    _packed(
        "jsonl in gz cut short", "d.jsonl.gz", gzip.compress(b'{"y": 1}\n' * 999)[:-9], _DAMAGED
    ),
]
