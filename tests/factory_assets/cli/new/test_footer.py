"""`factory new` tells the last row of a file from totals and notes below it."""

from pathlib import Path

import pytest

from factory_assets.cli.new.new import new
from factory_assets.cli.new.profile import profile
from factory_resources.errors import SourceError
from tests.factory_assets.cli.new.cases import draft_text, drafted, file_source
from tests.long_run import in_long

_ROWS = {
    "joint,age,crp,outcome": ("hip", "knee", "spine"),
    "procedure,age,crp,outcome": ("hip revision", "knee arthroplasty", "spinal fusion"),
    "name,age,crp,outcome": ("Anna Abel", "Carl Cruz", "Dora Beck"),
    "code,age,crp,outcome": ("P001", "P002", "P003"),
    "number,age,crp,outcome": ("1", "2", "3"),
}


def _table(header: str, *below: str) -> str:
    names = _ROWS[f"{header},age,crp,outcome"]
    rows = [f"{names[i % 3]},{i * 7 % 61},{i % 9}.5,{'ny'[i % 2]}" for i in range(90)]
    return "\n".join([f"{header},age,crp,outcome", *rows, *below]) + "\n"


@pytest.mark.parametrize(
    ("header", "last"),
    [
        ("joint", "thumb,,,"),
        ("code", "X9,,,"),
        ("procedure", "total hip replacement,61,,y"),
        *in_long(
            [
                ("joint", "left thumb,,,"),
                ("name", "Zoe Zimmer,,,"),
                ("number", "unknown,,,"),
                ("procedure", "total hip replacement,61,4.5,"),
                ("joint", "sum of parts,61,,y"),
            ]
        ),
    ],
)
def test_a_sparse_last_row_is_a_row(header: str, last: str, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(_table(header, last))
    table = profile(tmp_path / "data.csv")
    assert (table.rules.until, table.rows, table.unread) == ("", 91, ())


_SALES = [(i % 5 + 1, round((i % 5 + 1) * 10 + i / 7, 2)) for i in range(200)]
_PIECES, _AMOUNT = (sum(column) for column in zip(*_SALES, strict=True))


def _sales(word: str, pieces: float, amount: float, mark: str = ".") -> str:
    rows = [f"C{i % 17:02};{n};{of:.2f}" for i, (n, of) in enumerate(_SALES)]
    lines = [*rows, f"{word};{pieces};{amount:.2f}"]
    return "\n".join(["cliente;pezzi;importo", *(line.replace(".", mark) for line in lines)]) + "\n"


@pytest.mark.parametrize(
    ("word", "amount", "mark"),
    [
        ("Total", _AMOUNT, "."),
        ("TOTALE", _AMOUNT + 0.05, ","),
        *in_long(
            [("Suma", _AMOUNT, "."), ("Total général", _AMOUNT, ","), ("Totaal", _AMOUNT, ".")]
        ),
    ],
)
def test_a_last_row_whose_numbers_are_sums_is_a_total_though_it_has_no_blank_cell(
    word: str, amount: float, mark: str, tmp_path: Path
) -> None:
    made = drafted(tmp_path, _sales(word, _PIECES, amount, mark), "importo")
    assert file_source(made).until == word
    assert "pezzi" not in made.spec.train.exclude
    assert "    # 1 line below the rows is not read: " in draft_text(tmp_path)
    assert profile(tmp_path / "data.csv").rows == 200


@pytest.mark.parametrize(
    ("word", "pieces", "amount"),
    [
        ("Total", 3, 31.5),
        ("Total", _PIECES, _AMOUNT * 1.02),
        *in_long([("Total", 0, _AMOUNT), ("Totalenergie", _PIECES, _AMOUNT)]),
    ],
)
def test_a_last_row_of_which_a_number_is_no_sum_is_a_row(
    word: str, pieces: float, amount: float, tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_text(_sales(word, pieces, amount))
    table = profile(tmp_path / "data.csv")
    assert (table.rules.until, table.rows) == ("", 201)


@pytest.mark.parametrize(
    ("header", "below"),
    [
        ("joint", ["Total,1220,99.5,"]),
        ("number", ["Exported by the ward,,,"]),
        ("joint", ["-----,,,", "Summe,1220,99.5,", "as of 1 May 2024,,,"]),
        ("number", ["Summe,1220", "printed"]),
        *in_long(
            [
                ("joint", ["Total 2024,1220,99.5,"]),
                ("number", ["Gesamt alle,1220,99.5,"]),
                ("joint", ["Stand: 1.5.2024,,,"]),
                ("name", ["Stand: Mai,,,"]),
            ]
        ),
    ],
)
def test_lines_below_the_rows_are_told_in_the_draft(
    header: str, below: list[str], tmp_path: Path
) -> None:
    text = _table(header, *below)
    made = drafted(tmp_path, text, "outcome")
    sign = file_source(made).until
    assert sign
    assert below[0].startswith(sign)
    count = (
        "1 line below the rows is" if len(below) == 1 else f"{len(below)} lines below the rows are"
    )
    assert f"    # {count} not read: {' | '.join(below)}\n" in draft_text(tmp_path)
    assert profile(tmp_path / "data.csv").rows == 90


def test_a_damaged_last_row_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(_table("joint", "thumb,45"))
    with pytest.raises(SourceError, match=r"data.csv:92: has 2 columns in this row, not 4"):
        new("drafted", source=tmp_path / "data.csv", folder=tmp_path / "defs")
