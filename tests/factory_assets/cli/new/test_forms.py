"""`factory new` on files as people have them: titles, decimal commas, repeated names, sentences."""

import random
from datetime import date, timedelta
from pathlib import Path

import pytest

from factory_assets.cli.new.new import new
from factory_assets.ml.features.columns import input_columns
from factory_assets.spec import Pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.encoders import sentence_encoder
from factory_resources.encoders.sentence_encoder import DEFAULT_ENCODER
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted, file_source
from tests.long_run import in_long


def _cleaned(pipeline: Pipeline, tmp_path: Path, *names: str) -> list[tuple[object, ...]]:
    home = Home(tmp_path / "home")
    result = clean(pipeline, ingest(pipeline, home), home)
    return list(zip(*(column(result.snapshot, home, name) for name in names), strict=True))


def test_decimal_commas_and_days_first_are_read(tmp_path: Path) -> None:
    rows = "".join(
        f"1.{i * 37 % 100:03},5;{i % 28 + 1:02}.{i % 12 + 1:02}.2024;{i % 7};{'jn'[i % 2]}\n"
        for i in range(1, 60)
    )
    made = drafted(tmp_path, "Preis;Datum;Menge;gut\n" + rows, "gut", encoding="latin-1")
    kinds = {column.name: column.type for column in made.spec.ingest.contract.columns}
    assert kinds == {
        "Preis_text": "string",
        "Datum_text": "string",
        "Menge": "int64",
        "gut": "string",
    }
    assert made.spec.training.exclude == ("Preis_text", "Datum_text")
    assert made.spec.split.time == "Datum"
    assert made.spec.training.trend == ("Datum",)
    assert _cleaned(made, tmp_path, "Preis", "Datum")[0] == (1037.5, date(2024, 2, 2))


def test_a_text_in_another_form_is_not_misread(tmp_path: Path) -> None:
    rows = "".join(f"{i % 9 + 20},{i % 7};{i}%;{i % 28 + 1}.03.2024;{i % 2}\n" for i in range(60))
    text = f"weight;share;day;good\n{rows}"
    made = drafted(tmp_path, text, "good")
    wrong = "28.2;3%;5.02.2024;1\n28,2;12.5%;5.02.2024;1\n28,2;3%;2024-02-05;1\n"
    (tmp_path / "data.csv").write_text(f"{text}{wrong}1.028,2;12,5 %;05.2.2024;1\n;;;1\n")
    result = ingest(made, Home(tmp_path / "home"))
    assert result.quarantined == {f"pattern:{n}_text": 1 for n in ("weight", "share", "day")}
    assert result.snapshot.rows == 62


@pytest.mark.parametrize("written", ["{}.5\u00a0", "\u00a0{},5\u202f"])
def test_numbers_beside_blanks_of_web_pages_are_numbers(written: str, tmp_path: Path) -> None:
    rows = "".join(f"{written.format(i * 37 % 101)};{i % 7};{'ny'[i % 2]}\n" for i in range(100))
    made = drafted(tmp_path, "size;other;good\n" + rows, "good")
    assert made.spec.training.exclude == ("size_text",)
    assert _cleaned(made, tmp_path, "size")[:3] == [(0.5,), (37.5,), (74.5,)]


@pytest.mark.parametrize("unit", ["k €", *in_long(["Mio. €", "km / h"])])
def test_a_unit_of_several_words_stands_beside_numbers(tmp_path: Path, unit: str) -> None:
    rows = "".join(f"{i * 37 % 101};{i * 7 % 50} {unit}\n" for i in range(100))
    made = drafted(tmp_path, "size;price\n" + rows, "price")
    assert (made.spec.training.task, made.spec.split.stratify) == ("regression", None)
    [_, price] = made.spec.ingest.contract.columns
    assert (price.name, price.unit) == ("price_text", unit)
    assert _cleaned(made, tmp_path, "price")[:3] == [(0.0,), (7.0,), (14.0,)]


def test_a_title_above_the_header_and_two_columns_of_one_name(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7}.5,{i % 5}.25,{'ab'[i % 3 % 2]}\n" for i in range(60))
    made = drafted(tmp_path, "Apples of 2024\n\nsize,size,grade\n" + rows, "grade")
    source = file_source(made)
    assert (source.skip, source.header, source.columns) == (3, False, ("size", "size_2", "grade"))
    assert _cleaned(made, tmp_path, "size", "size_2")[1] == (1.5, 1.25)


def test_sentences_are_read_by_the_installed_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fruits = ("apple", "pear", "plum", "quince", "cherry", "fig", "lime")
    rows = "".join(
        f"{i % 5},the {fruits[i % 7]} number {i} was {('sour', 'rather sweet')[i % 2]},{i % 2}\n"
        for i in range(90)
    )
    text = "stars,comment,y\n" + rows
    assert drafted(tmp_path, text, "y").spec.training.text == {"comment": DEFAULT_ENCODER}
    monkeypatch.setattr(sentence_encoder, "DEFAULT_ENCODER", "no_such_encoder")
    (tmp_path / "other").mkdir()
    without = drafted(tmp_path / "other", text, "y")
    assert without.spec.training.exclude == ("comment",)
    written = (tmp_path / "other" / "defs" / "drafted" / "defs.yaml").read_text()
    assert f"- comment  # is free text; pip install {DEFAULT_ENCODER} reads it" in written


def test_dates_are_inputs(tmp_path: Path) -> None:
    first = date(2023, 1, 1)
    rows = "".join(
        f"{first + timedelta(days=3 * i)},{first - timedelta(days=9000 + i * 37 % 5000)},"
        f"{first + timedelta(days=3 * i + i * 7 % 11)},{i % 6},{i % 5 // 3}\n"
        for i in range(200)
    )
    made = drafted(tmp_path, "ordered,birthday,promised,size,late\n" + rows, "late")
    assert made.spec.split.time == "ordered"
    assert made.spec.training.exclude == ()
    inputs = input_columns(made, [c.name for c in made.spec.ingest.contract.columns])
    assert inputs == ["ordered", "birthday", "promised", "size"]


def test_a_number_in_german_identifies_a_row(tmp_path: Path) -> None:
    chance = random.Random(6)
    numbers = chance.sample(range(10**6, 10**7), 80)
    rows = "".join(f"{n};{chance.random():.3f};{i % 2}\n" for i, n in enumerate(numbers))
    made = drafted(tmp_path, "Fallnummer;Wert;y\n" + rows, "y")
    assert made.spec.training.exclude == ("Fallnummer",)


def test_classes_that_come_later_only_are_not_split_by_time(tmp_path: Path) -> None:
    first = date(2023, 1, 1)
    rows = "".join(
        f"{first + timedelta(days=i)},{i % 6},{'abc'[i * 3 // 200]}\n" for i in range(200)
    )
    made = drafted(tmp_path, "day,size,kind\n" + rows, "kind")
    assert (made.spec.split.time, made.spec.split.stratify) == (None, "kind")
    assert "each class in every part; split by day, a part would lack some" in draft_text(tmp_path)


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("ja", "nein"), "ja"),
        (("Yes ", "no", "YES"), "yes"),
        (("n.i.O.", "i.O."), "i.O."),
        (("OK", "NOK", "ok"), None),
    ],
)
def test_yes_is_the_positive_class_even_if_it_is_frequent_or_else_the_rarer_one(
    tmp_path: Path, classes: tuple[str, ...], positive: str | None
) -> None:
    rows = "".join(f"{i * 7 % 23},{classes[i % 3 % len(classes)]}\n" for i in range(90))
    assert drafted(tmp_path, "size,good\n" + rows, "good").spec.training.positive == positive


@pytest.mark.parametrize(
    "name", ["patient_id", "CUSTID", "USUBJID", *in_long(["Patient", "patientid", "DeviceNo"])]
)
def test_visits_of_a_person_stay_together_even_if_they_have_dates(
    tmp_path: Path, name: str
) -> None:
    first = date(2023, 1, 1)
    rows = "".join(
        f"{i * 7 % 60},{first + timedelta(days=i)},{i % 6},{i % 5 // 3}\n" for i in range(240)
    )
    made = drafted(tmp_path, f"{name},day,size,ill\n" + rows, "ill")
    assert (made.spec.split.group, made.spec.split.time) == (name, None)


@pytest.mark.parametrize(
    "name",
    [
        "customerid",
        "HHID",
        "idNum",
        *in_long(
            [
                "customerID",
                "unitno",
                "loanid",
                "idcode",
                "id_str",
            ]
        ),
    ],
)
def test_a_number_of_each_row_is_no_input_however_its_name_is_written(
    tmp_path: Path, name: str
) -> None:
    chance = random.Random(5)
    numbers = chance.sample(range(10_000, 90_000), 100)
    rows = "".join(f"{one},{chance.random():.3f},{chance.choice('yn')}\n" for one in numbers)
    made = drafted(tmp_path, f"{name},size,ill\n" + rows, "ill")
    assert made.spec.training.exclude == (name,)


@pytest.mark.parametrize("name", ["caseid", "storeid", "idcode"])
def test_rows_of_one_number_stay_together_even_if_it_is_one_word(tmp_path: Path, name: str) -> None:
    chance = random.Random(5)
    rows = "".join(f"{i % 90},{chance.random():.3f},{chance.choice('yn')}\n" for i in range(300))
    assert drafted(tmp_path, f"{name},size,ill\n" + rows, "ill").spec.split.group == name


def test_ranges_are_no_negative_numbers(tmp_path: Path) -> None:
    chance = random.Random(5)
    ages = ("15-24", "25-39", "40-")
    rows = "".join(f"{ages[i % 3]},{chance.random():.3f},{'yn'[i % 2]}\n" for i in range(90))
    made = drafted(tmp_path, "age,size,ill\n" + rows, "ill")
    assert [one.type for one in made.spec.ingest.contract.columns][:1] == ["string"]
    assert made.spec.clean.derive == {}


def test_a_column_that_few_rows_have_is_not_guessed_to_be_the_target(tmp_path: Path) -> None:
    rows = "".join(f"{i * 7 % 19},{i * 5 % 11}.5,{i if i % 9 == 0 else ''}\n" for i in range(90))
    made = drafted(tmp_path, "size,weight,extra\n" + rows)
    assert made.spec.training.target == "weight"


@pytest.mark.parametrize(
    "name", ["NO", "NO2", "Anzahl Kunden", "Zahl der Patienten", "count_user", "Kunden"]
)
def test_a_gas_or_a_count_does_not_identify_something(tmp_path: Path, name: str) -> None:
    chance = random.Random(5)
    rows = "".join(f"{chance.randrange(60)},{chance.choice('yn')}\n" for _ in range(300))
    made = drafted(tmp_path, f"{name},ill\n" + rows, "ill")
    assert (made.spec.split.group, made.spec.training.exclude) == (None, ())


@pytest.mark.parametrize(
    "name", ["paid", "NO2", *in_long(["solid", "humid", "casino", "volcano", "item"])]
)
def test_words_that_only_end_like_an_identifier_are_inputs(tmp_path: Path, name: str) -> None:
    chance = random.Random(5)
    numbers = chance.sample(range(10_000, 90_000), 100)
    rows = "".join(f"{one},{chance.random():.3f},{chance.choice('yn')}\n" for one in numbers)
    made = drafted(tmp_path, f"{name},size,ill\n" + rows, "ill")
    assert made.spec.training.exclude == ()


@pytest.mark.parametrize(
    ("blank", "group"), [(1, "patient"), (30, None), *in_long([(0, "patient"), (15, "patient")])]
)
def test_a_few_visits_of_nobody_do_not_separate_those_of_a_person(
    blank: int, group: str | None, tmp_path: Path
) -> None:
    chance = random.Random(3)
    people = [*([""] * blank), *(f"P{chance.randrange(60):03}" for _ in range(400 - blank))]
    rows = "".join(f"{who},{chance.random():.3f},{chance.choice('yn')}\n" for who in people)
    made = drafted(tmp_path, "patient,size,ill\n" + rows, "ill")
    assert made.spec.split.group == group
    home = Home(tmp_path / "home")
    assert ingest(made, home).snapshot.rows == (399 if blank == 1 else 400)
    assert ("rows without one go to quarantine" in draft_text(tmp_path)) == (blank == 1)
    assert ("rows without one stay together" in draft_text(tmp_path)) == (blank == 15)


def test_a_column_that_tells_the_target_is_excluded(tmp_path: Path) -> None:
    chance = random.Random(2)
    values = [chance.uniform(1, 20) for _ in range(60)]
    rows = "".join(f"{v:.3f},{24 - v:.3f},{chance.random():.3f}\n" for v in values)
    made = drafted(tmp_path, "asleep,awake,weight\n" + rows, "asleep")
    assert made.spec.training.exclude == ("awake",)


def test_a_mark_that_is_like_the_next_one_is_an_input(tmp_path: Path) -> None:
    """One row of each mark is in the order of the target here, by chance; all of them are not."""
    chance = random.Random(1)
    marks = [chance.gauss(11, 4) for _ in range(400)]
    rows = "".join(
        f"{chance.random():.3f},{m + chance.gauss(0, 0.4):.0f},{m + chance.gauss(0, 0.4):.0f}\n"
        for m in marks
    )
    assert drafted(tmp_path, "size,G2,G3\n" + rows, "G3").spec.training.exclude == ()


def test_a_number_that_is_rarely_another_one_is_told_by_nothing(tmp_path: Path) -> None:
    chance = random.Random(1)
    losses = {17: 3.5, 18: 4.25}
    rows = "".join(f"{chance.random():.6f},{losses.get(i, 0.0)}\n" for i in range(60_000))
    assert drafted(tmp_path, "size,loss\n" + rows, "loss").spec.training.exclude == ()
    assert "the order of the target" not in draft_text(tmp_path)


def test_the_code_of_a_name_is_no_input(tmp_path: Path) -> None:
    chance = random.Random(7)
    drawn = [chance.randrange(25) for _ in range(200)]
    rows = "".join(f"{n * 37 % 101},town {n},{n % 20},{chance.random():.3f}\n" for n in drawn)
    made = drafted(tmp_path, "place,town,area,rent\n" + rows, "rent")
    assert made.spec.training.exclude == ("place",)


def test_a_name_like_an_outcome_is_named_in_a_comment(tmp_path: Path) -> None:
    chance = random.Random(2)
    rows = "".join(f"{chance.randrange(9)},{chance.random():.3f},{i % 2}\n" for i in range(200))
    made = drafted(tmp_path, "diagnosis,weight,ill\n" + rows, "ill")
    assert made.spec.training.exclude == ()
    written = (tmp_path / "defs" / "drafted" / "defs.yaml").read_text()
    assert "# diagnosis: 'diagnosis' is in its name. Is it known only after the outcome?" in written


def test_a_date_that_only_one_class_has_is_no_input(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = "".join(
        f"{chance.random():.3f},{f'2024-01-{i % 28 + 1:02}' if i % 3 else ''},"
        f"{chance.choice('abcd') if i % 9 == 4 else ''},{'yes' if i % 3 else 'no'}\n"
        for i in range(300)
    )
    made = drafted(tmp_path, "fee,left_on,room,churn\n" + rows, "churn")
    assert made.spec.training.exclude == ("left_on",)
    assert made.spec.clean.derive == {}
    written = (tmp_path / "defs" / "drafted" / "defs.yaml").read_text()
    assert "# room: has a value only where the target is yes. Is it known only" in written


def test_a_column_of_few_values_beside_a_rare_class_is_not_suspected(tmp_path: Path) -> None:
    chance = random.Random(3)
    rows = "".join(
        f"{chance.random():.3f},{'ab'[i % 3 % 2] if i % 40 == 4 else ''},{int(i % 100 == 0)}\n"
        for i in range(1000)
    )
    drafted(tmp_path, "size,note,fault\n" + rows, "fault")
    assert "has a value only where" not in draft_text(tmp_path)


@pytest.mark.parametrize("noise", [0, 1])
def test_a_column_that_says_which_rows_are_of_one_class_is_named_in_a_comment(
    noise: int, tmp_path: Path
) -> None:
    chance = random.Random(5)
    moods = [chance.choice(("glad", "so so", "sad")) for _ in range(600)]
    laughs = [int(mood == "glad") for mood in moods]
    laughs[0] ^= noise
    rows = "".join(
        f"{chance.random():.3f},{laugh},{mood}\n" for laugh, mood in zip(laughs, moods, strict=True)
    )
    made = drafted(tmp_path, "size,laughs,mood\n" + rows, "mood")
    assert made.spec.training.exclude == ()
    told = "# laughs: is 1 where the target is glad, and nowhere else. Is it known only"
    assert (told in draft_text(tmp_path)) == (not noise)


def test_how_long_somebody_was_watched_for_an_event_is_no_input(tmp_path: Path) -> None:
    chance = random.Random(5)
    first, rows = date(2015, 1, 1), ""
    for _ in range(200):
        seen = first + timedelta(days=chance.randrange(900))
        last = seen + timedelta(days=chance.randrange(900))
        plan = seen + timedelta(days=chance.randrange(60))
        days = (last - seen).days
        rows += f"{seen},{last},{plan},{days},{chance.random():.3f},{chance.randrange(2)}\n"
    made = drafted(tmp_path, "diagnosed,last_seen,planned_on,survtime,size,death\n" + rows, "death")
    assert {*made.spec.training.exclude} == {"last_seen", "survtime"}


@pytest.mark.parametrize(("classes", "excluded"), [("01", True), ("0123", True), ("123", False)])
def test_which_event_ended_the_watch_comes_with_its_time(
    classes: str, excluded: bool, tmp_path: Path
) -> None:
    chance = random.Random(5)
    rows = "".join(
        f"{chance.randrange(900)},{chance.random():.3f},{chance.choice(classes)}\n"
        for _ in range(200)
    )
    made = drafted(tmp_path, "tstop,size,status\n" + rows, "status")
    assert made.spec.training.exclude == (("tstop",) if excluded else ())


@pytest.mark.parametrize(
    ("copied", "every", "split"),
    [(True, 3, None), (False, 3, "same_inputs"), (False, 14, "same_inputs")],
)
def test_repeated_rows_do_not_reach_the_test(
    tmp_path: Path, copied: bool, every: int, split: str | None
) -> None:
    chance = random.Random(4)
    rows = []
    for i in range(300):
        cells = ",".join(f"{chance.random():.5f}" for _ in range(5))
        rows += [f"{cells},{chance.random():.4f}"]
        if i % every == 0:
            rows += [rows[-1] if copied else f"{cells},{chance.random():.4f}"]
    chance.shuffle(rows)
    made = drafted(tmp_path, "a,b,c,d,e,y\n" + "\n".join(rows) + "\n", "y")
    assert made.spec.split.group == split
    assert made.spec.clean.deduplicate == (("a", "b", "c", "d", "e", "y") if copied else ())


@pytest.mark.parametrize(
    ("header", "target", "why"),
    [
        ("size,weight,grade,farm", "grade", "named like an outcome"),
        ("size,weight,farm,good", "good", "the last column"),
        ("kind,weight,farm,bought", "kind", "the first column"),
        ("id,size,id_y,good", "good", "the last column"),
        ("id,y1,y2,good", "y2", "named like an outcome, and so is y1"),
        ("price,weight,grade,farm", "grade", "named like an outcome, and so is price"),
        *in_long(
            [
                ("size,weight,good,", "good", "the last column"),
                ("size,weight,status,farm", "status", "named like an outcome"),
                ("size,weight,y06,good", "good", "the last column"),
                ("size,Preis je Nacht (€),farm,good", "preis_je_nacht", "named like an outcome"),
                (
                    "size,price_per_night,ratio_per_class,good",
                    "price_per_night",
                    "named like an outcome",
                ),
                (
                    "status,price,grade,farm",
                    "grade",
                    "named like an outcome, and so are price, status",
                ),
                ("kind,weight,farm,report", "kind", "the first column"),
            ]
        ),
    ],
)
def test_a_target_is_guessed_with_the_reason(
    tmp_path: Path, header: str, target: str, why: str
) -> None:
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(80)]
    last = {
        "bought": days,
        "report": [f"a long report of what was seen {i % 30}" for i in range(80)],
        "": [""] * 80,
    }.get(header.rpartition(",")[2], [i % 2 for i in range(80)])
    rows = "".join(f"{i % 2},{i % 11}.5,{i % 3 % 2},{cell}\n" for i, cell in enumerate(last))
    (tmp_path / "data.csv").write_text(f"{header}\n{rows}")
    made = new("drafted", source=tmp_path / "data.csv", folder=tmp_path / "defs")
    assert (made.target, why in made.guessed) == (target, True)
    assert f"target: {target}  # guessed: " in made.path.read_text()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("texts.csv", "a,b\n" + "".join(f"x{i} y,z{i} w\n" for i in range(60)), "--target"),
        ("one.csv", "y\n0\n1\n", "no column is left"),
        ("empty.csv", "", "is empty"),
        ("rows.csv", "a,b\n", "has no rows"),
        ("names.csv", "a,b,label\n", "has no rows"),
        ("three.csv", "a,b,y\n1,2,0\n3,4,1\n5,6,0\n", "3 rows are too few for training, val"),
    ],
)
def test_nothing_is_written_for_a_file_without_a_target(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FactoryError, match=message) as caught:
        new("drafted", source=tmp_path / name, folder=tmp_path / "defs")
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (2, False)
    assert not (tmp_path / "defs").exists()


@pytest.mark.parametrize(
    ("counts", "refused"), [([2] * 50, "2 and 2"), ([90, 2], "90 and 2"), ([5, 3, 1], "")]
)
def test_classes_of_too_few_rows_to_be_split_are_refused(
    tmp_path: Path, counts: list[int], refused: str
) -> None:
    kinds = [f"k{kind}" for kind, count in enumerate(counts) for _ in range(count)]
    text = "x,kind\n" + "".join(f"{i * 7 % 23}.5,{kind}\n" for i, kind in enumerate(kinds))
    if refused:
        with pytest.raises(FactoryError, match=f"classes of 'kind' have {refused} rows, too few"):
            drafted(tmp_path, text, "kind")
        return
    made, home = drafted(tmp_path, text, "kind"), Home(tmp_path / "home")
    parts = split(made, clean(made, ingest(made, home), home), home)
    assert {*column(parts.test, home, "kind")} == {"k0", "k1"}


@pytest.mark.parametrize(("blank", "chosen"), [(0, True), (3, True), (30, False)])
@pytest.mark.parametrize("written", ["%Y-%m-%d", *in_long(["%d.%m.%Y"])])
def test_a_few_rows_without_a_time_do_not_keep_it_from_judging(
    written: str, blank: int, chosen: bool, tmp_path: Path
) -> None:
    chance = random.Random(2)
    days = [date(2022, 1, 1) + timedelta(days=chance.randrange(700)) for _ in range(400)]
    dates = [*([""] * blank), *(day.strftime(written) for day in days[blank:])]
    rows = "".join(f"{day},{chance.random():.3f},{chance.choice('yn')}\n" for day in dates)
    made = drafted(tmp_path, "order_date,size,late\n" + rows, "late")
    assert (made.spec.split.time == "order_date") == chosen
    home = Home(tmp_path / "home")
    cleaned = clean(made, ingest(made, home), home)
    assert cleaned.snapshot.rows == (400 - blank if chosen else 400)
    split(made, cleaned, home)


def test_a_class_of_rows_without_a_time_does_not_keep_it_from_judging(tmp_path: Path) -> None:
    days = [date(2022, 1, 1) + timedelta(days=i) for i in range(400)]
    dated = "".join(f"{day},{i % 7}.5,{'yn'[i % 2]}\n" for i, day in enumerate(days))
    made = drafted(tmp_path, "order_date,size,late\n,1.5,open\n,2.5,open\n" + dated, "late")
    assert made.spec.split.time == "order_date"


@pytest.mark.parametrize(
    ("tail", "zeros", "metric"), [(0.3, 0.0, "rmse"), (3.0, 0.3, "mae"), (3.0, 0.7, "rmse")]
)
def test_a_number_of_which_few_decide_the_squares_is_judged_by_distance(
    tail: float, zeros: float, metric: str, tmp_path: Path
) -> None:
    chance = random.Random(5)
    amounts = [chance.lognormvariate(5, tail) * (chance.random() >= zeros) for _ in range(400)]
    rows = "".join(f"{chance.random():.3f},{amount:.2f}\n" for amount in amounts)
    made = drafted(tmp_path, "size,amount\n" + rows, "amount")
    assert made.spec.evaluate.metric == metric
    assert ("would decide the rmse" in draft_text(tmp_path)) == (metric == "mae")
