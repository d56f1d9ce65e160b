"""Mistakes in declared sources are reported with their line before anything runs."""

from pathlib import Path

import pytest

from factory_assets.cli.check.check import check_folder

HEAD = "type: factory_assets.ModelPipeline\nattributes:\n  purpose: x\n  ingest:\n"

TAIL = "  train: {target: y, model: {kind: linear}}\n"


def problems_of(folder: Path, ingest: str) -> list[str]:
    (folder / "d.csv").write_text("id,machine,y\n1,M2,5\n")
    (folder / "m.csv").write_text("machine,age\nM2,3\n")
    lines = "".join(f"    {line}\n" for line in ingest.splitlines())
    (folder / "defs.yaml").write_text(HEAD + lines + TAIL)
    return [f"{problem.line}: {problem.what}" for problem in check_folder(folder)]


JOINED = "source: {files: d.csv}\njoins: {m: {source: {files: m.csv}, on: machine%s}}"


@pytest.mark.parametrize(
    ("ingest", "message"),
    [
        ("source: {database: P}", "5: attributes.ingest.source: a database needs either `table`"),
        ("source: {databse: P, table: t}", "unknown key 'databse'; did you mean 'database'?"),
        ("source: {database: ../P, table: t}", "must be the name of a secret that contains a URL"),
        ('source: {database: P, query: "DELETE FROM t"}', "source.query: P: the query does more"),
        ('source: {database: P, query: "SELECT :x"}', "parameter :x has no value; give it under"),
        ('source: {files: ["s3://b/a.csv", d.csv]}', "either all in s3:// storage or all local"),
        ('source: {files: [d.csv, "*.csv"]}', "source.files: two patterns match d.csv"),
        ("source: {files: d.csv, storage: {}}", "storage is for files that begin with s3://"),
        ("source: {asset: a//b}", "must be the key of an asset"),
        ("source: {pipeline: nowhere}", "source.pipeline: no pipeline 'nowhere'; valid: "),
        ("label: site", "needs either `source` or `sources`"),
        ("sources: {a: {files: d.csv}}", "sources need `label`"),
        (JOINED % "x", "no column 'machinex' in d.csv; did you mean 'machine'?"),
        (JOINED % ", key: maschine", "joins.m.key: no column 'maschine' in m.csv; did you"),
        (JOINED % ", columns: [agee]", "joins.m.columns: no column 'agee' in m.csv; did you"),
        (JOINED % ", rename: {agee: a}", "joins.m.rename: no column 'agee' in m.csv; did you"),
        (JOINED % ", rename: {age: id}", "column 'age' of m.csv exists in the source too; write"),
        (JOINED % ", prefix: _a", "joins.m.prefix"),
        (JOINED % ", columns: [], rename: {age: a}", "rename: 'age' is not in `columns`"),
        (JOINED % ", key: [a, b]", "key has 2 columns, but `on` has 1"),
        (JOINED % "" + "\ncontract: [{name: agee}, {name: y}]", "no column 'agee' in d.csv"),
    ],
)
def test_each_mistake_is_one_problem(ingest: str, message: str, tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, ingest)
    assert message in problem


@pytest.mark.parametrize(
    "ingest",
    [
        JOINED % "" + "\ncontract: [{name: age}, {name: y}]",
        JOINED % ", prefix: m_" + "\ncontract: [{name: m_age}, {name: y}]",
        JOINED % ", rename: {age: years}" + "\ncontract: [{name: years}, {name: y}]",
        "source: {database: P, table: t}",
        'source: {database: P, query: "SELECT :x AS y", parameters: {x: 1}}',
        "sources: {a: {files: d.csv}, b: {database: P, table: t}}\nlabel: site",
        "source: {files: not_there_yet.csv}",
        'source: {files: "s3://bucket/*.csv", storage: {access_key: MINE}}',
        "source: {pipeline: machine_failure}",
        "source: {asset: raw/orders}",
    ],
)
def test_valid_sources_need_no_data(ingest: str, tmp_path: Path) -> None:
    assert problems_of(tmp_path, ingest) == []
