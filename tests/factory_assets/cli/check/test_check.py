"""What `factory check` finds beyond one file: SQL, Python, headers, names in two places."""

import gzip
import os
import zipfile
from pathlib import Path

import pytest

from factory_assets.cli.check.check import check, check_folder
from factory_assets.declarations.loader import pipeline_folders
from factory_resources.errors import DeclarationError
from tests.factory_assets.declarations.cases import FULL, SHORT, declare, line_of

HEADER = "Torque [Nm];speed;kind;failed\n1.5;2;L;0\n"


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


def test_nor_does_it_mind_them(defs: Path) -> None:
    folder = declare(defs, FULL)
    (folder / "machines.csv").write_text(HEADER)
    assert check(["machines"]) == []


@pytest.mark.parametrize(
    ("old", "new", "on_line", "message"),
    [
        ("speed > 0", "spedd > 0", "turning", "no column 'spedd'; did you mean 'speed'?"),
        ("speed > 0", "speed >", "turning", "no SQL expression"),
        ("speed > 0", "speed + 1", "turning", "yields BIGINT, not true or false"),
        ("speed > 0", "(SELECT true)", "turning", "a subquery"),
        ("speed > 0", "sqroot(speed) > 0", "turning", "no function 'sqroot'"),
        ("speed > 0", "speed > power", "turning", "no column 'power'"),
        ("torque * speed", "read_text('/etc/passwd')", "power:", "read_text"),
        ("torque * speed", "torque * kind", "power:", "*"),
        ("power: torque", "speed: torque", "speed: torque", "exists already"),
        (
            "values: [L, M, H]",
            "values: [L, M, H]\n        range: [0, 1]",
            "        range:",
            "needs a number",
        ),
        (
            "failed, type: int64, values: [0, 1]",
            "failed, type: int64, values: [x]",
            "[x]",
            "no int64",
        ),
        (
            "{name: speed,",
            "{name: Failed, type: int64}\n      - {name: speed,",
            "failed,",
            "in case",
        ),
        ("{kind: mlp, hidden: [8, 4]", '{python: "net:Net"', "python", "cannot import 'net'"),
    ],
)
def test_mistake(defs: Path, old: str, new: str, on_line: str, message: str) -> None:
    assert old in FULL
    text = FULL.replace(old, new, 1)
    declare(defs, text)
    found = check(["machines"])
    assert len(found) == 1, [str(problem) for problem in found]
    assert message in found[0].message
    assert found[0].line == line_of(text, on_line)


def test_metrics_that_the_task_does_not_have(defs: Path) -> None:
    text = FULL.replace("target: failed", "target: failed\n    task: regression")
    declare(defs, text)
    found = check(["machines"])
    lines = [i for i, line in enumerate(text.splitlines(), 1) if "metric: roc_auc" in line]
    assert [problem.line for problem in found] == lines
    assert "'roc_auc' is no metric of regression; valid: rmse" in found[0].message


def test_derived_columns_see_those_before_them(defs: Path) -> None:
    text = FULL.replace("power: torque * speed", "power: torque * speed\n      half: power / 2")
    declare(defs, text)
    assert check(["machines"]) == []
    turned = text.replace(
        "power: torque * speed\n      half: power / 2", "half: power / 2\n      power: torque"
    )
    declare(defs, turned)
    assert [p.line for p in check(["machines"])] == [line_of(turned, "half:")]


def test_contract_column_that_the_file_has_not(defs: Path) -> None:
    folder = declare(defs, FULL)
    (folder / "machines.csv").write_text(HEADER.replace("speed", "spede"))
    (problem,) = check(["machines"])
    assert problem.line == line_of(FULL, "name: speed")
    assert "no column 'speed' in machines.csv; did you mean 'spede'?" in problem.message


@pytest.mark.parametrize("packing", ["plain", "gz", "zip", "parquet"])
def test_without_a_contract_the_header_tells_the_columns(defs: Path, packing: str) -> None:
    text = SHORT.replace("grade", "graed") + "  clean: {where: {big: sise > 1}}\n"
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
    found = check(["apples"])
    assert [problem.line for problem in found] == [line_of(text, w) for w in ("graed", "sise")]
    assert "did you mean 'grade'?" in found[0].message
    assert "did you mean 'size'?" in found[1].message


def test_without_contract_or_data_columns_are_not_judged(defs: Path) -> None:
    declare(defs, SHORT + "  clean: {where: {big: sise > 1}}\n", "apples")
    assert check(["apples"]) == []


def test_file_that_is_there_and_cannot_be_read(defs: Path) -> None:
    folder = declare(defs, SHORT, "apples")
    (folder / "apples.csv").write_text("a,a\n1,2\n")
    (problem,) = check(["apples"])
    assert problem.line == line_of(SHORT, "source:")
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
def test_python_source(defs: Path, code: str, message: str) -> None:
    text = SHORT.replace("{files: apples.csv}", '{python: "source:load"}')
    folder = declare(defs, text, "apples")
    (folder / "source.py").write_text(code)
    found = check_folder(folder)
    if not message:
        assert found == []
        return
    (problem,) = found
    assert message in problem.message
    assert problem.line == line_of(text, "python")


def test_unknown_name_has_a_suggestion(defs: Path) -> None:
    declare(defs, FULL)
    with pytest.raises(DeclarationError, match="did you mean 'machines'"):
        check(["machinse"])


def test_same_name_in_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = declare(tmp_path / "one", FULL)
    second = declare(tmp_path / "two", FULL)
    monkeypatch.setenv("FACTORY_DEFS", os.pathsep.join(str(f.parent) for f in (first, second)))
    (problem,) = check(["machines"])
    assert str(problem.file) == str(second / "defs.yaml")
    assert str(first) in problem.message
    assert [folder for folder in pipeline_folders() if folder.name == "machines"] == [first]


def test_folder_in_the_environment_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "nowhere"))
    (problem,) = check()
    assert str(tmp_path / "nowhere") in str(problem)


def test_problems_of_all_files_come_in_order(defs: Path) -> None:
    declare(defs, FULL.replace("mlp", "mlq").replace("Berlin", "Bern"), "b")
    declare(defs, FULL.replace("tier: high", "tier: h"), "a")
    found = check()
    assert [(p.file.parent.name, p.line) for p in found] == sorted(
        (p.file.parent.name, p.line) for p in found
    )
    assert len(found) == 3
