"""The count of corrections that a draft needs."""

from pathlib import Path

from benchmarks.draft_tables import TABLES, CarriedTable
from benchmarks.drafts import differences
from factory_assets.cli.new.new import new
from factory_assets.declarations.loader import load_pipeline


def test_each_difference_from_what_is_right_is_a_correction(tmp_path: Path) -> None:
    (tmp_path / "carrier").mkdir()
    rows = "".join(f"{i},{i % 7}.5,2024-01-{i % 28 + 1:02d},{i % 2}\n" for i in range(90))
    (tmp_path / "carrier" / "data.csv").write_text("id,size,day,y\n" + rows)
    table = CarriedTable(
        "made",
        "carrier",
        "data.csv",
        "y",
        "multiclass",
        ("group:id",),
        never=("id", "size"),
        inputs=("day", "weight"),
    )
    written = new(
        "drafted", source=table.write(tmp_path, tmp_path), target="y", folder=tmp_path / "defs"
    )
    assert [*differences(table, load_pipeline(written.path.parent))] == [
        "task binary",
        "split time:day",
        "size is an input",
        "weight is no input",
    ]


def test_the_tables_that_judge_are_others_than_those_that_were_seen() -> None:
    seen = {(table.package, table.file) for table in TABLES if table.seen}
    judging = [(table.package, table.file) for table in TABLES if not table.seen]
    assert len(judging) >= 15
    assert not seen.intersection(judging)
    assert len({table.name for table in TABLES}) == len(TABLES)
