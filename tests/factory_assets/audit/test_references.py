"""Parsing names of the command line: each has one kind; an invalid name is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.audit.references import (
    ModelName,
    SnapshotName,
    SourceName,
    parse,
    snapshot_name,
)
from factory_resources.errors import UnknownNameError

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("apples@3", ModelName("apples", 3)),
        ("apples@champion", ModelName("apples", "champion")),
        ("apples/clean", SnapshotName("apples", "clean", None, None)),
        ("apples/clean@0123ab", SnapshotName("apples", "clean", None, "0123ab")),
        ("apples/split.train", SnapshotName("apples", "split", "train", None)),
        (f"a/ingest.quarantine@{DIGEST}", SnapshotName("a", "ingest", "quarantine", DIGEST)),
        ("sha256:0123ab", SourceName(None, "0123ab")),
        ("data/apples.csv", SourceName(Path("data/apples.csv"), None)),
        ("./apples/clean", SourceName(Path("apples/clean"), None)),
        ("apples/unknown", SourceName(Path("apples/unknown"), None)),
    ],
)
def test_parse_recognises_the_kind_of_a_name(text: str, name: object) -> None:
    assert parse(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apples@0", "is not a valid name"),
        ("apples@new", "is not a valid name"),
        ("sha256:xyz", "is not a valid name"),
        ("sha256:012", "is not a valid name"),
        ("apples/clean@xyz", "is not a valid name"),
        ("apples/clean.train", "clean has no part 'train'; valid: snapshot, quarantine"),
        ("apples/split.tain@012345", "did you mean 'train'"),
        ("apples/train", "train stores no table; write apples@3 for a model version"),
    ],
)
def test_parse_refuses_invalid_names(text: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        parse(text)


@pytest.mark.parametrize("text", ["a" * 5_000, "a@" + "a" * 5_000, f"./{'a/' * 3_000}"])
def test_what_is_too_long_for_a_path_is_no_name(text: str) -> None:
    told = r"…' is not a valid file name \(File name too long\)"
    with pytest.raises(UnknownNameError, match=told):
        parse(text)


def test_an_existing_file_may_look_like_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "apples@new").touch()
    assert parse("apples@new") == SourceName(Path("apples@new"), None)


@given(
    pipeline=st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True),
    table=st.sampled_from(
        [
            ("ingest", None),
            ("clean", "quarantine"),
            ("split", "validation"),
            ("evaluate", "predictions"),
        ]
    ),
    version=st.from_regex(r"[0-9a-f]{6,64}", fullmatch=True),
)
def test_parse_reads_every_name_that_is_printed(
    pipeline: str, table: tuple[str, str | None], version: str
) -> None:
    stage, part = table
    parsed = parse(snapshot_name(pipeline, stage, part, version))
    assert parsed == SnapshotName(pipeline, stage, part, version)  # type: ignore[arg-type]
