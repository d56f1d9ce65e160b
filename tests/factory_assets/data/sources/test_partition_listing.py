"""Partitions are listed from the names of the files alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.cli.progress import lines_of_missing
from factory_assets.data.sources.partition_listing import files_of, list_partitions, patterns_of
from factory_assets.data.sources.partition_patterns import bind
from factory_assets.execution.backfill import wanted
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.sources.files.discovery import find_files

NOW = datetime(2024, 1, 11, tzinfo=UTC)

HOME = Home(Path("nowhere"))

DAY = {"every": "day", "start": "2024-01-01"}


def declared(folder: Path, files: Any, **partitions: dict[str, Any]) -> Pipeline:
    source = files if isinstance(files, dict) else {"files": files}
    ingest = {"source": source, "contract": [{"name": "x", "type": "int64"}]}
    attributes = {"purpose": "test", "partitions": partitions, "ingest": ingest}
    return Pipeline("p", PipelineSpec.model_validate(attributes), folder)


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n1\n")


def there(pipeline: Pipeline, **known: list[str]) -> list[str]:
    return [partition.key for partition in list_partitions(pipeline, NOW, known, HOME).partitions]


def test_days_that_have_ended_and_have_a_file_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-02.csv", "2024-01-04.csv", "2024-01-11.csv", "2023-12-31.csv", "x.csv")
    found = list_partitions(declared(tmp_path, "{day}.csv", day=DAY), NOW, {}, HOME)
    assert [partition.key for partition in found.partitions] == ["2024-01-02", "2024-01-04"]
    assert found.absent == 8
    assert found.files["2024-01-02"] == (str(tmp_path / "2024-01-02.csv"),)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{day:%Y}/{day:%m}/{day}.csv", ["2024/01/2024-01-02.csv", "2023/01/2024-01-03.csv"]),
        ("d{day:%d%m%y}*.csv", ["d020124.csv", "d030224.csv"]),
        ("**/{day}.csv", ["2024-01-02.csv"]),
        ("*/{day}-[ab].csv", ["q/2024-01-02-a.csv", "q/2024-01-03-c.csv"]),
        ("{day}-[^a].csv", ["2024-01-02-a.csv", "2024-01-03-c.csv"]),
        ("{day}-[[].csv", ["2024-01-02-[.csv", "2024-01-03-c.csv"]),
        ("{day}/?.csv", ["2024-01-02/1.csv", "2024-01-03/12.csv"]),
        ("(x+{day}).csv", ["(x+2024-01-02).csv"]),
    ],
)
def test_a_pattern_gives_the_keys_in_file_names(
    tmp_path: Path, pattern: str, names: list[str]
) -> None:
    put(tmp_path, *names)
    assert there(declared(tmp_path, pattern, day=DAY)) == ["2024-01-02"]


@pytest.mark.parametrize("pattern", ["{day}.csv", "s[2]/{day:%Y}/{day}.csv", "s[2]/**/{day}.csv"])
def test_folders_may_have_brackets_in_their_names(
    tmp_path: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data [1]"
    put(folder, "2024-01-02.csv", "s[2]/2024/2024-01-02.csv", "s2/2024/2024-01-03.csv")
    assert there(declared(folder, pattern, day=DAY)) == ["2024-01-02"]
    monkeypatch.setenv("FACTORY_DATA", str(folder))
    assert there(declared(tmp_path, f"${{FACTORY_DATA}}/{pattern}", day=DAY)) == ["2024-01-02"]


def test_braces_in_names_that_are_no_partition_are_plain_text(tmp_path: Path) -> None:
    folder = tmp_path / "{project} 1"
    put(folder, "2024-01-02.csv", "{x}.csv")
    assert there(declared(folder, "{day}.csv", day=DAY)) == ["2024-01-02"]
    assert there(declared(folder, "{x}.csv")) == there(declared(folder, "x.csv"))


def test_dynamic_keys_come_from_file_names(tmp_path: Path) -> None:
    put(tmp_path, "m1/2024-01-01.csv", "m-2/2024-01-01.csv", "m-2/2024-01-02.csv")
    pipeline = declared(tmp_path, "{machine}/{day}.csv", day=DAY, machine={"dynamic": True})
    assert there(pipeline) == ["2024-01-01|m-2", "2024-01-01|m1", "2024-01-02|m-2"]
    assert list_partitions(pipeline, NOW, {"machine": ["old"]}, HOME).dynamic == {
        "machine": ["m-2", "m1", "old"]
    }


def test_adjacent_placeholders_are_distinguished(tmp_path: Path) -> None:
    put(tmp_path, "north-2024-01-01.csv", "north-east-2024-01-02.csv", "a-b-2024-01-03.csv")
    sites = {"values": ["north", "north-east"]}
    assert there(declared(tmp_path, "{site}-{day}.csv", day=DAY, site=sites)) == [
        *("2024-01-01|north", "2024-01-02|north-east")
    ]
    machines = declared(tmp_path, "{machine}-{day}.csv", day=DAY, machine={"dynamic": True})
    assert there(machines)[-1] == "2024-01-03|a-b"


def test_a_repeated_placeholder_must_match_the_same_key(tmp_path: Path) -> None:
    put(tmp_path, "m1/m1.csv", "m1/m2.csv", "m2/m2.csv")
    assert there(declared(tmp_path, "{m}/{m}.csv", m={"dynamic": True})) == ["m1", "m2"]


def test_a_partition_needs_all_its_files(tmp_path: Path) -> None:
    put(tmp_path, "a-2024-01-01.csv", "b-2024-01-01.csv", "a-2024-01-02.csv")
    source = {"files": {"a": "a-{day}.csv", "b": "b-{day}.csv"}, "label": "site"}
    assert there(declared(tmp_path, source, day=DAY)) == ["2024-01-01"]


def test_a_file_that_a_function_reads_can_belong_to_several_partitions(tmp_path: Path) -> None:
    put(tmp_path, "2024-01.csv")
    reading = {"python": "source:load", "args": {"day": "{day}"}, "reads": "{day:%Y-%m}.csv"}
    assert len(there(declared(tmp_path, reading, day=DAY))) == 10


def test_without_files_every_period_is_listed(tmp_path: Path) -> None:
    source = {"python": "source:load", "args": {"day": "{day}"}}
    assert len(there(declared(tmp_path, source, day=DAY))) == 10
    reading = {**source, "reads": "{day}.csv"}
    put(tmp_path, "2024-01-05.csv")
    assert there(declared(tmp_path, reading, day=DAY)) == ["2024-01-05"]


def test_folders_are_ignored_and_names_that_are_not_a_key_are_told(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "Smith, J.csv", "x[1].csv", "...csv")
    (tmp_path / "folder.csv").mkdir()
    pipeline = declared(tmp_path, "{m}.csv", m={"dynamic": True})
    assert there(pipeline) == ["a"]
    assert [*lines_of_missing(wanted(pipeline, NOW, {}, HOME))] == [
        "files of 2 keys are not read ('Smith, J', 'x[1]'): 'Smith, J' contains ',', which is not "
        "allowed in a key; rename them"
    ]
    days = declared(tmp_path, "{day}.csv", day=DAY)
    assert [*lines_of_missing(wanted(days, NOW, {}, HOME))] == ["10 partitions have no data yet"]


def test_an_excluded_key_is_none_of_those_that_are_known(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "b.csv", "c.csv")
    pipeline = declared(tmp_path, "{m}.csv", m={"dynamic": True, "exclude": ["b", "d"]})
    found = list_partitions(pipeline, NOW, {"m": ["d", "e"]}, HOME)
    assert found.dynamic == {"m": ["a", "c", "e"]}
    assert [partition.key for partition in found.partitions] == ["a", "c"]


def test_hidden_files_are_no_partitions_unless_the_pattern_asks_for_them(tmp_path: Path) -> None:
    put(tmp_path, "m1.csv", ".m2.csv", "._m1.csv", "d/.m3.csv", ".d/m4.csv")
    assert there(declared(tmp_path, "{m}.csv", m={"dynamic": True})) == ["m1"]
    assert there(declared(tmp_path, "*/{m}.csv", m={"dynamic": True})) == ["m4"]
    assert there(declared(tmp_path, ".{m}.csv", m={"dynamic": True})) == ["_m1", "m2"]
    assert there(declared(tmp_path, "d/.{m}.csv", m={"dynamic": True})) == ["m3"]
    whole = declared(tmp_path, "*.csv")
    (source,) = whole.spec.ingest.every_source
    assert files_of(source, "*.csv", tmp_path, HOME) == [str(tmp_path / "m1.csv")]


_name = st.text("ab1-_.", min_size=1, max_size=5).filter(lambda s: s.strip(".") and "..." not in s)


@given(
    keys=st.sets(_name, min_size=1, max_size=5),
    pattern=st.sampled_from(["{m}.csv", "x/{m}/data.csv", "{m}/{m}.csv", "pre{m}-post.csv"]),
)
def test_the_listed_files_are_those_that_are_read(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], pattern: str
) -> None:
    folder = tmp_path_factory.mktemp("data")
    put(folder, *(pattern.replace("{m}", key) for key in keys))
    pipeline = declared(folder, pattern, m={"dynamic": True})
    found = list_partitions(pipeline, NOW, {}, HOME)
    assert {partition.key for partition in found.partitions} == {
        key for key in keys if not Path(pattern.replace("{m}", key)).name.startswith(".")
    }
    (source,) = pipeline.spec.ingest.every_source
    listed = set(files_of(source, pattern, folder, HOME))
    assert listed >= {name for names in found.files.values() for name in names}
    for partition in found.partitions:
        bound = tuple(text for _, text in patterns_of(bind(pipeline, partition)))
        read = [str(file.path) for file in find_files(bound, folder)]
        assert read == list(found.files[partition.key])


def test_partitions_are_requested_by_key(tmp_path: Path) -> None:
    put(tmp_path, "2024-01-02.csv")
    pipeline = declared(tmp_path, "{day}.csv", day=DAY)
    requested = wanted(pipeline, NOW, {}, HOME, ["2024-01-03", "2024-01-03"])
    assert [partition.key for partition in requested.partitions] == ["2024-01-03"]
    with pytest.raises(DataError, match=r"no partition '2024-1-2'; did you mean '2024-01-02'"):
        wanted(pipeline, NOW, {}, HOME, ["2024-1-2"])
    with pytest.raises(DataError, match=r"'2024-01-11' is not over; it ends at 2024-01-12 00:00"):
        wanted(pipeline, NOW, {}, HOME, ["2024-01-11"])
