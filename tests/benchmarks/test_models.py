"""The comparison of models at reduced size: a small table, few folds, the examples' protocols."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.modelling import problems
from benchmarks.modelling.autogluon import LEAST_SECONDS, AutoGluon, find_python
from benchmarks.modelling.contestants import DECLARED, PLAIN, Kind, Plain
from benchmarks.modelling.folds import TARGET, Fold
from benchmarks.modelling.groups import GROUPS, total
from benchmarks.modelling.problems import PROBLEMS, Problem
from benchmarks.modelling.records import Plan, Record, Records, allowed_seconds
from benchmarks.modelling.tables import MOST_ROWS, TABLES, PublicTable, tables_folder
from benchmarks.models import main
from factory_resources.home.home import Home

COLOURS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Problem, Home]:
    """A table of 150 fruits that a package might carry, and a home."""
    folder = tmp_path_factory.mktemp("tables")
    lines = ["id,size,colour,state"]
    for i in range(150):
        size = "" if i % 11 == 0 else i % 7 + i / 1000
        lines.append(
            f"{i},{size},{COLOURS[i % 3] if i else 'violet'},{'ripe' if i % 7 > 3 else 'unripe'}"
        )
    file = folder / "fruit.csv"
    file.write_text("\n".join(lines) + "\n")
    source = PublicTable("fruit", "none", str(file), "state", "binary", ("id",), "ripe")
    return Problem("fruit", ("roc_auc",), source), Home(folder / "home")


@pytest.fixture(scope="module")
def fold(made: tuple[Problem, Home]) -> Fold:
    problem, home = made
    return next(problem.divide(0, home))


def test_every_row_of_a_small_table_is_judged_once(made: tuple[Problem, Home]) -> None:
    problem, home = made
    folds = [*problem.divide(0, home)]
    judged = pa.concat_tables([fold.test for fold in folds])["size"].to_pylist()
    assert len(folds) == 5
    assert len(judged) == len(folds[0].learned) + len(folds[0].test) == 150
    assert sorted(filter(None, judged)) == sorted(set(filter(None, judged)))
    for fold in folds:
        known = set(fold.learned["size"].to_pylist()) - {None}
        assert not known & set(fold.test["size"].to_pylist())
        assert 0.35 < fold.target.values(fold.test).mean() < 0.5  # of 43 %


def test_another_seed_draws_other_folds_and_the_same_seed_the_same(
    made: tuple[Problem, Home], fold: Fold
) -> None:
    problem, home = made
    assert next(problem.divide(0, home)).test == fold.test
    assert next(problem.divide(1, home)).test != fold.test


def test_a_large_table_is_judged_on_one_fold(
    made: tuple[Problem, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, home = made
    monkeypatch.setattr(problems, "_ALL_FOLDS_BELOW", 150)
    assert len([*problem.divide(0, home)]) == 1


def test_a_name_that_was_not_learned_is_missing(made: tuple[Problem, Home]) -> None:
    problem, home = made
    unseen = [fold.frames[1]["colour"].isna().sum() for fold in problem.divide(0, home)]
    assert sorted(unseen) == [0, 0, 0, 0, 1]


def test_frames_have_the_inputs_of_the_factory(fold: Fold) -> None:
    learned, judged = fold.frames
    assert [*judged.columns] == ["size", "colour"]
    assert [*learned.columns] == ["size", "colour", TARGET]
    assert set(learned[TARGET]) == {0, 1}
    assert judged["colour"].cat.categories.equals(learned["colour"].cat.categories)
    assert learned["size"].isna().any()


@pytest.mark.slow
def test_contestants_get_the_same_rows_and_the_run_goes_on(
    made: tuple[Problem, Home], tmp_path: Path
) -> None:
    problem, home = made
    problem = replace(problem, group="colour")
    plan = Plan(("linear",), 1, home, autogluon=None)
    kept = Records(tmp_path / "records.jsonl")
    first = [*plan.measure(problem, kept)]
    assert {record.contestant for record in first} == {"linear", *PLAIN}
    assert len(first) == 5 * len({record.contestant for record in first})
    for record in first:
        assert record.metrics["roc_auc"] > 0.9, record  # the size tells nearly all
        assert ("coverage" in record.metrics) == (record.contestant == "linear")
        for name, (rows, own, shared) in record.groups.items():
            assert 0 <= min(own, shared) <= max(own, shared) <= rows, name
        if record.groups:
            covered = sum(counts.own for counts in record.groups.values())
            assert record.metrics["coverage"] == pytest.approx(covered / 30)
    by_colour = total(record.groups for record in first)
    colours = [COLOURS[i % 3] if i else "violet" for i in range(150)]
    assert {name: counts.rows for name, counts in by_colour.items()} == Counter(colours)
    assert any(counts.own != counts.shared for counts in by_colour.values())
    again = Records(tmp_path / "records.jsonl")
    assert [*plan.measure(problem, again)] == first
    assert again.all == kept.all == first


@pytest.mark.slow
def test_a_contestant_answers_the_same_again(made: tuple[Problem, Home], fold: Fold) -> None:
    _, home = made
    for contestant in (Kind("linear", home), *map(Plain, PLAIN)):
        one, two = (contestant.answer(fold).outputs for _ in range(2))
        assert (one == two).all(), contestant.name


def test_autogluon_gets_the_time_of_what_the_factory_chose() -> None:
    def spent(contestant: str, cpu: float) -> Record:
        return Record("fruit", contestant, 0, 0, {}, None, cpu, wall=1.0)

    kinds = [spent("linear", 20.0), spent("mlp", 30.0), spent(DECLARED, 40.0)]
    assert allowed_seconds(kinds) == 50.0
    assert allowed_seconds([*kinds, spent("auto", 25.0)]) == 25.0
    assert allowed_seconds([spent("auto", 0.1)]) == LEAST_SECONDS


@pytest.mark.long
def test_autogluon_answers_from_an_environment_of_its_own(fold: Fold) -> None:
    if (python := find_python()) is None:
        pytest.skip("no AutoGluon: run `make autogluon`, or set FACTORY_AUTOGLUON")
    answer = AutoGluon(python, 20.0).answer(fold)
    assert answer.cpu is not None
    assert 1 < answer.cpu < 60
    assert fold.score(answer)["roc_auc"] > 0.9


def test_an_environment_without_autogluon_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACTORY_AUTOGLUON", str(tmp_path / "python"))
    assert find_python() is None


def test_groups_are_those_of_known_problems(capsys: pytest.CaptureFixture[str]) -> None:
    assert {*GROUPS} < {*PROBLEMS}
    with pytest.raises(SystemExit):
        main(["--by-group", "turbofan"])
    assert "'turbofan' is not one of ai4i, heart" in capsys.readouterr().err


def test_examples_are_measured_as_published() -> None:
    assert {name: p.folds for name, p in PROBLEMS.items() if isinstance(p.source, Path)} == {
        "turbofan": None,
        "turbofan_sequence": None,
        "ai4i": 5,
        "heart": 10,
        "readmission": None,
        "tumour_diagnosis": 10,
    }
    assert all(bound.metric in p.metrics for p in PROBLEMS.values() for bound in p.bounds)


@pytest.mark.slow
def test_folds_of_an_example_leave_out_what_it_excludes(real_data: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    folds = [*PROBLEMS["heart"].divide(0, home)]
    assert len(folds) == 10
    assert sum(len(fold.test) for fold in folds) == 920
    assert not {"num", "stratum", "site", "disease"} & {*folds[0].inputs}
    assert {"cp", "thal"} <= {*folds[0].names}  # numbers that are declared to be names


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_keeps_the_rule_of_the_choice(table: PublicTable) -> None:
    folder = tables_folder()
    if not (folder / table.file).is_file():
        pytest.skip(f"{table.package} is not in {folder}: run `make bench-models`")
    rows = table.load(folder)
    assert 200 <= len(rows) <= MOST_ROWS
    assert rows.shape[1] > 4
    assert rows[table.target].notna().all()
    classes = rows[table.target].nunique()
    assert {"binary": classes == 2, "multiclass": 2 < classes < 20}.get(table.task, classes > 20)
    if table.positive:
        assert table.positive in set(rows[table.target])


def test_the_kinds_of_targets_are_those_of_the_rule() -> None:
    assert sorted(table.task for table in TABLES) == [
        *("binary",) * 3,
        *("multiclass",) * 2,
        *("regression",) * 3,
    ]


def test_unknown_name_is_rejected_with_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["turbofans"])
    assert exit_.value.code == 2
    assert "'turbofans' is not one of turbofan, turbofan_sequence" in capsys.readouterr().err
