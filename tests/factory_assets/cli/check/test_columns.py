"""The columns of another pipeline's table are known from its declaration, before anything ran."""

from pathlib import Path

import pytest

from factory_assets.cli.check.check import check
from factory_assets.cli.check.columns import columns_of
from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec import IDENTITY, SnapshotSource
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home

PLAIN = "  ingest: {source: {files: d.csv}}\n"

CONTRACT = "  ingest: {source: {files: d.csv}, contract: [{name: m, from: machine}, {name: y}]}\n"

LABELLED = "  ingest: {sources: {a: {files: d.csv}, b: {files: e.csv}}, label: site}\n"

JOINED = (
    "  ingest: {source: {files: d.csv}, joins: {ages: {source: {files: m.csv}, on: machine, "
    "prefix: at_}}}\n"
)

DERIVED = PLAIN + (
    "  clean: {derive: {twice: y * 2}, windows: {by: machine, order: id, size: 3, columns: y, "
    "statistics: [mean, max]}}\n"
)

TRAIN = "  train: {target: y, model: {kind: linear}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    return tmp_path


def declare(folder: Path, sections: str, name: str = "up") -> Path:
    own = folder / name
    own.mkdir()
    (own / "d.csv").write_text("id,machine,y\n1,M2,5\n2,M2,6\n")
    (own / "e.csv").write_text("id,machine,y\n3,M3,7\n")
    (own / "m.csv").write_text("machine,age\nM2,3\n")
    (own / "defs.yaml").write_text(
        f"type: factory_assets.ModelPipeline\nattributes:\n  purpose: x\n{sections}"
    )
    return own


def checked(folder: Path, sections: str) -> list[str]:
    """Return what is wrong with a pipeline that has these sections."""
    declare(folder, sections, "down")
    return [f"{problem.path}: {problem.message}" for problem in check(["down"])]


@pytest.mark.parametrize("stage", ["ingest", "clean"])
@pytest.mark.parametrize("sections", [PLAIN, CONTRACT, LABELLED, JOINED, DERIVED])
def test_they_are_those_of_its_table(sections: str, stage: str, folder: Path, home: Home) -> None:
    pipeline = load_pipeline(declare(folder, sections))
    ingested = ingest(pipeline, home)
    table = ingested if stage == "ingest" else clean(pipeline, ingested, home)
    source = SnapshotSource.model_validate({"pipeline": "up", "stage": stage})
    stored = [name for name in table.snapshot.columns if name not in IDENTITY]
    [(name, declared)] = columns_of(source, folder).items()
    assert (name, sorted(declared)) == (f"up/{stage}", sorted(stored))


READ = "  ingest: {source: {pipeline: up%s}%s}\n"


@pytest.mark.parametrize(
    ("upstream", "sections", "message"),
    [
        (PLAIN, READ % ("", "") + TRAIN, ""),
        (PLAIN, READ % ("", "") + TRAIN.replace("y,", "yy,"), "train.target: no column 'yy'; did"),
        (
            CONTRACT,
            READ % ("", ", contract: [{name: machine}, {name: y}]") + TRAIN,
            "contract.0.name: no column 'machine' in up/clean; available: m, y",
        ),
        (CONTRACT, READ % ("", ", contract: [{name: n, from: m}, {name: y}]") + TRAIN, ""),
        (DERIVED, READ % ("", "") + "  clean: {where: {few: twice < 9 and y_max < 9}}\n", ""),
        (
            DERIVED,
            READ % (", stage: ingest", "") + "  clean: {where: {few: twice < 9}}\n",
            "clean.where.few: no column 'twice'; valid: id, machine, y",
        ),
        (DERIVED, READ % ("", "") + "  clean: {derive: {twice: y}}\n", "'twice' exists already"),
        (
            PLAIN,
            "  ingest: {source: {files: d.csv}, joins: {u: {source: {pipeline: up}, on: machine, "
            "columns: age}}}\n",
            "joins.u.columns: no column 'age' in up/clean; available: id, machine, y",
        ),
        (
            PLAIN,
            PLAIN + TRAIN + "  watch: {outcomes: {source: {pipeline: up}, outcome: yy}}\n",
            "watch.outcomes.outcome: no column 'yy' in up/clean; did you mean 'y'?",
        ),
        (PLAIN.replace("d.csv", "later.csv"), READ % ("", "") + TRAIN.replace("y,", "yy,"), ""),
        (PLAIN + "  claen: {}\n", READ % ("", "") + TRAIN.replace("y,", "yy,"), ""),
    ],
)
def test_names_are_compared_with_them(
    upstream: str, sections: str, message: str, folder: Path
) -> None:
    declare(folder, upstream)
    problems = checked(folder, sections)
    assert len(problems) == bool(message), problems
    assert message in "".join(problems)


def test_they_are_known_through_several_pipelines(folder: Path) -> None:
    declare(folder, DERIVED, "first")
    declare(folder, "  ingest: {source: {pipeline: first}}\n  clean: {derive: {more: y_max}}\n")
    assert checked(folder, READ % ("", "") + "  clean: {derive: {x: twice + more}}\n") == []
    (folder / "first" / "d.csv").write_text("id,machine,z\n1,M2,5\n")
    (folder / "first" / "defs.yaml").write_text(
        f"type: factory_assets.ModelPipeline\nattributes:\n  purpose: x\n{PLAIN}"
    )
    [problem] = [problem.message for problem in check(["down"])]
    assert "no column 'twice'; valid: id, machine, z, more" in problem


def test_a_partition_is_a_column(folder: Path) -> None:
    declare(
        folder,
        "  partitions: {site: {values: [munich, ulm]}}\n"
        "  ingest: {source: {files: '{site}.csv'}, contract: [{name: y, type: int64}]}\n",
    )
    rules = "  clean: {where: {known: site <> 'ulm', few: z < 9}}\n"
    [problem] = checked(folder, READ % ("", "") + rules)
    assert "clean.where.few: no column 'z'; valid: y, site" in problem


def test_of_pipelines_that_read_each_other_only_the_circle_is_told(folder: Path) -> None:
    declare(folder, "  ingest: {source: {pipeline: down}}\n")
    [problem] = checked(folder, READ % ("", "") + TRAIN.replace("y,", "yy,"))
    assert "pipelines read each other in a circle" in problem
