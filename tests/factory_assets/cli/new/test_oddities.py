"""`factory new` asks about values that may mean "no value"."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from factory_assets.cli.check.check import check_folder
from factory_assets.declarations.loader import load_pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted
from tests.long_run import in_long

_ASKED = ": does it mean no value? Then add it to missing"

_COUNT_AS_NONE = "the texts in missing count as no value: is that right?"


def _comment(tmp_path: Path, header: str, cell: Callable[[random.Random, int], object]) -> str:
    """Return the comment on a column of 200 rows with such cells."""
    chance = random.Random(3)
    rows = [f'"{cell(chance, i)}",{chance.random():.3f},{chance.choice("ny")}' for i in range(200)]
    drafted(tmp_path, "\n".join([f"{header},size,ill", *rows]) + "\n", "ill")
    [line] = [line for line in draft_text(tmp_path).splitlines() if f"name: {header}" in line]
    return line.partition("  # ")[2]


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        (lambda c, i: -999 if i < 7 else c.randrange(90, 180), "-999 in 7 rows"),
        (lambda c, i: 99 if i < 3 else c.randrange(2), "99 in 3 rows"),
        (lambda c, i: -3.4028235e38 if i < 7 else c.random(), "-3.4028235e+38 in 7 rows"),
        (lambda c, i: -999 if i < 1 else c.randrange(90, 180), ""),
        (lambda c, i: 99 if i < 7 else c.randrange(100), ""),
        (lambda c, i: 999.9 if i < 7 else round(c.uniform(0, 20), 1), "999.9 in 7 rows"),
        (lambda c, i: (97, 98, 99, 99)[i] if i < 4 else c.randrange(1, 6), "97, 98, 99 in 4 rows"),
        (lambda c, i: -98 + i % 2 if i < 9 else c.randrange(1, 6), "-98, -97 in 9 rows"),
        (lambda c, i: (97, 99)[i % 2] if i < 9 else c.randrange(18, 90), ""),
        *in_long(
            [
                (lambda c, i: -9999.0 if i < 2 else round(c.gauss(0, 3), 2), "-9999 in 2 rows"),
                (lambda c, i: 999 if i % 2 else c.randrange(5), "999 in 100 rows"),
                (lambda c, i: f"{999 if i < 3 else c.randrange(50)},5 kg", ""),
                (lambda c, i: 999 if i < 7 else c.randrange(500, 1200), ""),
                (lambda c, i: 99 if i < 7 else 0, ""),
            ]
        ),
    ],
)
def test_numbers_of_nines_far_from_the_others(
    cell: Callable[[random.Random, int], object], asked: str, tmp_path: Path
) -> None:
    comment = _comment(tmp_path, "pressure", cell)
    far = "are" if "," in asked else "is"
    assert (f"{asked} {far} far from the others{_ASKED}" in comment) == bool(asked), comment
    assert (_ASKED in comment) == bool(asked)


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        (lambda c, i: ("n/v", "zu alt")[i % 2] if i < 9 else c.randrange(90), {"n/v", "zu alt"}),
        (lambda c, i: "other" if i < 9 else c.randrange(20), set()),
        (lambda c, i: f"{c.randrange(100):03}" if i else "n/v", set()),
        *in_long(
            [
                (lambda c, i: "n/v" if i % 2 else round(c.random(), 2), {"n/v"}),
                (lambda c, i: ("n/v", "zu alt")[i % 2] if i < 20 else c.randrange(90), set()),
                (lambda c, i: f"V{c.randrange(60, 70)}" if i < 9 else c.randrange(250, 300), set()),
                (lambda c, i: c.randrange(10**30), set()),
                (lambda c, i: "1O5" if i == 3 else c.randrange(90), {"1O5"}),
            ]
        ),
    ],
)
def test_few_texts_among_many_numbers_count_as_no_value(
    cell: Callable[[random.Random, int], object], texts: set[str], tmp_path: Path
) -> None:
    assert (_COUNT_AS_NONE in _comment(tmp_path, "level", cell)) == bool(texts)
    columns = load_pipeline(tmp_path / "defs" / "drafted").spec.ingest.contract.columns
    [level] = [column for column in columns if column.name == "level"]
    assert {*level.missing} == texts
    assert (level.type == "string") == (not texts)


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ("diagnosis", ("V57", "E11", "E11.9")),
        ("house", ("12a", "7c")),
        ("StockCode", ("POST", "M")),
        *in_long(
            [
                ("age", ("90+",)),
                ("version", ("1.2.3", "2.0.1")),
                ("room", ("12-B", "300-A")),
                ("error_code", ("X",)),
            ]
        ),
    ],
)
def test_a_few_codes_among_many_numbers_stay_what_they_are(
    header: str, texts: tuple[str, ...], tmp_path: Path
) -> None:
    told = _comment(
        tmp_path, header, lambda c, i: texts[i % len(texts)] if i < 9 else c.randrange(90)
    )
    assert all(repr(text) in told for text in texts)
    assert "if these are no codes, write numbers alone" in told
    columns = load_pipeline(tmp_path / "defs" / "drafted").spec.ingest.contract.columns
    [codes] = [column for column in columns if column.source_name == header]
    assert (codes.type, codes.missing) == ("string", ())


def test_a_name_in_one_word_is_that_of_a_code_too(tmp_path: Path) -> None:
    _comment(tmp_path, "StoreID", lambda c, i: c.randrange(9))
    assert load_pipeline(tmp_path / "defs" / "drafted").spec.training.categorical == ("StoreID",)


def test_a_target_of_codes_among_many_numbers_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7}.5,{'V57' if i % 40 == 7 else i}\n" for i in range(200))
    with pytest.raises(DataError, match="'load' has numbers, but also 'V57'; write numbers"):
        drafted(tmp_path, "size,load\n" + rows, "load")


def test_a_draft_quotes_no_text_among_personal_numbers(tmp_path: Path) -> None:
    comment = _comment(
        tmp_path,
        "phone",
        lambda c, i: "Erika Muster" if i < 3 else c.randrange(3 * 10**7, 4 * 10**7),
    )
    assert "personal data?" in comment
    assert "Muster" not in draft_text(tmp_path)


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        (lambda c, i: f"{c.randrange(20, 90)}{'k' if i % 2 else '000'}", "k"),
        (lambda c, i: f"{c.randrange(1, 90)}{' %' if i % 9 else ''}", "%"),
        (lambda c, i: f"{c.randrange(1, 90)} kg" if i % 9 else "0", ""),
        (lambda c, i: f"{c.randrange(1, 90)}{' €' if i % 9 else ''}", ""),
    ],
)
def test_numbers_without_the_unit_of_the_others_are_asked_about(
    cell: Callable[[random.Random, int], object], asked: str, tmp_path: Path
) -> None:
    question = f"some numbers have no {asked}: do they mean the same?"
    assert (question in (comment := _comment(tmp_path, "pay", cell))) == bool(asked), comment


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (lambda c, i: f"{c.randrange(90)}{'.' if i == 9 else ','}5", True),
        (lambda c, i: f"{c.randrange(90)},5", False),
        (lambda c, i: f"1.2{i % 7}{'.5' if i else ',5'}", False),
    ],
)
def test_a_number_with_another_decimal_mark_among_numbers(
    cell: Callable[[random.Random, int], object], told: bool, tmp_path: Path
) -> None:
    comment = _comment(tmp_path, "level", cell)
    assert ("of which 1 is written with a point, such as '" in comment) == told, comment


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (
            lambda c, i: f"{i + 1:02}/03/2024" if i < 7 else f"2024-01-{i % 28 + 1:02}",
            "2024-01-01', but 7 values are not, such as '01/03/2024'",
        ),
        (
            lambda c, i: "offen" if i < 2 else f"{i % 28 + 1}.{i % 12 + 1}.2024 8:20",
            "1.1.2024 8:20', but 2 values are not, such as 'offen'",
        ),
        (lambda c, i: f"{c.randrange(10, 99)}.1.{i}{'b' * (i < 9)}", ""),
    ],
)
def test_dates_that_others_keep_from_being_read(
    cell: Callable[[random.Random, int], object], told: str, tmp_path: Path
) -> None:
    comment = _comment(tmp_path, "ordered", cell)
    how = ": write all of them in one way, and nothing where there is none, to get dates"
    assert (f"dates such as '{told}{how}" in comment) == bool(told), comment
    assert ("dates" in comment) == bool(told), comment


def test_dates_with_months_in_another_language_are_not_advised_to_be_alike(tmp_path: Path) -> None:
    words = ("août", "juin", "mai")
    comment = _comment(
        tmp_path, "ordered", lambda c, i: f"{i % 28 + 1} {words[i % 3]} 2024" if i else "le 1er mai"
    )
    told = "months are read in English and German, and not 'août'; write them as numbers"
    assert told in comment, comment
    assert "one way" not in comment, comment


def test_values_about_a_person_are_not_quoted(tmp_path: Path) -> None:
    assert "n/v" not in _comment(tmp_path, "phone", lambda c, i: "n/v" if i < 9 else 300 + i)


@pytest.mark.parametrize(
    "texts", [("n.b.", "-", "k.A.", "unbekannt", "."), *in_long([(("n.b.",),), (("n.b.", "-"),)])]
)
def test_numbers_beside_known_tokens_are_numbers(texts: tuple[str, ...], tmp_path: Path) -> None:
    comment = _comment(
        tmp_path,
        "level",
        lambda c, i: (
            texts[i % len(texts)] if i % 9 == 0 else f"{c.randrange(90)},{c.randrange(10)}"
        ),
    )
    spec = load_pipeline(tmp_path / "defs" / "drafted").spec
    assert "level" in spec.clean.derive
    [level] = [c for c in spec.ingest.contract.columns if c.source_name == "level"]
    assert {*texts} == {*level.missing}
    assert _ASKED not in comment


@pytest.mark.parametrize(
    ("number", "texts", "kind"),
    [
        ("{},{}", ("zu klein", "-", "n.b."), "float64"),
        ("{}.{}", ("n.n.", "<1"), "float64"),
        ("1{}{}", ("zu alt",), "int64"),
        *in_long(
            [
                ("{},{}", ("zu hoch", "<1", "<2", ">90", "defekt"), "float64"),
                ("1.0{0:02},{1}", ("~", "zu hoch"), "float64"),
            ]
        ),
    ],
)
def test_texts_among_numbers_become_no_values(
    number: str, texts: tuple[str, ...], kind: str, tmp_path: Path, home: Home
) -> None:
    def cell(chance: random.Random, i: int) -> str:
        given = number.format(chance.randrange(90), chance.randrange(10))
        return texts[i % len(texts)] if i < 10 else given

    assert _COUNT_AS_NONE in _comment(tmp_path, "level", cell)
    pipeline = load_pipeline(tmp_path / "defs" / "drafted")
    values = column(clean(pipeline, ingest(pipeline, home), home).snapshot, home, "level")
    assert len(values) == 200
    known = {type(value).__name__ for value in values if value is not None}
    assert known == {kind.removesuffix("64")}
    nothing = [i for i in range(10) if not texts[i % len(texts)].startswith(("<", ">"))]
    assert values.count(None) == len(nothing)


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        (lambda c, i: ("<0,5", "≤ 1", ">1.000,5")[i // 4 % 3] if i % 4 == 0 else f"{i},5", True),
        (lambda c, i: "<5,0" if i % 4 == 0 else f"{i},5", True),
        (lambda c, i: "<0.5 mg/l" if i < 9 else f"{i}.5 mg/l", True),
        (lambda c, i: "<0.5" if i < 9 else f"{i % 9}.5", False),
        (lambda c, i: ("<18", f"{i}-{i + 7}")[i // 4 % 2] if i % 4 == 0 else f"{i}", False),
        *in_long([(lambda c, i: f"{'<' * (i % 3 == 0)}0.{c.randrange(1, 90)}", True)]),
    ],
)
def test_limits_among_numbers_become_numbers_and_are_asked_about(
    cell: Callable[[random.Random, int], object], asked: bool, tmp_path: Path, home: Home
) -> None:
    assert ("a limit such as <0.5 counts as 0.5" in _comment(tmp_path, "level", cell)) == asked
    pipeline = load_pipeline(tmp_path / "defs" / "drafted")
    values = column(clean(pipeline, ingest(pipeline, home), home).snapshot, home, "level")
    assert (len(values), values.count(None)) == (200, 0)
    assert {float if asked else str} == {type(value) for value in values}
    if cell(random.Random(3), 0) == "<0,5":
        assert {0.5, 1.0, 1000.5, 199.5} < {*values}


def test_a_target_of_limits_and_numbers_is_a_number(tmp_path: Path) -> None:
    rows = "".join(
        f"{i % 7}.5,{'<2,5' if i % 5 == 0 else f'{i % 40},5'}\n".replace(",", ";", 1)
        for i in range(200)
    )
    spec = drafted(tmp_path, "size;load\n" + rows, "load").spec
    assert (spec.training.target, spec.training.task) == ("load", "regression")
    assert "a limit such as <0.5 counts as 0.5: is that right?" in draft_text(tmp_path)


_UNITS = "numbers in several units, "


@pytest.mark.parametrize(
    ("cell", "units"),
    [
        (lambda c, i: f"{c.randrange(900) / 10} {'kg' if i % 3 else 'g'}", "'g', 'kg'"),
        (lambda c, i: "-" if i < 9 else f"{c.randrange(90)} {('h', 'min')[i % 2]}", "'h', 'min'"),
        (lambda c, i: f"{c.randrange(10, 40)}-{c.randrange(40, 90)} {'gk'[i % 2]}", ""),
        (lambda c, i: f"{c.randrange(6)} {('h', 'min')[i % 2]}", ""),
        *in_long(
            [
                (lambda c, i: f"{'€$'[i % 2]}{c.randrange(9000) / 100:.2f}", "'$', '€'"),
                (
                    lambda c, i: f"1.{c.randrange(100, 999)},5{' k' if i % 3 else ''} €",
                    "'k €', '€'",
                ),
                (lambda c, i: f"{c.randrange(30)}{'ABCDEF'[i % 6]}", ""),
                (lambda c, i: f"{c.randrange(90)} {'kg' if i else 'slip'}", ""),
                (lambda c, i: f"{'PQ'[i % 2]}{c.randrange(300)}", ""),
            ]
        ),
    ],
)
def test_numbers_in_several_units_are_told_and_become_columns(
    cell: Callable[[random.Random, int], object], units: str, tmp_path: Path
) -> None:
    comment = _comment(tmp_path, "price", cell)
    assert (_UNITS in comment) == bool(units)
    if not units:
        return
    start, end = f"{_UNITS}{units}: add ", " to clean.derive, and price to train.exclude"
    number, _, unit = comment.partition(start)[2].partition(end)[0].partition(" and ")
    file = tmp_path / "defs" / "drafted" / "defs.yaml"
    written = file.read_text()
    if "exclude: []" in written:
        written = written.replace("exclude: []", "exclude: [price]")
    derived = f"  clean:\n    derive:\n      {number}\n      {unit}\n  split:"
    file.write_text(written.replace("  split:", derived))
    assert check_folder(file.parent) == []
    pipeline, home = load_pipeline(file.parent), Home(tmp_path / "home")
    snapshot = clean(pipeline, ingest(pipeline, home), home).snapshot
    assert ", ".join(map(repr, sorted({*column(snapshot, home, "price_unit")} - {"-"}))) == units
    for text, read in zip(
        column(snapshot, home, "price"), column(snapshot, home, "price_number"), strict=True
    ):
        digits = re.sub(r"[^\d.,]", "", text)
        plain = digits.replace(".", "").replace(",", ".") if "," in digits else digits
        assert read == (float(plain) if plain else None)


def test_numbers_between_two_parts_of_a_unit_are_told(tmp_path: Path) -> None:
    comment = _comment(tmp_path, "price", lambda c, i: f"${c.randrange(900)}k")
    assert (
        "numbers in '$k': add price_number: "
        "TRY_CAST(regexp_extract(price, '[+-]?[0-9](.*[0-9])?') AS DOUBLE) to clean.derive, and "
        "price to train.exclude"
    ) in comment


def test_the_smallest_and_the_largest_of_large_numbers_are_told_in_full(tmp_path: Path) -> None:
    turnover = _comment(tmp_path, "turnover", lambda c, i: f"{1e9 + i / 4}")
    assert turnover == "1000000000 to 1000000050"


def test_a_target_of_numbers_in_several_units_is_no_class(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7}.5,{i * 7 % 60} {'kg' if i % 2 else 'g'}\n" for i in range(200))
    with pytest.raises(DataError, match="'load' has numbers with units: g, kg; write them"):
        drafted(tmp_path, "size,load\n" + rows, "load")
    rooms = "".join(f"{i * 7 % 19}.5,{i % 12}{'AB'[i % 24 // 12]}\n" for i in range(200))
    assert drafted(tmp_path, "size,room\n" + rooms, "room").spec.training.task == "multiclass"
