"""Mistakes in declared sources, told with their line before anything runs."""

from pathlib import Path

import pytest

from factory_assets.cli.check.check import check_folder

HEAD = "type: factory_assets.ModelPipeline\nattributes:\n  purpose: x\n  ingest:\n"

TAIL = "  train: {target: y, model: {kind: linear}}\n"


def told(folder: Path, ingest: str) -> list[str]:
    (folder / "d.csv").write_text("id,machine,y\n1,M2,5\n")
    (folder / "m.csv").write_text("machine,age\nM2,3\n")
    lines = "".join(f"    {line}\n" for line in ingest.splitlines())
    (folder / "defs.yaml").write_text(HEAD + lines + TAIL)
    return [f"{problem.line}: {problem.what}" for problem in check_folder(folder)]


JOINED = "source: {files: d.csv}\njoins: {m: {source: {files: m.csv}, on: machine%s}}"


@pytest.mark.parametrize(
    ("ingest", "says"),
    [
        ("source: {database: P}", "5: attributes.ingest.source: a database needs either `table`"),
        ("source: {databse: P, table: t}", "unknown key 'databse'; did you mean 'database'?"),
        ("source: {database: ../P, table: t}", "must be the name of a secret that holds a URL"),
        ('source: {database: P, query: "DELETE FROM t"}', "source.query: P: the query does more"),
        ('source: {database: P, query: "SELECT :x"}', "parameter :x has no value; give it under"),
        ('source: {files: ["s3://b/a.csv", d.csv]}', "either all in s3:// storage or all local"),
        ("source: {files: d.csv, storage: {}}", "storage is for files that begin with s3://"),
        ("source: {asset: a//b}", "must be the key of an asset"),
        ("source: {pipeline: nowhere}", "source.pipeline: no pipeline 'nowhere'; valid: "),
        ("label: site", "needs either `source` or `sources`"),
        ("sources: {a: {files: d.csv}}", "sources need `label`"),
        (JOINED % "x", "no column 'machinex' in d.csv; did you mean 'machine'?"),
        (JOINED % ", key: maschine", "joins.m.key: no column 'maschine' in m.csv; did you"),
        (JOINED % ", columns: [agee]", "joins.m.columns: no column 'agee' in m.csv; did you"),
        (JOINED % ", key: [a, b]", "key has 2 columns, and `on` 1"),
        (JOINED % "" + "\ncontract: [{name: agee}, {name: y}]", "no column 'agee' in d.csv"),
    ],
)
def test_one_line_for_one_mistake(ingest: str, says: str, tmp_path: Path) -> None:
    [problem] = told(tmp_path, ingest)
    assert says in problem


@pytest.mark.parametrize(
    "ingest",
    [
        JOINED % "" + "\ncontract: [{name: age}, {name: y}]",
        "source: {database: P, table: t}",
        'source: {database: P, query: "SELECT :x AS y", parameters: {x: 1}}',
        "sources: {a: {files: d.csv}, b: {database: P, table: t}}\nlabel: site",
        "source: {files: not_there_yet.csv}",
        'source: {files: "s3://bucket/*.csv", storage: {access_key: MINE}}',
        "source: {pipeline: machine_failure}",
        "source: {asset: raw/orders}",
    ],
)
def test_what_is_right_needs_no_data(ingest: str, tmp_path: Path) -> None:
    assert told(tmp_path, ingest) == []
