"""`factory new` on typical data files: the declarations that it writes pass `check` and run."""

import gzip
import random
import re
import resource
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from factory_assets.cli.check.check import check_folder
from factory_assets.cli.new.new import commands_after, new
from factory_assets.cli.new.profile import profile
from factory_assets.cli.new.yaml_text import yaml_string
from factory_assets.declarations.loader import DEFS, load_pipeline
from factory_assets.declarations.yaml_document import parse
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.ingest import ingest
from factory_resources.errors import (
    DataError,
    DeclarationError,
    FactoryError,
    SourceError,
    StorageError,
)
from factory_resources.home.home import Home
from tests.long_run import in_long

_WORKBOOK = b"PK\x05\x06" + bytes(18)
"""As little of a workbook as is a zip."""


def _apples(rows: int = 120) -> str:
    chance = random.Random(5)
    lines = ["Apple ID,Size [cm],Weight,Bought,Farm,Ripe?,Kind code,Same,Grade"]
    for i in range(rows):
        good = chance.random() < 0.4
        size = chance.gauss(7 if good else 6, 0.5)
        weight = "NA" if i % 10 == 0 else f"{size * 20:.1f}"
        farm = chance.choice(["north", "south", "?"])
        day = f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}"
        ripe = str(good or i % 3 == 0).lower()
        cells = [f"A{i:05d}", f"{size:.2f}", weight, day, farm, ripe, str(i % 4 + 1), "x"]
        lines.append(",".join([*cells, "good" if good else "bad"]))
    return "\n".join(lines) + "\n"


def _declared(
    tmp_path: Path, data: str | bytes, *, name: str = "apples.csv", target: str = "Grade"
) -> PipelineSpec:
    file = tmp_path / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return _pipeline(tmp_path, file, target).spec


def _pipeline(tmp_path: Path, file: Path, target: str) -> Pipeline:
    written = new("apples", source=file, target=target, folder=tmp_path / "defs").path
    assert [str(problem) for problem in check_folder(written.parent)] == []
    return load_pipeline(written.parent)


def test_names_types_inputs_split_and_gates_are_chosen(tmp_path: Path) -> None:
    spec = _declared(tmp_path, _apples())
    assert spec.ingest.source.files == ("../../apples.csv",)  # type: ignore[union-attr]
    assert [(c.name, c.source_name, c.type) for c in spec.ingest.contract.columns] == [
        ("apple_id", "Apple ID", "string"),
        ("size", "Size [cm]", "float64"),
        ("Weight", "Weight", "float64"),
        ("Bought", "Bought", "date"),
        ("Farm", "Farm", "string"),
        ("ripe", "Ripe?", "bool"),
        ("kind_code", "Kind code", "int64"),
        ("Same", "Same", "string"),
        ("Grade", "Grade", "string"),
    ]
    assert spec.ingest.contract.columns[1].unit == "cm"
    assert spec.ingest.missing == ("", "?", "NA")
    assert all(
        column.range is None and column.values is None for column in spec.ingest.contract.columns
    )
    assert spec.training.exclude == ("apple_id", "Same")
    assert spec.clean.derive == {}
    assert spec.training.categorical == ("kind_code",)
    assert (spec.training.task, spec.split.time) == ("binary", "Bought")
    assert [gate.name for gate in spec.evaluate.conditions] == [
        "average_precision_better_than_trivial",
        "average_precision_no_worse_than_champion",
    ]
    assert spec.evaluate.slices == ("Farm",)


def test_the_declaration_is_short_and_explains_its_choices(tmp_path: Path) -> None:
    _declared(tmp_path, _apples())
    written = (tmp_path / "defs" / "apples" / "defs.yaml").read_text()
    assert len(written.splitlines()) < 45
    assert "10.0% missing" in written


@pytest.mark.parametrize(
    "packing", ["gz", "semicolon", "bom", "latin-1", *in_long(["zip", "tsv", "crlf"])]
)
def test_reads_packings_separators_and_encodings(tmp_path: Path, packing: str) -> None:
    data = _apples()
    match packing:
        case "gz":
            spec = _declared(tmp_path, gzip.compress(data.encode()), name="apples.csv.gz")
        case "zip":
            with zipfile.ZipFile(tmp_path / "apples.zip", "w") as archive:
                archive.writestr("data/apples.csv", data)
                archive.writestr("data/codes.csv", "a,b\n1,2\n")
                archive.writestr("readme.md", "about apples")
            spec = _pipeline(tmp_path, tmp_path / "apples.zip", "Grade").spec
            assert spec.ingest.source.member == "data/apples.csv"  # type: ignore[union-attr]
        case "tsv":
            spec = _declared(tmp_path, data.replace(",", "\t"), name="apples.tsv")
        case "semicolon":
            spec = _declared(tmp_path, data.replace(",", ";"))
        case "crlf":
            spec = _declared(tmp_path, data.replace("\n", "\r\n"))
        case "bom":
            spec = _declared(tmp_path, data.encode("utf-8-sig"))
        case _:
            spec = _declared(tmp_path, data.replace("north", "süd").encode("latin-1"))
            assert spec.ingest.source.encoding == "windows-1252"  # type: ignore[union-attr]
    assert len(spec.ingest.contract.columns) == 9


def test_a_file_without_a_header_line(tmp_path: Path) -> None:
    rows = "".join(
        f"{i % 50},{i % 7}.5,{'?' if i % 9 == 0 else i % 5},{i % 2}\n" for i in range(99)
    )
    with pytest.raises(DataError, match="no column 'y'") as caught:
        _declared(tmp_path, rows, target="y")
    assert "no header line" in str(caught.value)
    spec = _declared(tmp_path, rows, target="column_4")
    assert spec.ingest.source.header is False  # type: ignore[union-attr]
    assert spec.ingest.missing == ("", "?")


_IRIS = "".join(
    f"{5 + i % 7 / 10},{3 + i % 5 / 10},{1 + i % 3}.4,{('setosa', 'virginica')[i // 60]}\n"
    for i in range(120)
)
_MUSHROOMS = "".join(
    ",".join(("e" if i % 3 else "p", "xbs"[i % 3], "nyw"[i % 4 % 3], "tf"[i % 2], "x")) + "\n"
    for i in range(90)
)
_PEOPLE = "".join(
    f"{20 + i % 40}, {('Private', 'State-gov')[i % 2]}, {100 + i * i}, {'<>'[i % 3 % 2]}=50K\n"
    for i in range(90)
)
_DAYS = "".join(f"2024-01-{i % 28 + 1:02d},{i % 11}.5,{i % 2}\n" for i in range(60))


@pytest.mark.parametrize(
    ("rows", "target"),
    [
        (_IRIS, "column_4"),
        (_PEOPLE, "column_4"),
        *in_long(
            [
                (_MUSHROOMS, "column_1"),
                (_DAYS, "column_3"),
            ]
        ),
    ],
)
def test_a_first_line_of_texts_and_numbers_is_a_row(rows: str, target: str, tmp_path: Path) -> None:
    made = _pipeline_of(tmp_path, rows, target)
    assert made.spec.ingest.source.header is False  # type: ignore[union-attr]
    columns = made.spec.ingest.contract.columns
    assert [column.source for column in columns] == [f"column_{i + 1}" for i in range(len(columns))]
    assert ingest(made, Home(tmp_path / "home")).rows_read == rows.count("\n")
    text = (tmp_path / "defs" / "apples" / "defs.yaml").read_text()
    assert "header: false}  # line 1 is a row" in text


def _pipeline_of(tmp_path: Path, rows: str, target: str) -> Pipeline:
    (tmp_path / "rows.csv").write_text(rows)
    return _pipeline(tmp_path, tmp_path / "rows.csv", target)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("country,2019,2020,grade", "{c},{i}.5,{j},{g}"),
        ("sample,400.0,402.5,405.0,grade", "{c},0.{i},0.{j},1.{i},{g}"),
        (",size,grade", "{i},{j}.5,{g}"),
        *in_long(
            [
                ("country,2019,grade", "{c},{i}.5,{g}"),
                ("colour,shape,grade", "{c},{c},{g}"),
                ("day,grade", "2024-01-{day},{g}"),
                ("id,grade", "{c}{i},{g}"),
            ]
        ),
    ],
)
def test_a_first_line_of_names_stays_one(header: str, row: str, tmp_path: Path) -> None:
    rows = [
        row.format(c=("red", "blue")[i % 2], i=i, j=i % 7, g="ab"[i % 3 % 2], day=i % 28 + 1)
        for i in range(90)
    ]
    (tmp_path / "rows.csv").write_text("\n".join([header, *rows]) + "\n")
    assert profile(tmp_path / "rows.csv").rules.header


def test_a_draft_without_room_leaves_nothing_behind(tmp_path: Path) -> None:
    # A long path makes the declaration larger than the files that profiling writes.
    source = tmp_path.joinpath(*("far" * 60 for _ in range(8))) / "data.csv"
    source.parent.mkdir(parents=True)
    source.write_text("x,y\n" + "1,0\n2,1\n" * 30)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(StorageError, match=r"defs\.yaml: cannot write .* with --in$"):
            new("small", source=source, folder=tmp_path / "defs", target="y")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [*(tmp_path / "defs").iterdir()] == []
    path = new("small", source=source, folder=tmp_path / "defs", target="y").path
    assert path.stat().st_mode == source.stat().st_mode


def test_a_long_number_that_is_never_the_same_is_no_input(tmp_path: Path) -> None:
    rows = "".join(f"{10**11 + i * 7_919_777_771 % 10**10},{i % 7},{i % 2}\n" for i in range(100))
    spec = _declared(tmp_path, "listing,x,y\n" + rows, target="y")
    assert spec.training.exclude == ("listing",)


def test_a_running_row_number_is_no_input(tmp_path: Path) -> None:
    """Rows are missing from it, so that it does not count up evenly."""
    kept = [i for i in range(1, 300) if i % 7 and i % 11]
    rows = "".join(f"{i},{i}.0,{i * 37 % 100},{i % 13},{i % 3 % 2}\n" for i in kept)
    spec = _declared(tmp_path, "row,line,shuffled,x,y\n" + rows, target="y")
    assert spec.training.exclude == ("row", "line")


def test_a_measurement_that_is_there_twice_is_an_input_once(tmp_path: Path) -> None:
    heats = [i * 37 % 1009 / 8 for i in range(200)]
    rows = "".join(f"{h},{h},{h + 0.5},{i % 7 % 2}\n" for i, h in enumerate(heats))
    spec = _declared(tmp_path, "heat,again,shifted,y\n" + rows, target="y")
    assert spec.training.exclude == ("again",)


def test_a_column_written_after_the_outcome_is_excluded(tmp_path: Path) -> None:
    chance = random.Random(3)
    lines = ["planned,arrival,planned_at,arrived_at,distance,delay"]
    for _ in range(400):
        planned, delay = chance.randrange(1380), chance.randrange(0, 60)
        clocks = [f"{t // 60 * 100 + t % 60}" for t in (planned, planned + delay)]
        stamps = [f"2024-03-01 {t // 60:02d}:{t % 60:02d}:00" for t in (planned, planned + delay)]
        lines.append(",".join([*clocks, *stamps, str(chance.randrange(900)), f"{delay}.0"]))
    spec = _declared(tmp_path, "\n".join(lines) + "\n", target="delay")
    assert spec.training.exclude == ("arrival", "arrived_at")
    text = (tmp_path / "defs" / "apples" / "defs.yaml").read_text()
    assert "- arrival  # its difference with planned reveals the target" in text
    assert "- arrived_at  # its difference with planned_at reveals the target" in text


def test_of_two_columns_that_reveal_the_target_together_the_other_is_asked_about(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    games = [(chance.randrange(7), chance.randrange(7), chance.randrange(900)) for _ in range(600)]
    rows = [f"{crowd},{us},{them},{(us > them) - (us < them)}" for us, them, crowd in games]
    text = "crowd,home_goals,away_goals,won\n" + "\n".join(rows) + "\n"
    spec = _declared(tmp_path, text, target="won")
    [excluded] = spec.training.exclude
    [asked] = {"home_goals", "away_goals"} - {excluded}
    written = next(tmp_path.glob("**/defs.yaml")).read_text()
    why = f"its difference with {excluded} reveals the target"
    assert f"# {asked}: {why}. Is it known only after the outcome?" in written


@pytest.mark.parametrize(
    ("others", "asked"),
    [
        (("goood",), "# goood: fewer than 3 rows, too few for training, validation and test"),
        (("-", "-", "-"), "# '-': does it mean no value? Then add it to missing"),
        (("fair", "fair", "fair"), None),
    ],
)
def test_classes_that_may_be_none_are_asked_about(
    others: tuple[str, ...], asked: str | None, tmp_path: Path
) -> None:
    grades = [*others, *(("good", "bad")[i % 3 % 2] for i in range(120))]
    rows = "".join(f"{i * 7 % 11}.5,{grade}\n" for i, grade in enumerate(grades))
    spec = _declared(tmp_path, "size,grade\n" + rows, target="grade")
    assert spec.training.task == "multiclass"
    written = next(tmp_path.glob("**/defs.yaml")).read_text()
    assert (asked or "# ") in written
    assert ("fewer than" in written or "no value?" in written) == bool(asked)


def test_a_target_of_numbers_and_texts_is_told_which(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},{'failed' if i % 40 == 7 else f'{i * 1.25}'}\n" for i in range(200))
    (tmp_path / "data.csv").write_text("x,y\n" + rows)
    with pytest.raises(DataError, match="target 'y' has numbers, but also 'failed'; write"):
        new("apples", source=tmp_path / "data.csv", target="y", folder=tmp_path / "defs")


def test_a_target_spelt_in_several_ways_is_profiled_as_it_is_cleaned(tmp_path: Path) -> None:
    chance = random.Random(3)
    lines = ["day,income,paid_out,denied"]
    for i in range(400):
        denied = chance.random() < 0.4
        spelt = chance.choice(["Yes", "yes ", "YES"] if denied else ["No", "no", "NO"])
        if i == 399:  # After all rows that are learned from.
            spelt = "nO"
        day = f"{2024 + i // 336}-{i // 28 % 12 + 1:02d}-{i % 28 + 1:02d}"
        paid = 0 if denied else chance.randrange(1000, 9000)
        lines.append(f"{day},{chance.randrange(900)},{paid},{spelt}")
    spec = _declared(tmp_path, "\n".join(lines) + "\n", target="denied")
    assert (spec.training.task, spec.clean.unify) == ("binary", ("denied",))
    assert spec.training.exclude == ("paid_out",)
    assert spec.split.time == "day"


@pytest.mark.parametrize(("classes", "rows"), [(3, 30), (51, 816), (60, 960)])
def test_a_code_of_the_class_is_no_input_and_no_group(
    classes: int, rows: int, tmp_path: Path
) -> None:
    lines = [f"{i % classes * 3 + 1},{i * 7 % 13},kind {i % classes}" for i in range(rows)]
    spec = _declared(tmp_path, "\n".join(["code,x,kind", *lines]) + "\n", target="kind")
    assert spec.training.exclude == ("code",)
    assert spec.split.group is None


def test_many_columns_that_reveal_much_are_asked_about_together(tmp_path: Path) -> None:
    chance = random.Random(5)
    names = [f"nm_{900 + i}" for i in range(13)]
    lines = [",".join([*names, "protein"])]
    for _ in range(120):
        protein = chance.uniform(8, 16)
        bands = [f"{chance.gauss(protein, 0.5):.3f}" for _ in names]
        lines.append(",".join([*bands, f"{protein:.2f}"]))
    _declared(tmp_path, "\n".join(lines) + "\n", target="protein")
    written = next(tmp_path.glob("**/defs.yaml")).read_text()
    assert written.count("Is it known only after the outcome?") == 10
    others = "# suspected as well: [nm_910, nm_911, nm_912]. Are they known only after the outcome?"
    assert others in written


def test_parts_of_a_sum_are_kept_if_nothing_else_is_left(tmp_path: Path) -> None:
    rows = [(i * 37 % 101, i * 53 % 97) for i in range(300)]
    text = "a,b,total\n" + "".join(f"{a},{b},{a + b}\n" for a, b in rows)
    assert _declared(tmp_path, text, target="total").training.exclude == ()
    written = next(tmp_path.glob("**/defs.yaml")).read_text()
    assert "# a: its sum with b reveals the target. Is it known only after the outcome?" in written


def test_whole_numbers_in_few_rows_each_are_no_classes(tmp_path: Path) -> None:
    rows = "".join(f"{i * 7 % 11}.5,{i * 13 % 17}\n" for i in range(40))
    assert _pipeline_of(tmp_path, "x,bills\n" + rows, "bills").spec.training.task == "regression"


def test_a_number_as_target_makes_a_regression(tmp_path: Path) -> None:
    rows = "".join(f"{i % 13},{i * 1.5}\n" for i in range(400))
    spec = _declared(tmp_path, "x,y\n" + rows, target="y")
    assert (spec.training.task, spec.split.stratify, spec.evaluate.metric) == (
        "regression",
        None,
        "rmse",
    )
    assert spec.training.model.kind == "auto"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("visit", "patient"),
    [
        ("visit_id", "patient_nbr"),
        ("Aufnahme_Nr", "Pat_Nr"),
        *in_long(
            [
                ("Fallnummer", "Patientennummer"),
                ("Beleg", "KdNr"),
            ]
        ),
    ],
)
def test_rows_of_one_patient_are_split_by_group(tmp_path: Path, visit: str, patient: str) -> None:
    days = [f"2026-{i // 50 + 1:02}-{i // 2 % 25 + 1:02}" for i in range(600)]
    rows = "".join(
        f"{i},{1000 + i // 2},{day},{i % 7},{'sick' if i % 3 else 'well'}\n"
        for i, day in enumerate(days)
    )
    spec = _declared(tmp_path, f"{visit},{patient},date,x,y\n{rows}", target="y")
    assert (spec.split.group, spec.split.time) == (patient, None)
    assert spec.split.stratify is None
    assert spec.training.exclude == (visit, patient)


def test_a_target_that_is_often_missing_raises_the_quarantine_limit(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},{'' if i % 5 else ('a' if i % 10 else 'b')}\n" for i in range(500))
    spec = _declared(tmp_path, "x,y\n" + rows, target="y")
    assert spec.ingest.max_quarantine == 0.85
    assert spec.ingest.contract.columns[1].nullable is False


def test_column_names_become_unique_and_valid(tmp_path: Path) -> None:
    names = [
        "a b",
        "A_b",
        'quo"te',
        "select",
        "größe",
        "日本",
        "2nd",
        "_x",
        "on",
        "x: y",
        "# c",
        "y",
    ]
    header = ",".join(f'"{name}"'.replace('"quo"te"', '"quo""te"') for name in names)
    rows = "".join(
        ",".join([str((i * k) % 11) for k in range(1, 12)] + [f"{i % 2}"]) + "\n" for i in range(60)
    )
    spec = _declared(tmp_path, f"{header}\n{rows}", target="y")
    assert [column.source_name for column in spec.ingest.contract.columns] == names
    declared = [column.name for column in spec.ingest.contract.columns]
    assert len({name.lower() for name in declared}) == len(names)
    assert declared[:8] == [
        "a_b",
        "A_b_2",
        "quo_te",
        "select",
        "grosse",
        "column_6",
        "column_2nd",
        "x",
    ]


def test_numbers_near_the_largest_end_in_a_draft_without_warnings(tmp_path: Path) -> None:
    numbers = [(-1.7e308, 1.7e308, i / 7)[i % 3] for i in range(120)]
    different = [(-1.7e308, 1.7e308, 0)[i % 3] + i * 1e304 for i in range(120)]
    cells = zip(numbers, numbers[::-1], different, strict=True)
    rows = "".join(f"{one},{other},{third}\n" for one, other, third in cells)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _declared(tmp_path, f"a,b,c\n{rows}", target="b").training.task == "regression"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("Grad", "did you mean 'Grade'?"),
        ("Same", "is 'x' in every row"),
        ("Apple ID", "120 different texts in 120 rows"),
        ("Bought", "is a date"),
    ],
)
def test_a_wrong_target_is_an_error(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        _declared(tmp_path, _apples(), target=target)
    assert message in str(caught.value)
    assert not (tmp_path / "defs").exists()


def test_a_target_that_is_one_value_or_blank_is_told_so(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7},{'x' if i % 3 else ''}\n" for i in range(60))
    with pytest.raises(DataError, match=r"is 'x' or has no value.*if no value means something"):
        _declared(tmp_path, f"size,bought\n{rows}", target="bought")


def test_a_date_that_is_no_target_is_told_as_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="target 'b' is 2024-05-01 in every row"):
        _declared(tmp_path, "a,b\n" + "1.5,2024-05-01\n2.5,2024-05-01\n" * 5, target="b")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"x,y\n", "no rows"),
        ("a.csv", b"x,y\n1,2\n3\n", "column"),
        ("a.parquet", b"PAR1 not really", "a.parquet"),
        ("a.csv.gz", b"\x1f\x8b not really", "a.csv.gz"),
        ("a.zip", b"PK not really", "a.zip"),
        ("a.xlsx", b"PK", "save the sheet as CSV"),
        ("a.xlsx", _WORKBOOK, "has a format that the factory does not read; save the sheet as CSV"),
        ("a.json", b"[]", "write one object a line"),
        ("a.csv.bz2", b"BZh9", "unpack it"),
        ("a.db", b"SQLite format 3", '"sqlite:PATH", table: NAME}, or write it as CSV'),
        ("a.duckdb", b"DUCK", "COPY NAME TO 'name.parquet'"),
        ("a.feather", b"ARROW1", "or read it by a function: source.python"),
        ("a.txt", b"x  y\na b  1\nc  2\n", "each line is read as one value"),
        ("a.rows", b"x,y\n1,2\n", "rename it"),
        ("a.csv", b"y\n0\n1\n", "no column is left"),
    ],
)
def test_a_wrong_file_is_an_error_of_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(FactoryError) as caught:
        _declared(tmp_path, content, name=name, target="y")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "defs").exists()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a file"):
        new("apples", source=tmp_path / "no.csv", target="y", folder=tmp_path / "defs")


@pytest.mark.parametrize("address", ["postgresql://u:s3cret@db/bank", "sqlite:bank.db", "s3://b/k"])
def test_an_address_is_told_from_a_file_that_is_missing(address: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is an address") as caught:
        new("bank", source=Path(address), target="y", folder=tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Apples", "a-b", "../x", "", "1a", "a" * 65, "class", "type"])
def test_a_wrong_pipeline_name_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeclarationError, match="is not a valid pipeline name"):
        new(name, source=tmp_path / "no.csv", target="y", folder=tmp_path / "defs")


def test_an_existing_pipeline_is_not_overwritten(tmp_path: Path) -> None:
    _declared(tmp_path, _apples())
    file = tmp_path / "defs" / "apples" / "defs.yaml"
    file.write_text("mine")
    with pytest.raises(DeclarationError, match="exists already"):
        new("apples", source=tmp_path / "apples.csv", target="Grade", folder=tmp_path / "defs")
    with pytest.raises(DeclarationError, match="exists already"):
        new("machine_failure", source=tmp_path / "x.csv", target="y", folder=tmp_path / "defs")
    assert file.read_text() == "mine"


def test_a_file_far_away_is_declared_by_its_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "apples.csv").write_text(_apples())
    folder = tmp_path / "near" / "factory" / "defs"
    new("apples", source=tmp_path / "far" / "apples.csv", target="Grade", folder=folder)
    files = load_pipeline(folder / "apples").spec.ingest.source.files  # type: ignore[union-attr]
    assert files == (str(tmp_path / "far" / "apples.csv"),)


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "two words",
        "yes",
        "null",
        "1.5",
        "a: b",
        "a #b",
        "- a",
        "ü",
        "[x]",
        '"',
        "'",
        "\t",
        "*",
        "",
    ],
)
def test_text_is_read_back_unchanged(value: str) -> None:
    assert parse(
        f"a: {yaml_string(value)}\nb: {{c: {yaml_string(value)}, d: 1}}\n".encode()
    ).data == {
        "a": value,
        "b": {"c": value, "d": 1},
    }


AI4I_EXCLUDED = ("UDI", "product_id", "TWF", "HDF", "PWF", "OSF")
"""Identifiers, and the kinds of failure that give a failure away."""


@pytest.mark.parametrize(
    ("file", "target", "excluded"),
    [
        ("ai4i2020/ai4i2020.csv", "Machine failure", AI4I_EXCLUDED),
        ("heart_disease/processed.cleveland.data", "column_14", ()),
        *in_long(
            [
                ("cmapss/train_FD001.txt", "column_2", None),
            ]
        ),
    ],
)
def test_real_files_are_declared(
    tmp_path: Path, real_data: Path, file: str, target: str, excluded: tuple[str, ...] | None
) -> None:
    spec = _pipeline(tmp_path, real_data / file, target).spec
    assert excluded is None or spec.training.exclude == excluded


@pytest.mark.long
@pytest.mark.slow
def test_a_real_zip_is_declared(tmp_path: Path, real_data: Path) -> None:
    file = real_data / "diabetes130" / "dataset_diabetes.zip"
    spec = _pipeline(tmp_path, file, "readmitted").spec
    assert spec.split.group == "patient_nbr"
    assert "?" in spec.ingest.missing


@pytest.mark.slow
def test_the_declared_pipeline_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from factory_assets.cli.run import run
    from factory_assets.cli.shared import RunSelection

    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    _declared(tmp_path, _apples(400))
    console: Any = Console(record=True, width=120)
    run(RunSelection(["apples"]), console)
    assert "champion" in console.export_text()


def test_personal_columns_are_declared_sensitive_and_their_values_not_shown(tmp_path: Path) -> None:
    rows = [f"{i},Ann{i % 3},ann{i}@example.org,{i % 7},{i % 2}" for i in range(60)]
    (tmp_path / "people.csv").write_text("\n".join(["id,vorname,mail,age,back", *rows]) + "\n")
    made = new("people", source=tmp_path / "people.csv", target="back", folder=tmp_path / "defs")
    file = made.path
    levels = {c.name: c.sensitive for c in load_pipeline(file.parent).spec.ingest.contract.columns}
    assert [name for name, level in levels.items() if level == "personal"] == ["vorname", "mail"]
    text = file.read_text()
    assert "Ann" not in text
    inputs = [line for line in text.splitlines() if "It is an input: add it to train" in line]
    assert [re.findall(r"\{name: (\w+)", line) for line in inputs] == [["vorname"]]
    assert check_folder(file.parent) == []


@pytest.mark.parametrize("people", [6, 60])
def test_names_of_inspectors_are_personal_and_no_slices(people: int, tmp_path: Path) -> None:
    names = [f"{'ABCDEFGHIJ'[i % 10]}nna Mei{'aeiou'[i // 10 % 5]}er" for i in range(people)]
    rows = [f"{names[i * 7 % people]},{i * 5 % 11},{i % 2}" for i in range(300)]
    spec = _declared(tmp_path, "\n".join(["Prüfer,x,y", *rows]) + "\n", target="y")
    assert spec.ingest.contract.columns[0].sensitive == "personal"
    assert spec.evaluate.slices == ()
    assert "nna" not in next(tmp_path.glob("**/defs.yaml")).read_text()


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_no_name_is_quoted_beside_what_it_reveals(share: float, tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = []
    for i in range(600):
        ann = chance.random() < share / 2
        kind = "lost" if ann else chance.choice(["kept", "sold"])
        rows.append(f"{'Anna' if ann else 'Bert'},{i * 7 % 11},{kind}")
    _declared(tmp_path, "\n".join(["vorname,x,y", *rows]) + "\n", target="y")
    written = next(tmp_path.glob("**/defs.yaml")).read_text()
    assert "has one of its values" in written
    assert "Anna" not in written


@pytest.mark.parametrize(
    ("name", "values", "slices"),
    [
        ("Prüfer", "Meier Muster Vogt", ()),
        ("contact", "cellular telephone", ("contact",)),
        *in_long(
            [
                ("Melder", "AB CD", ()),
                ("Werk", "Aachen Ulm", ("Werk",)),
            ]
        ),
    ],
)
def test_surnames_and_initials_are_no_slices(
    name: str, values: str, slices: tuple[str, ...], tmp_path: Path
) -> None:
    names = values.split()
    rows = [f"{names[i * 7 % len(names)]},{i * 5 % 11},{i // 3 % 2}" for i in range(300)]
    spec = _declared(tmp_path, "\n".join([f"{name},x,y", *rows]) + "\n", target="y")
    assert {*spec.evaluate.slices} == {one.replace("ü", "u") for one in slices}


@pytest.mark.parametrize(
    ("shares", "task"),
    [
        ([300, 260, 180, 90, 41, 20, 9, 10, 3, 1], "regression"),
        ([300, 10, 20, 0, 0, 80, 0, 0, 0, 0, 60, 0, 20, 0, 15], "regression"),
        ([300, 260, 60, 3, 30, 45, 60, 20], "multiclass"),
        ([300, 260, 90, 40, 10, 3], "multiclass"),
        *in_long(
            [
                ([90, 260, 180, 90, 41, 20, 9, 3], "regression"),
                ([0, 0, 0, 20, 60, 90, 100, 80, 70, 40], "regression"),
                ([0, 100, 95, 90, 90, 85, 80, 80], "multiclass"),
            ]
        ),
    ],
)
def test_whole_numbers_that_are_no_codes_are_predicted_as_numbers(
    shares: list[int], task: str, tmp_path: Path
) -> None:
    chance = random.Random(3)
    numbers = [number for number, rows in enumerate(shares) for _ in range(rows)]
    chance.shuffle(numbers)
    lines = "".join(f"{chance.gauss(number, 2):.3f},{number}\n" for number in numbers)
    assert _declared(tmp_path, "age,visits\n" + lines, target="visits").train.task == task
    [written] = (tmp_path / "defs").rglob("defs.yaml")
    assert ("unlike class codes" in written.read_text()) == (task == "regression")
    asked = "# whole numbers, like class codes; if they measure or count: regression"
    assert (asked in written.read_text()) == (task == "multiclass" and sum(map(bool, shares)) > 6)


@pytest.mark.parametrize("target", ["wide", "y"])
def test_numbers_beyond_what_floats_tell_apart_are_profiled(target: str, tmp_path: Path) -> None:
    chance = random.Random(3)
    lines = "".join(
        f"{x:.3f},{x + chance.gauss(0, 1):.2f},{10**18 + int(x * 1e17) + 1}\n"
        for x in (chance.gauss(0, 1) for _ in range(120))
    )
    spec = _declared(tmp_path, "x,y,wide\n" + lines, target=target)
    assert spec.train.task == "regression"


def test_values_of_several_lines_are_quoted_in_one(tmp_path: Path) -> None:
    chance = random.Random(4)
    rows = []
    for _ in range(400):
        ill = chance.random() < 0.2
        note = "line one\nline two" if ill and chance.random() < 0.8 else chance.choice("uv")
        room = f"hall\u2028{chance.randrange(2)}" if ill and chance.random() < 0.3 else ""
        rows.append(f'"{note}","{room}",{chance.random():.3f},{"yes" if ill else "no"}')
    spec = _declared(tmp_path, "\n".join(["note,room,x,ill", *rows]) + "\n", target="ill")
    assert spec.training.exclude == ("note", "room")
    written = (tmp_path / "defs" / "apples" / "defs.yaml").read_text()
    assert "- note  # where it is line one line two, the target is yes" in written
    assert all(line.isprintable() for line in written.split("\n"))


@pytest.mark.parametrize(
    ("named", "first"),
    [
        ("{own}", ""),
        ("", "export FACTORY_DEFS={own} && "),
        ("/srv/a b:", "export FACTORY_DEFS='/srv/a b:{own}' && "),
    ],
    ids=["named already", "none is named", "another one is named"],
)
def test_what_comes_next_finds_a_pipeline_in_a_folder_that_nothing_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, first: str
) -> None:
    own = tmp_path / "own"
    monkeypatch.setenv("FACTORY_DEFS", named.format(own=own))
    expected = f"{first.format(own=own)}factory check apples && factory run apples"
    assert commands_after("apples", own) == expected
    assert commands_after("apples", DEFS) == "factory check apples && factory run apples"
