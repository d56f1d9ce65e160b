"""Bad sources: one clear line with place and remedy, and nothing changed."""

import gzip
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest

from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, FactoryError, SourceError, StorageError
from factory_resources.home.home import Home
from tests.data_stages import files_of, pipeline

MANY = b"".join(b"%d,%d\n" % (i, i * i) for i in range(100_000))

CASES: dict[str, tuple[dict[str, bytes], dict[str, Any], type[FactoryError], list[str]]] = {
    "nothing matches": (
        {"b.csv": b"y\n1\n"},
        {"source": {"files": "a*.csv"}},
        SourceError,
        ["no file matches 'a*.csv'", "holds b.csv"],
    ),
    "empty file": ({"d.csv": b""}, {}, SourceError, ["d.csv: is empty"]),
    "only blank lines": ({"d.csv": b"\n \n"}, {}, SourceError, ["d.csv: is empty"]),
    "leading blank line": ({"d.csv": b"\na,y\n1,2\n"}, {}, SourceError, ["d.csv:1: begins with"]),
    "header only": ({"d.csv": b"a,y\n"}, {}, SourceError, ["d.csv: has no rows"]),
    "ragged row": (
        {"d.csv": b"a,y\n1,2\n1,2,3\n"},
        {},
        SourceError,
        ["d.csv:3: has 3 columns in this row, not 2"],
    ),
    "ragged row far down": (
        {"d.csv": b"a,y\n" + MANY + b"1\n" + MANY},
        {},
        SourceError,
        ["d.csv:100002: has 1 columns in this row, not 2"],
    ),
    "ragged row below values of several lines": (
        {"d.csv": b'a,y\n"1\n\n",2\n\n3,"4\n"\n5,6,7\n'},
        {},
        SourceError,
        ["d.csv:8: has 3 columns in this row, not 2"],
    ),
    "bad encoding below a value of several lines": (
        {"d.csv": b'a,y\n"1\n",2\n' + b"33333333,4\n" * 300_000 + b"\xfc,5\n"},
        {},
        SourceError,
        ["d.csv:300004: is not utf-8 text"],
    ),
    "open quote below a value of several lines": (
        {"d.csv": b'a,y\n"1\n",2\n3,"4\n5,6\n'},
        {},
        SourceError,
        ["d.csv:4: has a quoted value that never ends"],
    ),
    "line ends of several kinds, and a declared contract": (
        {"d.csv": b"a,y\n1,2\n3,4\r5,6\n"},
        {"contract": [{"name": "a", "type": "int64"}, {"name": "y", "type": "int64"}]},
        SourceError,
        ["d.csv:3: has line ends of several kinds"],
    ),
    "no text at all": (
        {"d.csv": b"a" * 200_000 + b",y\n1,2\n"},
        {},
        SourceError,
        ["d.csv: is not delimited text"],
    ),
    "a separator that separates nothing": (
        {"d.csv": b"a,y\n1,2\n"},
        {"source": {"files": "d.csv", "delimiter": '"'}},
        SourceError,
        ["d.csv"],
    ),
    "ragged blanks": (
        {"d.txt": b"1 2 3\n1 2\n"},
        {"source": {"files": "d.txt", "header": False, "delimiter": " "}},
        SourceError,
        ["d.txt:2: has 2 columns in this row, not 3"],
    ),
    "bad encoding": (
        {"d.csv": "a,y\n1,2\nü,3\n".encode("latin-1")},
        {},
        SourceError,
        ["d.csv:3: is not utf-8 text", "latin-1"],
    ),
    "truncated gz": (
        {"d.csv.gz": gzip.compress(b"a,y\n" + MANY)[:50_000]},
        {"source": {"files": "d.csv.gz"}},
        SourceError,
        ["d.csv.gz: is damaged or cut short"],
    ),
    "no gz at all": (
        {"d.csv.gz": b"a,y\n1,2\n"},
        {"source": {"files": "d.csv.gz"}},
        SourceError,
        ["d.csv.gz: is damaged or cut short"],
    ),
    "open quote": (
        {"d.csv": b'a,y\n1,"2\n3,4\n'},
        {},
        SourceError,
        ["d.csv:2: has a quoted value that never ends"],
    ),
    "repeated column": (
        {"d.csv": b"a,y,a\n1,2,3\n"},
        {},
        SourceError,
        ["d.csv:1: has 2 columns named 'a'"],
    ),
    "repeated column below a preamble": (
        {"d.csv": b"Measured in May\n\na,y,a\n1,2,3\n"},
        {"source": {"files": "d.csv", "skip": 2}},
        SourceError,
        ["d.csv:3: has 2 columns named 'a'"],
    ),
    "names that differ in case": (
        {"d.csv": b"a,y,A\n1,2,3\n"},
        {},
        ContractError,
        ["columns 'a' and 'A' differ only in case"],
    ),
    "a label named as a column": (
        {"d.csv": b"a,y\n1,2\n"},
        {"source": {"files": {"x": "d.csv"}, "label": "a"}},
        ContractError,
        ["columns 'a' and 'a' differ only in case or Unicode form, or not at all; give the label"],
    ),
    "a reserved name": (
        {"d.csv": b"_row,y\n1,2\n"},
        {},
        ContractError,
        ["'_row' is reserved"],
    ),
    "wrong delimiter": (
        {"d.csv": b"a;y\n1;2\n"},
        {"source": {"files": "d.csv", "delimiter": ","}, "contract": [{"name": "y"}]},
        ContractError,
        ["d.csv: there is no column 'y'", "available: a;y", "set source.delimiter"],
    ),
    "missing column": (
        {"d.csv": b"torque,y\n1,2\n"},
        {"contract": [{"name": "t", "from": "Torqe"}]},
        ContractError,
        ["d.csv: there is no column 'Torqe'; did you mean 'torque'? available: torque, y"],
    ),
    "too few names": (
        {"d.csv": b"1,2,3\n"},
        {"source": {"files": "d.csv", "header": False, "columns": ["a", "y"]}},
        SourceError,
        ["d.csv:1: has 3 columns, but source.columns names 2"],
    ),
    "too few names below a preamble": (
        {"d.csv": b"Measured in May\n1,2,3\n"},
        {"source": {"files": "d.csv", "header": False, "columns": ["a", "y"], "skip": 1}},
        SourceError,
        ["d.csv:2: has 3 columns, but source.columns names 2"],
    ),
    "all rows quarantined": (
        {"d.csv": b"a,y\nx,2\nz,3\n"},
        {"contract": [{"name": "a", "type": "int64"}], "max_quarantine": 1.0},
        ContractError,
        ["2 of 2 rows break the contract, most of them 'type:a' (2 rows, such as 'x')"],
    ),
    "range of text": (
        {"d.csv": b"a,y\nx,2\n"},
        {"contract": [{"name": "a", "range": [0, 1]}]},
        ContractError,
        ["range of column 'a' has numbers as bounds, but the column is string"],
    ),
    "values of another type": (
        {"d.csv": b"a,y\n1,2\n"},
        {"contract": [{"name": "a", "type": "int64", "values": ["x"]}]},
        ContractError,
        ["allowed value 'x' of column 'a' is not a valid int64"],
    ),
    "broken JSON": (
        {"d.jsonl": b'{"y": 1}\n{"y": \n'},
        {"source": {"files": "d.jsonl"}},
        SourceError,
        ["d.jsonl:2: is not one JSON object per line (unexpected end of data)"],
    ),
    "two JSON objects in a line below blank ones": (
        {"d.jsonl": b'{"y": 1}\n\n\n{"y": 2}\n{"y": 3} {"y": 4}\n'},
        {"source": {"files": "d.jsonl"}},
        SourceError,
        ["d.jsonl:5: is not one JSON object per line (unexpected content after document)"],
    ),
    "JSON without objects": (
        {"d.jsonl": b"[1, 2]\n3\n"},
        {"source": {"files": "d.jsonl"}},
        SourceError,
        ["d.jsonl: holds no JSON object"],
    ),
    "no Parquet": (
        {"d.parquet": b"PAR1 or not"},
        {"source": {"files": "d.parquet"}},
        SourceError,
        ["d.parquet: "],
    ),
    "no zip": (
        {"d.zip": b"PK"},
        {"source": {"files": "d.zip"}},
        SourceError,
        ["d.zip: is damaged"],
    ),
    "unknown name": (
        {"d.xlsx": b"PK"},
        {"source": {"files": "d.xlsx"}},
        SourceError,
        ["d.xlsx: the name does not show the format; save the sheet as CSV"],
    ),
    "unset variable": (
        {},
        {"source": {"files": "${FACTORY_NOWHERE}/d.csv"}},
        SourceError,
        ["variable ${FACTORY_NOWHERE} is not set"],
    ),
    "a folder": ({}, {"source": {"files": "."}}, SourceError, ["'.' is a folder"]),
    "a module that is not there": (
        {},
        {"source": {"python": "nowhere:rows"}},
        FactoryError,
        ["cannot import 'nowhere'"],
    ),
    "a program instead of a function": (
        {},
        {"source": {"python": "subprocess:Popen", "args": {"args": ["touch", "ran"]}}},
        FactoryError,
        ["'subprocess:Popen' belongs to Python itself", "beside the defs.yaml"],
    ),
    "an argument that the function does not have": (
        {"made.py": b"def rows(year):\n    return 1 / 0\n"},
        {"source": {"python": "made:rows", "args": {"yaer": 2024}}},
        FactoryError,
        ["'made:rows' cannot be called as declared", "it takes year"],
    ),
    "a function that fails": (
        {"made.py": b"def rows():\n    return 1 / 0\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        ["made:rows: failed with ZeroDivisionError: division by zero"],
    ),
    "a function that reads a file which is not there, or which its boundary hides": (
        {"made.py": b"def rows():\n    return open('/srv/a.csv')\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        [
            "No such file or directory: '/srv/a.csv'; correct the function or source.args",
            "if the file exists, declare boundary: {readable: ['/srv/a.csv']}",
        ],
    ),
    "a function that ends the process": (
        {"made.py": b"import sys\ndef rows():\n    sys.exit('no data')\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        ["made:rows: failed with SystemExit: no data; correct the function"],
    ),
    "a function that returns nothing at all": (
        {"made.py": b"import pandas\ndef rows():\n    return pandas.DataFrame([])\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        ["made:rows: returned a table without columns; return its columns, even if"],
    ),
    "a function that returns a list": (
        {"made.py": b"def rows():\n    return [1]\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        ["made:rows: returned list, which is not a table; return a pandas or polars DataFrame"],
    ),
    "a frame of mixed types": (
        {"made.py": b"import pandas\ndef rows():\n    return pandas.DataFrame({'a': [1, 'x']})\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        ["made:rows: returned a frame with a column of mixed types"],
    ),
    "a frame of numbers that are too large": (
        {"made.py": b"import pandas\ndef rows():\n    return pandas.DataFrame({'a': [10**30]})\n"},
        {"source": {"python": "made:rows"}},
        SourceError,
        ["made:rows: returned a frame with whole numbers beyond 64 bits; return a pandas"],
    ),
    "an allowed value that is too large": (
        {"a.csv": b"a,y\n1,0\n"},
        {
            "source": {"files": "a.csv"},
            "contract": [{"name": "a", "type": "int64", "values": [10**30]}],
        },
        ContractError,
        [f"allowed value {10**30} of column 'a' is not a valid int64; correct the column's values"],
    ),
    "a parameter that is too large": (
        {"a.db": b""},
        {
            "source": {
                "database": "sqlite:a.db",
                "query": "SELECT :x AS x",
                "parameters": {"x": 10**30},
            }
        },
        SourceError,
        ["sqlite:a.db/query: a parameter is a whole number beyond 64 bits"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_line(case: str, tmp_path: Path, home: Home) -> None:
    files, part, error, said = CASES[case]
    (tmp_path / "good.csv").write_text("a,y\n1,0\n2,1\n")
    ingest(pipeline(tmp_path, files="good.csv"), home)
    before = files_of(home)
    (tmp_path / "good.csv").unlink()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    made = pipeline(tmp_path, target="y", ingest={"source": {"files": "d.csv"}, **_targeted(part)})
    with pytest.raises(error) as caught:
        ingest(made, home)
    line = str(caught.value)
    for words in said:
        assert words in line
    assert line.startswith("p/ingest: ")
    assert "\n" not in line
    assert "Traceback" not in line
    assert files_of(home) == before


def _targeted(part: dict[str, Any]) -> dict[str, Any]:
    """A contract must hold the target; it is the last column of these files."""
    names = {column["name"] for column in part.get("contract", [])}
    extra = [{"name": "y"}] if names and "y" not in names else []
    return {**part, "contract": [*part["contract"], *extra]} if names else part


def test_several_members(tmp_path: Path, home: Home) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("a.csv", "y\n1\n")
        archive.writestr("b.csv", "y\n1\n")
    with pytest.raises(SourceError, match=r"2 members.*source\.member to one of: a\.csv, b\.csv"):
        ingest(pipeline(tmp_path, files="d.zip"), home)
    source = {"files": "d.zip", "member": "c*.csv"}
    with pytest.raises(SourceError, match=r"0 members matching 'c\*\.csv'"):
        ingest(pipeline(tmp_path, ingest={"source": source}), home)


def test_a_zip_that_lies_about_its_size(tmp_path: Path, home: Home) -> None:
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "y\n" + "1\n" * 100_000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 20 :])
    with pytest.raises(SourceError, match="is damaged or cut short"):
        ingest(pipeline(tmp_path, files="d.zip"), home)


def test_no_space_left(tmp_path: Path, home: Home) -> None:
    lines = "".join(f"{i * 7919 % 1_000_003},{i % 2}\n" for i in range(200_000))
    (tmp_path / "data.csv").write_text("a,y\n" + lines)
    made = pipeline(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"p/ingest.*cannot write.*free space"):
            ingest(made, home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(home) == set()
    ingested = ingest(made, home)
    before = files_of(home)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"p/clean.*cannot write.*free space"):
            clean(made, ingested, home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_of(home) == before


def test_too_little_memory(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.csv").write_text("a,y\n" + MANY.decode())
    for memory, said in (("lots", "set FACTORY_MEMORY to an amount"), ("1MB", "FACTORY_MEMORY")):
        monkeypatch.setenv("FACTORY_MEMORY", memory)
        with pytest.raises(StorageError, match=said):
            ingest(pipeline(tmp_path), home)


def test_an_unwritable_home(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("y\n0\n1\n")
    (tmp_path / "home").write_text("a file is in the way")
    with pytest.raises(StorageError, match="cannot write"):
        ingest(pipeline(tmp_path), Home(tmp_path / "home"))
