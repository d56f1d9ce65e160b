"""Texts that order rows: refused if their letters say another order than their reader means."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.stages.split import split
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from tests.data_stages import cleaned

BY_TIME: dict[str, Any] = {"split": {"time": "at"}}


def split_by(
    at: list[str], tmp_path: Path, home: Home, declared: dict[str, Any], **more: Any
) -> None:
    lines = [f'"{text}",u{i % 5},{i * 37 % 101},{i % 2}\n' for i, text in enumerate(at * 5)]
    types = {"at": "string", "unit": "string", "x": "int64", "y": "int64"}
    contract = [{"name": name, "type": kind} for name, kind in types.items()]
    contract[0] |= more
    ingest = {"source": {"files": "data.csv"}, "contract": contract}
    text = "at,unit,x,y\n" + "".join(lines)
    made, value = cleaned(text, tmp_path, home, ingest=ingest, **declared)
    split(made, value, home)


@pytest.mark.parametrize(
    "at",
    [
        [f"{i:02}.{month:02}.2024" for month in (1, 2) for i in range(1, 9)],
        [f"{month}/{i}/2024 9:30" for month in (1, 2) for i in range(1, 9)],
        [f"{i} {month} 2024" for month in ("Jan", "February") for i in range(1, 9)],
        [f"{month} {i:02}, 2024" for month in ("März", "Apr.") for i in range(1, 9)],
        [f"{i:02}.{month:02}.24" for month in (1, 2) for i in range(1, 9)],
        [f"{month}-{year}" for month in ("Jan", "Feb", "Mar", "Apr") for year in range(20, 24)],
        [f"{year} {month}" for month in ("Dez", "Mai", "Juni") for year in range(2020, 2024)],
    ],
    ids=["german", "american", "names", "month first", "short years", "months", "year first"],
)
def test_dates_out_of_the_order_of_letters_are_refused(
    at: list[str], tmp_path: Path, home: Home
) -> None:
    with pytest.raises(DataError, match=r"split.time: 'at' is text such as .*strptime") as caught:
        split_by(at, tmp_path, home, BY_TIME)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "declared"),
    [
        ("split.time", BY_TIME),
        (
            "clean.windows.order",
            {"clean": {"windows": {"by": "unit", "order": "at", "size": 2, "columns": "x"}}},
        ),
        (
            "clean.deduplicate.order",
            {"clean": {"deduplicate": {"key": "x", "keep": "last", "order": "at"}}},
        ),
        ("evaluate.last.order", {"evaluate": {"last": {"by": "unit", "order": "at"}}}),
        (
            "train.model.order",
            {
                "split": {"group": "unit"},
                "train": {"target": "y", "model": {"kind": "gru", "by": "unit", "order": "at"}},
            },
        ),
    ],
)
def test_numbers_of_several_lengths_are_refused(
    key: str, declared: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    at = [f"cycle {i}" for i in range(7, 20)]
    with pytest.raises(DataError, match=rf"{key}: 'at' is text, .* 'cycle 7' and 'cycle 1\d'"):
        split_by(at, tmp_path, home, declared)


@pytest.mark.parametrize(
    "declared",
    [
        {"deduplicate": {"key": "x", "keep": "last", "order": "at"}},
        {"windows": {"by": "x", "order": "at", "size": 2, "columns": "y"}},
    ],
)
@pytest.mark.parametrize("at", [("31.01.2024", "01.02.2024"), ("week 9", "week 10")])
def test_rows_are_not_cleaned_in_a_wrong_order(
    at: tuple[str, str], declared: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    text = "at,x,y\n" + "".join(f"{one},1,{i}\n" for i, one in enumerate(at))
    [part] = declared
    with pytest.raises(DataError, match=f"/clean: clean.{part}.order: 'at' is text"):
        cleaned(text, tmp_path, home, clean=declared)
    # Rows that go to quarantine are in no order.
    kept = {**declared, "where": {"known": f"\"at\" <> '{at[0]}'"}}
    _, value = cleaned(text.replace(at[1], "week of 2024"), tmp_path, home, clean=kept)
    assert value.snapshot.rows == 1


@pytest.mark.parametrize(
    ("at", "remedy"),
    [
        ("{:02}.01.2024", "of time; order by another column, such as one that a pipeline without"),
        ("2024-1-{}", r"if it is a date .* declare its type in ingest\.contract; else order by"),
    ],
)
def test_duplicates_are_ordered_before_columns_are_derived(
    at: str, remedy: str, tmp_path: Path, home: Home
) -> None:
    declared = {"clean": {"deduplicate": {"key": "x", "order": "at"}}}
    with pytest.raises(DataError, match=remedy):
        split_by([at.format(i) for i in range(7, 20)], tmp_path, home, declared)


@pytest.mark.parametrize("at", ["{:02}.01.2024", "cycle {}"])
def test_sensitive_texts_are_not_shown(at: str, tmp_path: Path, home: Home) -> None:
    texts = [at.format(i) for i in range(7, 20)]
    with pytest.raises(DataError, match="letters do not come in the order") as caught:
        split_by(texts, tmp_path, home, BY_TIME, sensitive="personal")
    assert not any(text in str(caught.value) for text in texts)


@pytest.mark.parametrize("at", ["2024-1-{}", "2024-W{}", "v1.{}", "{}:30", "{}"])
def test_numbers_that_lack_zeros_are_refused(at: str, tmp_path: Path, home: Home) -> None:
    with pytest.raises(DataError, match="letters do not come in the order of its numbers"):
        split_by([at.format(i) for i in range(7, 20)], tmp_path, home, BY_TIME)


@pytest.mark.parametrize(
    "at",
    [
        [f"2024-{i:02}" for i in range(1, 13)],
        [f"2024-W{i:02}" for i in range(1, 13)],
        [f"2024-01-{i:02}{' 10:00:00' * (i % 2)}{'.5' * (i % 4 // 3)}" for i in range(1, 13)],
        [f"cycle {i:03}" for i in range(5, 17)],
        [f"{letter}" for letter in "abcdefghijkl"],
    ],
    ids=["months", "weeks", "several precisions", "padded", "letters"],
)
def test_texts_whose_letters_order_them_are_split(
    at: list[str], tmp_path: Path, home: Home
) -> None:
    split_by(at, tmp_path, home, BY_TIME)
