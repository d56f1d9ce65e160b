"""Ingest: formats, contract, inference, identity, the key of reuse."""

import gzip
import json
import zipfile
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.data.sources.discovery import discover_sources, sources_key
from factory_assets.spec import Pipeline
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.line_numbers import lines_of
from tests.data_stages import column, pipeline, rows

RECORDS: list[dict[str, Any]] = [
    {"name": "a b", "size": 1.5, "y": 0},
    {"name": 'with "quotes", and comma', "size": None, "y": 1},
    {"name": "ü", "size": -2.0, "y": 1},
]


def _csv(delimiter: str) -> bytes:
    def cell(value: Any) -> str:
        if value is None:
            return ""
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & {delimiter, '"'} else text

    lines = [RECORDS[0].keys(), *(record.values() for record in RECORDS)]
    return "\n".join(delimiter.join(cell(v) for v in line) for line in lines).encode() + b"\n"


def _parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(RECORDS), sink)
    return sink.getvalue().to_pybytes()


def _jsonl() -> bytes:
    return "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


CONTENT: dict[str, Callable[[], bytes]] = {
    "csv": lambda: _csv(","),
    "tsv": lambda: _csv("\t"),
    "txt": lambda: _csv(";"),
    "parquet": _parquet,
    "jsonl": _jsonl,
}


def _pack(content: bytes, packing: str, path: Path) -> Path:
    target = path if packing == "plain" else path.with_name(f"{path.name}.{packing}")
    match packing:
        case "plain":
            target.write_bytes(content)
        case "gz":
            target.write_bytes(gzip.compress(content))
        case "zst":
            with pa.output_stream(str(target), compression="zstd") as file:
                file.write(content)
        case "zip":
            with zipfile.ZipFile(target, "w") as archive:
                archive.writestr(f"inside/{path.name}", content)
                archive.writestr(f"__MACOSX/inside/._{path.name}", b"shadow")
    return target


@pytest.mark.parametrize("packing", ["plain", "gz", "zst", "zip"])
@pytest.mark.parametrize("kind", CONTENT)
def test_every_format_and_packing(kind: str, packing: str, tmp_path: Path, home: Home) -> None:
    path = _pack(CONTENT[kind](), packing, tmp_path / f"data.{kind}")
    result = ingest(pipeline(tmp_path, files=path.name), home)
    assert rows(result.snapshot, home, "name", "size", "y") == RECORDS
    assert column(result.snapshot, home, "_row") == [1, 2, 3]
    digest = sha256(path.read_bytes()).hexdigest()
    assert column(result.snapshot, home, "_file") == [digest] * 3
    assert (result.rows_read, result.sources[0].sha256) == (3, digest)


def test_blanks_separate_and_trail(tmp_path: Path, home: Home) -> None:
    (tmp_path / "d.txt").write_text("  1 2.5   3  \r\n4   5  6\r\n\r\n7 8 9 \r\n")
    for delimiter in (" ", None):
        source = {"files": "d.txt", "header": False, "delimiter": delimiter, "columns": "abc"}
        source["columns"] = ["a", "b", "y"]
        result = ingest(pipeline(tmp_path, ingest={"source": source}), home)
        assert column(result.snapshot, home, "b") == [2.5, 5.0, 8.0]
        assert column(result.snapshot, home, "y") == [3, 6, 9]


def test_a_file_without_a_header_has_numbered_columns(tmp_path: Path, home: Home) -> None:
    (tmp_path / "d.csv").write_text("1,x\n2,y\n")
    source = {"files": "d.csv", "header": False}
    result = ingest(pipeline(tmp_path, ingest={"source": source}), home)
    assert rows(result.snapshot, home, "column_1", "column_2") == [
        {"column_1": 1, "column_2": "x"},
        {"column_1": 2, "column_2": "y"},
    ]


@pytest.mark.parametrize(
    ("name", "head"), [("a\nb", b'"a\nb",y\n'), ("a", b"\xef\xbb\xbfa,y\n"), ("a", b" a , y\n")]
)
def test_multiline_values_blank_lines_and_byte_order_mark(
    name: str, head: bytes, tmp_path: Path, home: Home
) -> None:
    (tmp_path / "d.csv").write_bytes(head + b'"one\ntwo",1\n\n"three",2\n')
    result = ingest(pipeline(tmp_path, files="d.csv"), home)
    assert rows(result.snapshot, home, name, "y") == [
        {name: "one\ntwo", "y": 1},
        {name: "three", "y": 2},
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
@pytest.mark.parametrize(
    ("name", "text"), [("d.csv", "näme,y\nÄrger,1\n"), ("d.jsonl", '{"näme": "Ärger", "y": 1}\n')]
)
def test_encodings(encoding: str, name: str, text: str, tmp_path: Path, home: Home) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    source = {"files": name, "encoding": encoding}
    result = ingest(pipeline(tmp_path, ingest={"source": source}), home)
    assert column(result.snapshot, home, "näme") == ["Ärger"]


def test_a_decimal_comma_does_not_separate(tmp_path: Path, home: Home) -> None:
    (tmp_path / "d.csv").write_text("1,5;2,5;3,5;4,5\n" * 3)
    source = {"files": "d.csv", "header": False}
    made = pipeline(tmp_path, ingest={"source": source}, target="column_4")
    assert column(ingest(made, home).snapshot, home, "column_2") == ["2,5"] * 3


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "utf-16"])
def test_a_text_ends_before_the_line_that_is_declared(
    encoding: str, tmp_path: Path, home: Home
) -> None:
    text = 'n,y\n1,a\n2,"b\nc"\n\nTotal: 3 €\nwritten on 1 May\n'
    (tmp_path / "d.csv").write_bytes(text.encode(encoding))
    (tmp_path / "whole.csv").write_bytes("n,y\n3,a\n".encode(encoding))
    source = {"files": ["d.csv", "whole.csv"], "until": "Total: 3 €", "encoding": encoding}
    result = ingest(pipeline(tmp_path, ingest={"source": source}), home)
    assert column(result.snapshot, home, "n") == [1, 2, 3]
    rules = TextRules(encoding=encoding, until="Total: 3 €")
    assert lines_of(tmp_path / "d.csv", 2, 2, tmp_path, rules=rules) == (3, 4)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_skipped_line_may_begin_like_the_one_that_ends_a_text(
    end: str, tmp_path: Path, home: Home
) -> None:
    lines = ["Total sales", "Total of May", "n,y", "1,a", "2,b", "Total,3", ""]
    (tmp_path / "d.csv").write_text(end.join(lines), newline="")
    source = {"files": "d.csv", "skip": 2, "until": "Total"}
    result = ingest(pipeline(tmp_path, ingest={"source": source}), home)
    assert column(result.snapshot, home, "n") == [1, 2]
    rules = TextRules(skip=2, until="Total")
    assert lines_of(tmp_path / "d.csv", 2, 2, tmp_path, rules=rules) == (5, 5)


def test_files_of_a_glob_and_labels_keep_their_order(tmp_path: Path, home: Home) -> None:
    for number in (2, 1, 3):
        (tmp_path / f"part{number}.csv").write_text(f"y,x\n{number},a\n{number}0,b\n")
    result = ingest(pipeline(tmp_path, files="part*.csv"), home)
    assert column(result.snapshot, home, "y") == [1, 10, 2, 20, 3, 30]
    assert [s.name for s in result.sources] == ["part1.csv", "part2.csv", "part3.csv"]
    source = {"files": {"north": "part3.csv", "south": "part1.csv"}, "label": "site"}
    result = ingest(pipeline(tmp_path, ingest={"source": source}), home)
    assert column(result.snapshot, home, "site") == ["north", "north", "south", "south"]
    assert column(result.snapshot, home, "_row") == [1, 2, 1, 2]
    assert [s.labels["site"] for s in result.sources] == ["north", "south"]


@pytest.mark.parametrize("label", ["key", "v0", "m0", "l1"])
def test_a_label_may_have_any_name(label: str, tmp_path: Path, home: Home) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("y,x\n1,p\n2,q\n2,r\n")
    source = {"files": {"north": "a.csv", "south": "b.csv"}, "label": label}
    contract = {"unique": [["y", label]]}
    result = ingest(pipeline(tmp_path, ingest={"source": source, "contract": contract}), home)
    assert column(result.snapshot, home, label) == ["north", "north", "south", "south"]
    assert dict(result.quarantined) == {f"unique:y,{label}": 2}


def test_types_are_found_in_all_values(tmp_path: Path, home: Home) -> None:
    head = "whole,real,flag,code,day,moment,text,none,y\n"
    body = "1,1,true,007,2024-01-02,2024-01-02 03:04:05,1,,0\n" * 30_000
    last = "2,.5,FALSE,010,2024-02-29,2024-01-02T03:04:05Z,x,,1\n"
    (tmp_path / "d.csv").write_text(head + body + last)
    result = ingest(pipeline(tmp_path, files="d.csv"), home)
    assert list(result.snapshot.columns.values())[:9] == [
        "BIGINT",
        "DOUBLE",
        "BOOLEAN",
        "VARCHAR",
        "DATE",
        "TIMESTAMP",
        "VARCHAR",
        "VARCHAR",
        "BIGINT",
    ]
    assert (result.rows_read, result.quarantine) == (30_001, None)


def _held(
    text: str, contract: list[dict[str, Any]], folder: Path, home: Home, **ingest_: Any
) -> Any:
    (folder / "d.csv").write_text(text)
    part = {"source": {"files": "d.csv"}, "contract": contract, "max_quarantine": 0.99, **ingest_}
    return ingest(pipeline(folder, target=contract[0]["name"], ingest=part), home)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int64", ["3", "3.0", " -4 ", "1e3"], ["3.7", "x", "nan", "1e-1", "9" * 30]),
        ("float64", ["3", ".5", "-1e300"], ["inf", "NaN", "-Infinity", "1,5", "x"]),
        ("bool", ["true", "FALSE", "0", "1"], ["2", "yes", "maybe"]),
        ("date", ["2024-02-29"], ["2023-02-29", "soon"]),
        ("timestamp", ["2024-01-02 03:04:05", "2024-01-02T03:04:05+02:00"], ["2024-13-01", "1"]),
        ("string", ["anything", "1"], []),
    ],
)
def test_types_are_strict(
    kind: str, good: list[str], bad: list[str], tmp_path: Path, home: Home
) -> None:
    text = "c,n\n" + "".join(f'"{v}",1\n' for v in good + bad)
    result = _held(text, [{"name": "c", "type": kind}], tmp_path, home)
    assert column(result.snapshot, home, "_row") == [*range(1, len(good) + 1)]
    assert column(result.quarantine, home, "c") == bad
    assert result.quarantined == ({"type:c": len(bad)} if bad else {})
    assert result.ignored_columns == ("n",)


def test_times_with_a_zone_become_utc(tmp_path: Path, home: Home) -> None:
    contract = [{"name": "t", "type": "timestamp"}]
    result = _held("t\n2024-01-02T03:04:05+02:00\n", contract, tmp_path, home)
    assert str(column(result.snapshot, home, "t")[0]) == "2024-01-02 01:04:05"


def test_a_broken_row_is_kept_as_it_was_with_all_rules(tmp_path: Path, home: Home) -> None:
    contract = [
        {"name": "size", "from": "Size [m]", "type": "float64", "range": [0, 10]},
        {"name": "kind", "nullable": False, "values": ["a", "b"]},
        {"name": "n", "type": "int64", "values": [1, 2], "range": [None, 5]},
    ]
    text = "Size [m],kind,n\n1,a,1\n 99 ,c,7\nx,,2\n,b,\n"
    result = _held(text, contract, tmp_path, home)
    assert rows(result.snapshot, home, "size", "kind", "n", "_row") == [
        {"size": 1.0, "kind": "a", "n": 1, "_row": 1},
        {"size": None, "kind": "b", "n": None, "_row": 4},
    ]
    broken = rows(result.quarantine, home)
    assert [(b["size"], b["_row"], b["_rules"]) for b in broken] == [
        (" 99 ", 2, "range:size,values:kind,range:n,values:n"),
        ("x", 3, "type:size,null:kind"),
    ]
    rules = ("range:size", "values:kind", "range:n", "values:n", "type:size", "null:kind")
    assert result.quarantined == dict.fromkeys(rules, 1)
    assert result.quarantined_rows + result.snapshot.rows == result.rows_read


def test_of_a_repeated_value_the_first_whole_row_stays(tmp_path: Path, home: Home) -> None:
    contract = [{"name": "id", "unique": True}, {"name": "x", "type": "float64"}]
    result = _held("id,x\n7,bad\n7,1\n7,2\n8,3\n,4\n,5\n", contract, tmp_path, home)
    assert column(result.snapshot, home, "_row") == [2, 4, 5, 6]
    assert column(result.quarantine, home, "_rules") == ["type:x,unique:id", "unique:id"]


def test_missing_tokens_of_all_and_of_one_column(tmp_path: Path, home: Home) -> None:
    contract = [{"name": "a", "type": "float64", "missing": ["0"]}, {"name": "b"}]
    text = "a,b\n0.0, ? \n0,x\n?,0\n5,NA\n"
    result = _held(text, contract, tmp_path, home, missing=["?", "NA", ""])
    assert column(result.snapshot, home, "a") == [None, None, None, 5.0]
    assert column(result.snapshot, home, "b") == [None, "x", "0", None]


def test_a_code_is_no_spelling_of_a_number_that_means_missing(tmp_path: Path, home: Home) -> None:
    contract = [{"name": name, "type": kind} for name, kind in (("a", "string"), ("b", "int64"))]
    text = "a,b\n9,9\n09,09\n9.0,9.0\n9E0,9E0\n01,1\n"
    for declared in ({"missing": ["9"], "contract": contract}, {"missing": ["9"]}):
        (tmp_path / "d.csv").write_text(text)
        made = pipeline(tmp_path, "b", ingest={"source": {"files": "d.csv"}, **declared})
        result = ingest(made, home)
        assert column(result.snapshot, home, "a") == [None, "09", None, "9E0", "01"]
        assert column(result.snapshot, home, "b") == [None, None, None, None, 1]


def test_names_with_quotes_and_keywords(tmp_path: Path, home: Home) -> None:
    names = ["select", 'he said ""hi""', "it's", "a.b", "tab\tbed", "ümläut", "ORDER"]
    head = ",".join(f'"{n}"' for n in names)
    (tmp_path / "d.csv").write_text(f"{head}\n1,2,3,4,5,6,7\n")
    result = ingest(pipeline(tmp_path, target="select", files="d.csv"), home)
    assert [*result.snapshot.columns][:7] == [n.replace('""', '"') for n in names]
    assert list(rows(result.snapshot, home)[0].values())[:7] == [*range(1, 8)]


def test_ten_of_ten_thousand_columns(tmp_path: Path, home: Home) -> None:
    names = [f"c{i}" for i in range(10_000)]
    lines = [",".join(names), *(",".join([str(i)] * 10_000) for i in range(3))]
    contract = [{"name": f"c{i}", "type": "int64"} for i in range(9_990, 10_000)]
    result = _held("\n".join(lines), contract, tmp_path, home)
    assert column(result.snapshot, home, "c9999") == [0, 1, 2]
    assert len(result.ignored_columns) == 9_990


def test_all_of_a_thousand_columns(tmp_path: Path, home: Home) -> None:
    lines = [",".join(f"c{i}" for i in range(1_000)), *[",".join(["1.5"] * 1_000)] * 3]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    result = ingest(pipeline(tmp_path, target="c0", files="d.csv"), home)
    assert set(result.snapshot.columns.values()) == {"DOUBLE", "VARCHAR", "BIGINT"}


def test_jsonl_has_the_keys_of_all_lines(tmp_path: Path, home: Home) -> None:
    (tmp_path / "d.jsonl").write_text('{"y": 1, "a/b": "x"}\n{"y": 2.5, "~n": {"q": [1]}}\n')
    result = ingest(pipeline(tmp_path, files="d.jsonl"), home)
    assert rows(result.snapshot, home, "y", "a/b", "~n") == [
        {"y": 1.0, "a/b": "x", "~n": None},
        {"y": 2.5, "a/b": None, "~n": '{"q":[1]}'},
    ]


def test_parquet_keeps_its_own_types_under_the_same_contract(tmp_path: Path, home: Home) -> None:
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int32()),
            "f": pa.array([1.0, 2.5, float("nan")], pa.float32()),
            "s": ["007", " 1 ", None],
            "d": pa.array([0, 1, 2], pa.date32()),
            "l": [[1], [2, 3], None],
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    free = ingest(pipeline(tmp_path, target="i", files="d.parquet"), home)
    assert [*free.snapshot.columns.values()][:5] == [
        "BIGINT",
        "DOUBLE",
        "VARCHAR",
        "DATE",
        "VARCHAR",
    ]
    assert free.quarantined == {"type:f": 1}
    contract = [{"name": "s", "type": "int64"}, {"name": "f", "type": "int64", "missing": "1"}]
    part = {"source": {"files": "d.parquet"}, "contract": contract, "max_quarantine": 1.0}
    held = ingest(pipeline(tmp_path, target="s", ingest=part), home)
    assert rows(held.snapshot, home, "s", "f") == [{"s": 7, "f": None}]


def test_bytes_of_parquet_are_text_and_others_go_to_quarantine(tmp_path: Path, home: Home) -> None:
    cells = ["Köln ".encode(), b"n/a", None, b"\xff\xd8\x00"]
    table = pa.table({"y": [1, 2, 3, 4], "b": pa.array(cells, pa.binary())})
    pq.write_table(table, tmp_path / "d.parquet")
    part = {"source": {"files": "d.parquet"}, "missing": ["n/a"], "max_quarantine": 0.5}
    result = ingest(pipeline(tmp_path, ingest=part), home)
    assert column(result.snapshot, home, "b") == ["Köln", None, None]
    assert result.quarantined == {"type:b": 1}
    assert column(result.quarantine, home, "b") == [r"\xFF\xD8\x00"]


def test_a_key_of_bytes_has_the_match_that_its_text_has(tmp_path: Path, home: Home) -> None:
    names = ["Köln", "Bonn"]
    for file, cells in (("d", pa.array([n.encode() for n in names])), ("o", pa.array(names))):
        table = pa.table({"k": cells, file: [1, 2]})
        pq.write_table(table, tmp_path / f"{file}.parquet")
    joins = {"o": {"source": {"files": "o.parquet"}, "on": "k"}}
    part = {"source": {"files": "d.parquet"}, "joins": joins}
    result = ingest(pipeline(tmp_path, target="d", ingest=part), home)
    assert column(result.snapshot, home, "o") == [1, 2]


@pytest.mark.parametrize("join", [False, True])
def test_a_duration_of_parquet_is_refused_where_it_is_read(
    join: bool, tmp_path: Path, home: Home
) -> None:
    table = pa.table({"y": [1, 2], "d": pa.array([5, None], pa.duration("us"))})
    pq.write_table(table, tmp_path / "d.parquet")
    source = {"files": "d.parquet"}
    part: dict[str, Any] = {"source": source, "contract": [{"name": "y"}]}
    assert column(ingest(pipeline(tmp_path, ingest=part), home).snapshot, home, "y") == [1, 2]
    if join:
        part["joins"] = {"other": {"source": source, "on": "y", "columns": ["d"]}}
    else:
        del part["contract"]
    says = r"^p/ingest: d.parquet: column 'd' holds durations, .*dt.total_seconds\(\)"
    with pytest.raises(SourceError, match=says):
        ingest(pipeline(tmp_path, ingest=part), home)


def test_whole_numbers_of_a_typed_column_that_fit_no_type_are_text(
    tmp_path: Path, home: Home
) -> None:
    big = 98765432109876543210
    table = pa.table(
        {
            "big": pa.array([big, None, -1], pa.decimal128(30, 0)),
            "small": pa.array([1, 2, -(2**63)], pa.decimal128(30, 0)),
            "unsigned": pa.array([1, 2**63, 3], pa.uint64()),
            "marked": pa.array([1, big, 3], pa.decimal128(20, 0)),
            "declared": pa.array([1, 2, big], pa.decimal128(20, 0)),
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    part = {"source": {"files": "d.parquet"}, "missing": [str(big)], "max_quarantine": 1.0}
    free = ingest(pipeline(tmp_path, ingest={**part, "missing": []}), home)
    kinds = dict(free.snapshot.columns)
    assert [kinds[name] for name in ("big", "small", "unsigned", "marked")] == [
        *("VARCHAR", "BIGINT", "VARCHAR", "VARCHAR")
    ]
    assert column(free.snapshot, home, "big") == [str(big), None, "-1"]
    assert column(free.snapshot, home, "unsigned") == ["1", str(2**63), "3"]
    assert free.quarantined == {}
    missing = ingest(pipeline(tmp_path, ingest=part), home)
    assert column(missing.snapshot, home, "marked") == [1, None, 3]
    held = {**part, "missing": [], "contract": [{"name": "declared", "type": "int64"}]}
    typed = ingest(pipeline(tmp_path, target="declared", ingest=held), home)
    assert typed.quarantined == {"type:declared": 1}


def test_whole_numbers_of_more_digits_than_the_engine_reads_are_refused(
    tmp_path: Path, home: Home
) -> None:
    keys = [Decimal(10**30 + i) for i in range(200)]
    table = pa.table({"y": range(200), "key": pa.array(keys, pa.decimal256(40, 0))})
    pq.write_table(table, tmp_path / "d.parquet")
    told = r"d.parquet: column 'key' has whole numbers of up to 40 digits.*; write it as text, or"
    with pytest.raises(SourceError, match=told):
        ingest(pipeline(tmp_path, files=["d.parquet"]), home)
    pq.write_table(table.set_column(1, "key", pa.array(map(str, keys))), tmp_path / "d.parquet")
    found = ingest(pipeline(tmp_path, files=["d.parquet"]), home).snapshot
    assert column(found, home, "key") == [*map(str, keys)]


@pytest.mark.parametrize(("name", "other"), [("y[1]", "y1"), ("y*", "y1"), ("a[1]/y", "a1/y")])
def test_a_name_that_looks_like_a_glob_is_that_of_one_file(
    name: str, other: str, tmp_path: Path, home: Home
) -> None:
    """Browsers number downloads so; the engine reads the other file, too, or instead."""
    for stem, y in ((name, 1), (other, 2)):
        for end in (*_TEXTS, ".parquet"):
            path = tmp_path / f"{stem}{end}"
            path.parent.mkdir(exist_ok=True)
            if end == ".parquet":
                pq.write_table(pa.table({"y": [y], "x": [1]}), path)
            else:
                path.write_text(_TEXTS[end].format(y=y))
    for end in (*_TEXTS, ".parquet"):
        names = [f"{name}{end}", f"{other}{end}"]
        found = ingest(pipeline(tmp_path, files=names), home).snapshot
        assert column(found, home, "y") == [1, 2], names


_TEXTS = {
    ".csv": "y,x\n{y},1\n",
    ".jsonl": '{{"y": {y}, "x": 1}}\n',
    ".arff": "@relation r\n@attribute y numeric\n@attribute x numeric\n@data\n{y},1\n",
    ".txt": "y x\n{y} 1\n",
}


def test_a_home_in_a_folder_that_looks_like_a_glob(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("y,x\n1,2\n")
    home, other = Home(tmp_path / "h[1]"), Home(tmp_path / "h1")
    for one in (other, home):
        found = ingest(pipeline(tmp_path), one).snapshot
        assert column(found, one, "x") == [2]


def test_no_whole_number_of_a_decimal_column_is_rounded(tmp_path: Path, home: Home) -> None:
    """Some databases export every number with ten digits behind the point, identifiers too."""
    name = Decimal(2**53 + 1)
    table = pa.table(
        {
            "name": pa.array([name, Decimal(1), None], pa.decimal128(38, 10)),
            "amount": pa.array([Decimal(2**53), Decimal("1.1"), None], pa.decimal128(38, 10)),
            "whole": pa.array([name, Decimal(1), None], pa.decimal128(20, 0)),
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    part = {"source": {"files": "d.parquet"}, "max_quarantine": 0.9}
    free = ingest(pipeline(tmp_path, ingest=part), home)
    kinds = dict(free.snapshot.columns)
    assert [kinds[name] for name in table.column_names] == ["VARCHAR", "DOUBLE", "BIGINT"]
    assert column(free.snapshot, home, "name") == [f"{name}.{0:010}", f"1.{0:010}", None]
    assert column(free.snapshot, home, "amount") == [2.0**53, 1.1, None]
    contract = [{"name": name, "type": "float64"} for name in table.column_names]
    held = ingest(pipeline(tmp_path, "name", ingest={**part, "contract": contract}), home)
    assert held.quarantined == {"type:name": 1, "type:whole": 1}
    assert column(held.snapshot, home, "name") == [1.0, None]


def test_nan_and_infinity_of_a_typed_column_may_be_declared_missing(
    tmp_path: Path, home: Home
) -> None:
    numbers = [1.0, float("nan"), -float("nan"), float("inf"), -float("inf"), None]
    kinds = {"y": pa.float64(), "f": pa.float32()}
    table = {name: pa.array(numbers, kind) for name, kind in kinds.items()}
    pq.write_table(pa.table(table), tmp_path / "d.parquet")
    part = {"source": {"files": "d.parquet"}, "missing": ["NaN", "inf"], "max_quarantine": 0.9}
    result = ingest(pipeline(tmp_path, ingest=part), home)
    assert column(result.snapshot, home, "y") == [1.0, None, None, None, None]
    assert result.quarantined == {"type:y": 1, "type:f": 1}


def _python(folder: Path, body: str, **source: Any) -> Any:
    (folder / "made.py").write_text(body)
    return pipeline(folder, ingest={"source": {"python": "made:rows", **source}})


def test_python_sources(tmp_path: Path, home: Home) -> None:
    body = (
        "def rows(n, kind):\n"
        "    import pandas as pd\n    import pyarrow as pa\n"
        "    frame = pd.DataFrame({'y': range(n), 'x': [float('nan')] + [1.5] * (n - 1)})\n"
        "    return frame if kind == 'frame' else pa.Table.from_pandas(frame).slice(0)\n"
    )
    results = [
        ingest(_python(tmp_path, body, args={"n": 3, "kind": kind}), home)
        for kind in ("frame", "table")
    ]
    assert results[0].snapshot == results[1].snapshot
    assert rows(results[0].snapshot, home, "x", "y", "_row") == [
        {"x": None, "y": 0, "_row": 1},
        {"x": 1.5, "y": 1, "_row": 2},
        {"x": 1.5, "y": 2, "_row": 3},
    ]
    assert results[0].sources[0].name == "made:rows"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (
            "pd.to_timedelta(['1h', None])",
            "durations, .* as by frame\\['x'\\].dt.total_seconds\\(\\)",
        ),
        ("pd.period_range('2024-01', periods=2, freq='M')", "periods, .*dt.to_timestamp"),
    ],
)
def test_a_function_returns_no_numbers_without_their_unit(
    cells: str, says: str, tmp_path: Path, home: Home
) -> None:
    frame = f"pd.DataFrame({{'y': [1, 2], 'x': {cells}}})"
    body = f"def rows():\n    import pandas as pd\n    return {frame}\n"
    with pytest.raises(SourceError, match=f"^p/ingest: made:rows: column 'x' holds {says}"):
        ingest(_python(tmp_path, body), home)


def test_the_key_follows_bytes_labels_and_arguments(tmp_path: Path, home: Home) -> None:
    def key(made: Pipeline) -> str:
        with home.scratch() as scratch:
            return sources_key(discover_sources(made, home, scratch))

    (tmp_path / "d.csv").write_text("y\n1\n")
    made = pipeline(tmp_path, files="d.csv")
    first = key(made)
    assert first == key(made)
    (tmp_path / "d.csv").write_text("y\n2\n")
    assert key(made) != first
    body = "def rows(**args): raise AssertionError('not called')\n"
    none = key(_python(tmp_path, body, reads=[]))
    other = key(_python(tmp_path, body, reads=[], args={"n": 1}))
    file = key(_python(tmp_path, body, reads=["d.csv"]))
    assert len({none, other, file}) == 3


def test_same_in_same_out(tmp_path: Path, home: Home) -> None:
    text = "y,x\n" + "".join(f"{i % 2},{i * 37 % 1009 / 7}\n" for i in range(300_000))
    contract = [{"name": "y"}, {"name": "x", "range": [1, 140]}]
    first = _held(text, contract, tmp_path, home)
    again = _held(text, contract, tmp_path, Home(tmp_path / "other"))
    assert first == again
    assert first.quarantined_rows > 1000


def test_real_heart_disease(real_data: Path, tmp_path: Path, home: Home) -> None:
    sites = ("cleveland", "hungarian", "switzerland", "va")
    source = {
        "files": {s: f"{real_data}/heart_disease/processed.{s}.data" for s in sites},
        "label": "site",
        "header": False,
        "columns": ["age", "sex", "cp", "bps", "chol", *(f"c{i}" for i in range(8)), "num"],
    }
    contract = [
        {"name": "age", "type": "int64"},
        {"name": "chol", "type": "float64", "missing": ["0"]},
        {"name": "num", "type": "int64", "values": [0, 1, 2, 3, 4]},
    ]
    part = {"source": source, "contract": contract, "missing": ["?"]}
    result = ingest(pipeline(tmp_path, target="num", ingest=part), home)
    assert (result.rows_read, result.quarantine) == (920, None)
    found = rows(result.snapshot, home)
    swiss = [row for row in found if row["site"] == "switzerland"]
    assert len(swiss) == 123
    assert all(row["chol"] is None for row in swiss)
    share = {s: sum(r["num"] > 0 for r in found if r["site"] == s) for s in sites}
    assert [*share.values()] == [139, 106, 115, 149]


def test_real_turbofan(real_data: Path, tmp_path: Path, home: Home) -> None:
    names = ["unit", "cycle", *(f"setting{i}" for i in (1, 2, 3)), *(f"s{i}" for i in range(1, 22))]
    source = {"files": f"{real_data}/cmapss/train_FD001.txt", "header": False, "columns": names}
    result = ingest(pipeline(tmp_path, target="unit", ingest={"source": source}), home)
    assert (result.rows_read, result.quarantine) == (20_631, None)
    assert result.snapshot.columns["unit"] == "BIGINT"
    assert result.snapshot.columns["s2"] == "DOUBLE"


def test_real_diabetes_inside_its_zip(real_data: Path, tmp_path: Path, home: Home) -> None:
    archive = f"{real_data}/diabetes130/dataset_diabetes.zip"
    with pytest.raises(SourceError, match=r"2 members.*IDs_mapping\.csv.*diabetic_data\.csv"):
        ingest(pipeline(tmp_path, files=archive), home)
    contract = [
        {"name": "patient_nbr", "type": "int64"},
        {"name": "weight"},
        {"name": "readmitted", "values": ["<30", ">30", "NO"]},
    ]
    source = {"files": archive, "member": "*/diabetic_data.csv"}
    part = {"source": source, "contract": contract, "missing": ["?"]}
    result = ingest(pipeline(tmp_path, target="readmitted", ingest=part), home)
    assert (result.rows_read, result.quarantine) == (101_766, None)
    assert len(set(column(result.snapshot, home, "patient_nbr"))) == 71_518


def test_too_much_quarantine_names_rule_and_example(tmp_path: Path, home: Home) -> None:
    text = "a\n1\nx-1\nx-2\n"
    with pytest.raises(ContractError, match=r"2 of 3 rows.*'type:a' \(2 rows, such as 'x-1'\)"):
        _held(text, [{"name": "a", "type": "float64"}], tmp_path, home, max_quarantine=0.5)
    with pytest.raises(ContractError, match=r"ingest\.max_quarantine sets the allowed share"):
        _held(text, [{"name": "a", "type": "float64"}], tmp_path, home, max_quarantine=0.5)
    # Whatever share is allowed, no row is left.
    with pytest.raises(ContractError, match=r"correct the contract or the source$"):
        _held("a\nx\n", [{"name": "a", "type": "float64"}], tmp_path, home, max_quarantine=1.0)
    secret = [{"name": "a", "type": "float64", "sensitive": "personal"}]
    with pytest.raises(ContractError, match=r"2 of 3 rows.*'type:a' \(2 rows\)"):
        _held(text, secret, tmp_path, home, max_quarantine=0.5)


@pytest.mark.parametrize("header", ["Erika Mustermann,44", "NAME,Old"])
def test_a_file_without_its_names_is_not_quoted_if_something_is_sensitive(
    header: str, tmp_path: Path, home: Home
) -> None:
    contract = [{"name": "name", "type": "string"}, {"name": "age", "type": "int64"}]
    with pytest.raises(ContractError, match=f"no column 'name'; .*{header.split(',')[0]}"):
        _held(f"{header}\nMax Muster,45\n", contract, tmp_path, home)
    contract[0]["sensitive"] = "personal"
    with pytest.raises(ContractError, match=r"d\.csv: there is no column 'name'; ") as error:
        _held(f"{header}\nMax Muster,45\n", contract, tmp_path, home)
    assert ("Mustermann" in str(error.value), "NAME" in str(error.value)) == (
        False,
        "NAME" in header,
    )


def test_a_token_that_is_no_finite_number(tmp_path: Path, home: Home) -> None:
    made = {"source": {"files": "d.csv"}, "contract": [{"name": "y", "type": "float64"}]}
    (tmp_path / "d.csv").write_text("x,y\n1,inf\n2,3.5\n3,-999\n4,nan\n")
    given = {**made, "missing": ["", "inf", "-999.0", "nan"]}
    result = ingest(pipeline(tmp_path, ingest=given), home)
    assert column(result.snapshot, home, "y") == [None, 3.5, None, None]
