"""`factory new` decides what 1,234 means by the other columns, and tells which reading it took."""

from pathlib import Path

import pytest

from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted
from tests.long_run import in_long

_ENGLISH_PROOF = ["0.75", "1.5", "2.25"]
_GERMAN_PROOF = ["0,75", "1,5", "2,25"]
_NO_PROOF = ["75", "15", "22"]
_MIXED = ["45,123", "987", "9,271", "583", "612", "1,002"]
_ALL_MARKED = ["45,123", "9,271", "1,002"]


def _points(texts: list[str]) -> list[str]:
    return [text.replace(",", ".") for text in texts]


@pytest.mark.parametrize(
    ("delimiter", "texts", "other", "first"),
    [
        (",", _MIXED, _NO_PROOF, 45123),
        (",", _MIXED, _GERMAN_PROOF, 45.123),
        (";", _ALL_MARKED, _NO_PROOF, 45.123),
        (";", _points(_MIXED), _GERMAN_PROOF, 45123),
        (";", ["45.000", "52.000", "950"], _GERMAN_PROOF, 45000),
        (",", ["$45,123", "$987"], _GERMAN_PROOF, 45123),
        *in_long(
            [
                (",", _ALL_MARKED, _NO_PROOF, 45123),
                (",", _MIXED, _ENGLISH_PROOF, 45123),
                (";", _MIXED, _NO_PROOF, 45123),
                (";", _ALL_MARKED, _ENGLISH_PROOF, 45123),
                ("\t", _ALL_MARKED, _NO_PROOF, 45123),
                (";", _points(_ALL_MARKED), _GERMAN_PROOF, 45123),
                (";", _points(_MIXED), _NO_PROOF, 45123),
                (";", _points(_ALL_MARKED), _NO_PROOF, 45.123),
                (";", _points(_MIXED), _ENGLISH_PROOF, 45.123),
                (",", _points(_MIXED), _NO_PROOF, 45.123),
                (",", ["45.000", "52.000", "950"], _NO_PROOF, 45),
                (",", ["45.123 €", "987 €", "650 €", "12 €"], _NO_PROOF, 45123),
                (",", ["45.123 €", "987 €", "650 €", "12 €"], _ENGLISH_PROOF, 45.123),
            ]
        ),
    ],
    ids=str,
)
def test_three_digits_behind_a_mark_are_read_as_the_file_is_written(
    delimiter: str, texts: list[str], other: list[str], first: float, tmp_path: Path
) -> None:
    rows = [
        delimiter.join((f'"{texts[i % len(texts)]}"', f'"{other[i % 3]}"', "ny"[i // 3 % 2]))
        for i in range(60)
    ]
    made = drafted(tmp_path, "\n".join([delimiter.join(("sum", "size", "y")), *rows]) + "\n", "y")
    home = Home(tmp_path / "home")
    snapshot = clean(made, ingest(made, home), home).snapshot
    assert column(snapshot, home, "sum")[0] == first
    assert ": is that right?" in draft_text(tmp_path)


@pytest.mark.parametrize(
    ("other", "later", "read"),
    [(_GERMAN_PROOF, "1.250,5 €", 1250.5), (_ENGLISH_PROOF, "1,250.5 €", 1250.5)],
)
def test_a_mark_that_only_a_later_file_has_is_read_as_the_file_is_written(
    other: list[str], later: str, read: float, tmp_path: Path
) -> None:
    rows = [f"{i * 37 % 980} €;{other[i % 3]};{'ny'[i // 3 % 2]}" for i in range(60)]
    text = "\n".join(["sum;size;y", *rows]) + "\n"
    made = drafted(tmp_path, text, "y")
    (tmp_path / "data.csv").write_text(f"{text}{later};{other[0]};n\n")
    home = Home(tmp_path / "home")
    assert column(clean(made, ingest(made, home), home).snapshot, home, "sum")[-1] == read


def test_decimals_beyond_doubt_are_read_without_a_comment(tmp_path: Path) -> None:
    rows = [f"{i % 9 + 1}.{i * 137 % 1000:03},0.{i % 7 + 1},{i},{'ny'[i % 2]}" for i in range(60)]
    drafted(tmp_path, "\n".join(["a,b,c,y", *rows]) + "\n", "y")
    text = draft_text(tmp_path)
    assert "derive" not in text
    assert "is that right?" not in text
