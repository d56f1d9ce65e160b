"""What `factory check` finds beyond a single file: SQL, Python, file headers, duplicate names."""

import gzip
import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.check import expressions
from factory_assets.cli.check.check import check, check_folder, declaration_warnings
from factory_assets.cli.main import main
from factory_assets.declarations.loader import pipeline_folders
from factory_resources.errors import DeclarationError
from tests.factory_assets.declarations.cases import FULL, SHOWN_DIGITS, declare, line_of

HEADER = "Torque [Nm];speed;kind;failed\n1.5;2;L;0\n"

MODEL = "{kind: mlp, hidden: [8, 4], learning_rate: 1e-3}"

ESTIMATOR = '{python: "sklearn.svm:SVC", args: {C: 1}'
"""Without its last bracket."""


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "defs"
    folder.mkdir()
    monkeypatch.setenv("FACTORY_DEFS", str(folder))
    return folder


def test_shipped_pipelines_have_no_problem() -> None:
    assert check() == []


def test_a_good_declaration_needs_no_data(defs: Path) -> None:
    declare(defs, FULL)
    assert check(["machines"]) == []


def test_a_file_that_is_not_there_is_a_warning(defs: Path) -> None:
    folder = declare(defs, FULL)
    [warning] = declaration_warnings(["machines"])
    assert line_of(FULL, "source:") == warning.line
    assert "attributes.ingest.source.files: no file matches 'machines.csv'" in str(warning)
    found = CliRunner().invoke(main, ["check", "machines"])
    assert (found.exit_code, f"warning: {warning}\n" in found.output) == (0, True)
    (folder / "machines.csv").write_text(HEADER)
    assert declaration_warnings(["machines"]) == []


def test_a_good_declaration_with_data_has_no_problem(defs: Path) -> None:
    folder = declare(defs, FULL)
    (folder / "machines.csv").write_text(HEADER)
    assert check(["machines"]) == []


@pytest.mark.parametrize(
    ("old", "new", "on_line", "message"),
    [
        ("speed > 0", "spedd > 0", "turning", "no column 'spedd'; did you mean 'speed'?"),
        ("speed > 0", "speed >", "turning", "is not an SQL expression"),
        ("speed > 0", "speed + 1", "turning", "yields BIGINT, not true or false"),
        ("speed > 0", "(SELECT true)", "turning", "a subquery"),
        ("speed > 0", "sqroot(speed) > 0", "turning", "no function 'sqroot'"),
        ("speed > 0", "speed > power", "turning", "no column 'power'; it is derived later, since"),
        (
            "power: torque",
            "x: power\n      power: torque",
            "x: power",
            "'power'; it is derived later",
        ),
        ("torque * speed", "read_text('/etc/passwd')", "power:", "read_text"),
        ("torque * speed", "torque * kind", "power:", "*"),
        ("power: torque", "speed: torque", "speed: torque", "exists already"),
        (
            "      power: torque * speed",
            "      torque_mean: torque\n"
            "    windows: {by: kind, order: speed, size: 5, columns: torque, statistics: [mean]}",
            "windows:",
            "column 'torque_mean', which they add, exists already",
        ),
        (
            "      power: torque * speed",
            "      power: torque * speed\n"
            "    windows: {by: speed, order: torque, size: 5, columns: [power, kind]}",
            "windows:",
            "column 'kind' is VARCHAR, which has no mean; name columns of numbers, or",
        ),
        (
            "power: torque * speed",
            "power: INTERVAL 1 DAY * speed",
            "power:",
            "yields INTERVAL, which a table cannot store; make it a number",
        ),
        (
            "values: [L, M, H]",
            "values: [L, M, H]\n        range: [0, 1]",
            "        range:",
            "is for numbers and dates, not for string",
        ),
        (
            "failed, type: int64, values: [0, 1]",
            "failed, type: int64, values: [x]",
            "[x]",
            "is not a valid int64",
        ),
        (
            "{name: speed,",
            "{name: Failed, type: int64}\n      - {name: speed,",
            "failed,",
            "in case",
        ),
        ("{kind: mlp, hidden: [8, 4]", '{python: "net:Net"', "python", "cannot import 'net'"),
        (
            "{kind: mlp, hidden: [8, 4]",
            '{python: "os:system"',
            "python",
            "belongs to Python itself",
        ),
        (
            "{kind: mlp, hidden: [8, 4]",
            '{python: "sklearn.svm:SVC", args: {D: 1}',
            "python",
            "unexpected keyword argument 'D'; correct `args`; it takes C, kernel",
        ),
    ],
)
def test_each_mistake_is_found_on_its_line(
    defs: Path, old: str, new: str, on_line: str, message: str
) -> None:
    assert old in FULL
    text = FULL.replace(old, new, 1)
    declare(defs, text)
    problems = check(["machines"])
    assert len(problems) == 1, [str(problem) for problem in problems]
    assert message in problems[0].message
    assert problems[0].line == line_of(text, on_line)


@pytest.mark.parametrize(
    ("searched", "on_line", "message"),
    [
        ("{search: {args.D: [1, 2]}}", "args.D", "unexpected keyword argument 'D'; correct `args`"),
        ("{search: {epochs: [1, 2]}}", "epochs", "sklearn.svm:SVC is not a network; let train"),
        ("{trials: 3}", "trials", "sklearn.svm:SVC is not a network; let train.tune.search name"),
    ],
)
def test_a_search_for_what_ones_own_estimator_does_not_take(
    defs: Path, searched: str, on_line: str, message: str
) -> None:
    text = FULL.replace(MODEL, f"{ESTIMATOR}}}\n    tune: {searched}")
    declare(defs, text)
    [problem] = check(["machines"])
    assert message in problem.message
    assert problem.line == line_of(text, on_line)


@pytest.mark.parametrize(
    ("declared", "on_line", "message"),
    [
        (
            ",\n      epochs: 3}",
            "epochs",
            "epochs is a setting for training networks, and sklearn.",
        ),
        (
            "}\n    trainer: {accelerator: cpu}",
            "trainer",
            "sklearn.svm:SVC is not a network; leave",
        ),
        ("}\n    budget: {minutes: 5}", "budget", "is fitted in one step and cannot be stopped"),
    ],
)
def test_what_only_networks_have_is_found_beside_ones_own_estimator(
    defs: Path, declared: str, on_line: str, message: str
) -> None:
    text = FULL.replace(MODEL, f"{ESTIMATOR}{declared}")
    declare(defs, text)
    [problem] = check(["machines"])
    assert message in problem.message
    assert problem.line == line_of(text, on_line)


def test_an_encoder_that_is_not_on_this_machine(defs: Path) -> None:
    text = FULL.replace("exclude: [kind]", "text: {kind: no_such_encoder}")
    declare(defs, text)
    [problem] = check(["machines"])
    assert problem.line == line_of(text, "no_such_encoder")
    assert "train.text.kind: there is no encoder 'no_such_encoder'; install" in str(problem)
    declare(defs, text.replace("no_such_encoder", "'${FACTORY_ENCODERS}/minilm'"))
    [problem] = check(["machines"])
    assert "variable ${FACTORY_ENCODERS} is not set" in problem.message


def test_metrics_that_the_task_does_not_have(defs: Path) -> None:
    text = FULL.replace("target: failed", "target: failed\n    task: regression")
    declare(defs, text)
    problems = check(["machines"])
    lines = [i for i, line in enumerate(text.splitlines(), 1) if "metric: roc_auc" in line]
    assert [problem.line for problem in problems] == lines
    assert "'roc_auc' is not a metric of regression; valid: rmse" in problems[0].message


@pytest.mark.parametrize(
    ("train", "gate", "on_line", "message"),
    [
        ([], "rmse", "metric: rmse", "'rmse' is not a metric of binary; valid: average_precision"),
        (["exclude: [size, kind]"], "roc_auc", "exclude:", "no input is left to learn from; name"),
        (
            ["positive: good"],
            "roc_auc",
            "positive:",
            "'good' is not a class of target 'ripe'; valid",
        ),
        (
            ["uncertainty: {by: size}"],
            "roc_auc",
            "uncertainty:",
            "'size' is a number, and groups need names; list it in train.categorical",
        ),
        (["trend: size"], "f1", "trend:", "'size' is int64, not a date or timestamp; take it out"),
        (
            ["    clip: 5"],
            "roc_auc",
            "clip:",
            "clip is for numbers; the task is binary",
        ),
        (
            ["    asymmetry: {}"],
            "roc_auc",
            "asymmetry:",
            "asymmetry is for numbers; the task is binary",
        ),
        (["positive: false", "exclude: size", "uncertainty: {by: kind}"], "coverage", "", ""),
        (["categorical: size", "uncertainty: {by: size}"], "f1", "", ""),
    ],
)
def test_what_the_contract_tells_of_training(
    defs: Path, train: list[str], gate: str, on_line: str, message: str
) -> None:
    lines = [
        *("type: factory_assets.ModelPipeline", "attributes:", "  purpose: Sort apples"),
        *("  ingest:", "    source: {files: apples.csv}", "    contract:"),
        "      - {name: size, type: int64}",
        "      - {name: kind, type: string, values: [a, b]}",
        "      - {name: ripe, type: bool, nullable: false}",
        *("  train:", "    target: ripe", "    model: {kind: linear}"),
        *(f"    {line}" for line in train if not line.startswith("    ")),
        *("  evaluate:", "    gates:", f"      - {{metric: {gate}, at_least: 0.5}}"),
        *(line for line in train if line.startswith("    ")),
    ]
    text = "\n".join(lines) + "\n"
    declare(defs, text, "apples")
    problems = check(["apples"])
    assert [problem.line for problem in problems] == ([line_of(text, on_line)] if message else [])
    assert all(message in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("kind", "train", "metric", "on_line", "message"),
    [
        ("float64", "positive: yes", "rmse", "positive:", "only a task of two classes has one"),
        ("float64", "calibrate: platt", "rmse", "calibrate:", "numbers have no probabilities"),
        ("float64", "threshold: 0.3", "rmse", "threshold:", "only a decision between two classes"),
        ("float64", "uncertainty: {abstain: true}", "rmse", "uncertainty:", "only a decision"),
        ("float64", "seed: 1", "roc_auc", "metric:", "'roc_auc' is not a metric of regression"),
        ("float64", "task: binary", "roc_auc", "", ""),
        ("float64", "uncertainty: {}", "rmse", "", ""),
        ("date", "seed: 1", "rmse", "target:", "'ripe' is a date, not a number or a class"),
        (
            *("string", "model: {kind: lightgbm, loss: absolute_error}", "f1"),
            *("model:", "loss absolute_error is for numbers; the task is binary or multiclass"),
        ),
        (
            *("bool", "model: {kind: auto, members: [{kind: lightgbm, loss: absolute_error}]}"),
            *("f1", "model:", "loss absolute_error is for numbers; the task is binary"),
        ),
    ],
)
def test_what_the_type_of_the_target_tells(
    defs: Path, kind: str, train: str, metric: str, on_line: str, message: str
) -> None:
    text = f"""\
type: factory_assets.ModelPipeline
attributes:
  purpose: Sort apples
  ingest:
    source: {{files: apples.csv}}
    contract: [{{name: size, type: float64}}, {{name: ripe, type: {kind}}}]
  train:
    target: ripe
    {train}
    {"" if train.startswith("model") else "model: {kind: linear}"}
  evaluate:
    metric: {metric}
"""
    declare(defs, text, "apples")
    problems = check(["apples"])
    assert [one.line for one in problems] == ([line_of(text, on_line)] if message else [])
    assert all(message in one.message for one in problems)


@pytest.mark.parametrize(("by", "message"), [("ripe", ""), ("shiny", "'shiny' is read as 0 and 1")])
def test_classes_of_zero_and_one_are_groups_and_an_input_of_true_and_false_may_be(
    defs: Path, by: str, message: str
) -> None:
    lines = [
        *("type: factory_assets.ModelPipeline", "attributes:", "  purpose: Sort apples"),
        *("  ingest:", "    source: {files: apples.csv}", "    contract:"),
        "      - {name: shiny, type: bool}",
        "      - {name: ripe, type: int64, nullable: false}",
        *("  train:", "    target: ripe", "    model: {kind: linear}"),
        f"    uncertainty: {{by: {by}}}",
    ]
    declare(defs, "\n".join(lines) + "\n", "apples")
    problems = check(["apples"])
    assert [message in problem.message for problem in problems] == [True] * bool(message)


@pytest.mark.parametrize(
    ("source", "key", "message"),
    [
        ("{files: a.parquet, skip: 3}", "skip", "skip is for separated text, not for parquet"),
        ("{files: [a.jsonl.gz, b.pq], delimiter: ;}", "delimiter", "not for jsonl and parquet"),
        ("{files: a.dat, format: arff, until: Total}", "until", "not for arff"),
        ("{files: a.parquet, encoding: latin-1}", "encoding", "encoding is for text, not for"),
        ("{files: a.csv, member: b.csv}", "member", "member is for a zip, and a.csv is not one"),
        ("{files: [a.arff, a.jsonl], encoding: latin-1}", "", ""),
        ("{files: [a.csv, b.parquet], skip: 3}", "", ""),
        ("{files: 'data/*', skip: 3, member: '*.csv'}", "", ""),
        ("{files: a.zip, member: b.csv, skip: 3}", "", ""),
    ],
)
def test_what_is_read_of_no_file_of_a_source(
    defs: Path, source: str, key: str, message: str
) -> None:
    declare(defs, SHOWN_DIGITS.replace("{files: apples.csv}", source), "apples")
    problems = check(["apples"])
    assert [one.path for one in problems] == [f"attributes.ingest.source.{key}"] * bool(key)
    assert all(message in one.message for one in problems)


def test_a_pipeline_of_which_nobody_would_be_told(defs: Path) -> None:
    declare(defs, FULL)
    settings = defs / "factory.yaml"
    settings.write_text("alerts:\n  - command: [page]\n    pipelines: [machines, machine]\n")
    [problem] = check(["machines"])
    assert (problem.file, problem.line) == (settings, 3)
    assert problem.what.startswith("alerts.0.pipelines.1: no pipeline 'machine'; did you mean 'ma")


def test_derived_columns_see_those_before_them(defs: Path) -> None:
    text = FULL.replace("power: torque * speed", "power: torque * speed\n      half: power / 2")
    declare(defs, text)
    assert check(["machines"]) == []
    swapped = text.replace(
        "power: torque * speed\n      half: power / 2", "half: power / 2\n      power: torque"
    )
    declare(defs, swapped)
    assert [p.line for p in check(["machines"])] == [line_of(swapped, "half:")]


def test_an_input_that_depends_on_other_rows(defs: Path) -> None:
    text = FULL.replace("power: torque * speed", "power: torque - avg(torque) OVER ()")
    declare(defs, text)
    [problem] = check(["machines"])
    assert problem.line == line_of(text, "power:")
    assert "input 'power' depends on other rows, through OVER" in problem.message
    assert "use clean.windows, or name it in train.exclude" in problem.message
    declare(defs, text.replace("exclude: [kind]", "exclude: [kind, power]"))
    assert check(["machines"]) == []


def test_a_rule_that_looks_at_other_rows(defs: Path) -> None:
    text = SHOWN_DIGITS + "  clean: {where: {newest: row_number() OVER (ORDER BY size) = 1}}\n"
    declare(defs, text, "apples")
    [problem] = check(["apples"])
    assert problem.line == line_of(text, "newest")
    assert "OVER looks at other rows" in problem.message


def test_a_contract_column_that_the_file_does_not_have(defs: Path) -> None:
    folder = declare(defs, FULL)
    (folder / "machines.csv").write_text(HEADER.replace("speed", "spede"))
    (problem,) = check(["machines"])
    assert problem.line == line_of(FULL, "name: speed")
    assert "no column 'speed' in machines.csv; did you mean 'spede'?" in problem.message


def test_a_sensitive_file_without_its_names_is_not_quoted(defs: Path) -> None:
    text = FULL.replace("- {name: speed,", "- {sensitive: personal, name: speed,")
    assert text != FULL
    folder = declare(defs, text)
    (folder / "machines.csv").write_text("12,Erika Mustermann,L,0\n")
    problems = check(["machines"])
    assert len(problems) > 1
    assert all("if its first line has values in place of names" in str(p) for p in problems)
    assert not any("Mustermann" in str(problem) for problem in problems)
    (folder / "machines.csv").write_text(HEADER.replace(";", ","))
    problems = check(["machines"])
    assert len(problems) > 1
    assert all("separate its columns by source.delimiter, or, if" in str(p) for p in problems)


@pytest.mark.parametrize("packing", ["plain", "gz", "zip", "parquet"])
def test_without_a_contract_columns_are_checked_against_the_header(
    defs: Path, packing: str
) -> None:
    text = SHOWN_DIGITS.replace("grade", "graed") + "  clean: {where: {big: sise > 1}}\n"
    rows = "size,grade\n1,good\n2,bad\n"
    folder = defs / "apples"
    name = {"plain": "apples.csv", "parquet": "apples.parquet"}.get(
        packing, f"apples.csv.{packing}"
    )
    declare(defs, text.replace("apples.csv", name), "apples")
    match packing:
        case "plain":
            (folder / name).write_text(rows)
        case "gz":
            (folder / name).write_bytes(gzip.compress(rows.encode()))
        case "zip":
            with zipfile.ZipFile(folder / name, "w") as archive:
                archive.writestr("apples.csv", rows)
        case _:
            import pyarrow
            import pyarrow.parquet

            table = pyarrow.table({"size": [1, 2], "grade": ["good", "bad"]})
            pyarrow.parquet.write_table(table, folder / name)
    problems = check(["apples"])
    assert [problem.line for problem in problems] == [line_of(text, w) for w in ("graed", "sise")]
    assert "did you mean 'grade'?" in problems[0].message
    assert "did you mean 'size'?" in problems[1].message


def test_without_contract_or_data_columns_are_not_checked(defs: Path) -> None:
    declare(defs, SHOWN_DIGITS + "  clean: {where: {big: sise > 1}}\n", "apples")
    assert check(["apples"]) == []


def test_an_existing_file_that_cannot_be_read(defs: Path) -> None:
    folder = declare(defs, SHOWN_DIGITS, "apples")
    (folder / "apples.csv").write_text("a,a\n1,2\n")
    (problem,) = check(["apples"])
    assert problem.line == line_of(SHOWN_DIGITS, "source:")
    assert "two" in problem.message or "2 columns named 'a'" in problem.message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def lode(): ...\n", "has no 'load'; it has: lode"),
        ("load = 5\n", "is int, not a function"),
        ("import nonexistent_module\n", "nonexistent_module"),
        ("def load(:\n", "SyntaxError"),
        ("def load(): ...\n", ""),
    ],
)
def test_the_function_of_a_python_source_is_loaded(defs: Path, code: str, message: str) -> None:
    text = SHOWN_DIGITS.replace("{files: apples.csv}", '{python: "source:load"}')
    folder = declare(defs, text, "apples")
    (folder / "source.py").write_text(code)
    problems = check_folder(folder)
    if not message:
        assert problems == []
        return
    (problem,) = problems
    assert message in problem.message
    assert problem.line == line_of(text, "python")


def test_an_unknown_pipeline_name_has_a_suggestion(defs: Path) -> None:
    declare(defs, FULL)
    with pytest.raises(DeclarationError, match="did you mean 'machines'"):
        check(["machinse"])


def test_a_pipeline_name_in_two_folders_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = declare(tmp_path / "one", FULL)
    second = declare(tmp_path / "two", FULL)
    monkeypatch.setenv("FACTORY_DEFS", os.pathsep.join(str(f.parent) for f in (first, second)))
    (problem,) = check(["machines"])
    assert str(problem.file) == str(second / "defs.yaml")
    assert str(first) in problem.message
    assert [folder for folder in pipeline_folders() if folder.name == "machines"] == [first]


def test_a_missing_folder_in_factory_defs_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "nowhere"))
    (problem,) = check()
    assert str(tmp_path / "nowhere") in str(problem)


def test_problems_of_all_files_come_in_order(defs: Path) -> None:
    declare(defs, FULL.replace("mlp", "mlq").replace("Berlin", "Bern"), "b")
    declare(defs, FULL.replace("tier: high", "tier: h"), "a")
    problems = check()
    assert [(p.file.parent.name, p.line) for p in problems] == sorted(
        (p.file.parent.name, p.line) for p in problems
    )
    assert len(problems) == 3


def test_an_expression_whose_constants_take_too_long_does_not_stop_the_check(
    defs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine may compute constants before it reads a row."""
    monkeypatch.setattr(expressions, "_SECONDS", 1)
    slow = "levenshtein(lpad('a', 90000, 'a'), lpad('b', 90000, 'b'))"
    text = FULL.replace("torque * speed", f"torque * {slow}", 1)
    declare(defs, text)
    problems = check(["machines"])
    assert all("takes more than 1 s; simplify it" in problem.message for problem in problems)


def test_folders_and_files_in_which_no_pipeline_is_found(
    defs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = declare(defs, SHOWN_DIGITS, "apples")
    monkeypatch.setenv("FACTORY_DEFS", f"{folder}:{defs / 'gone'}")
    assert [(p.file, p.message.partition(";")[0]) for p in check()] == [
        (folder / "defs.yaml", "FACTORY_DEFS names the folder of one pipeline"),
        (defs / "gone", "FACTORY_DEFS names this folder, but it does not exist"),
    ]
    monkeypatch.setenv("FACTORY_DEFS", str(defs))
    assert check() == []
    (folder / "defs.yaml").rename(folder / "defs.yml")
    [problem] = check()
    assert (problem.file, problem.message) == (
        folder / "defs.yml",
        "this file is not read; rename it to defs.yaml",
    )
