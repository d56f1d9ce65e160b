"""Discovery of source files: names, globs, variables, formats; and unpacking of zips."""

import os
import re
import zipfile
from errno import EACCES
from pathlib import Path

import pytest

from factory_resources.errors import SourceError
from factory_resources.sources.files.archives import take_member
from factory_resources.sources.files.discovery import (
    expand,
    expand_all,
    find_files,
    format_of,
    require_distinct,
    sha256_of,
)


def test_only_the_factorys_variables_are_replaced() -> None:
    known = {"FACTORY_DATA": "/data", "HOME": "/home/me"}
    assert expand("${FACTORY_DATA}/x $HOME ${", known) == "/data/x $HOME ${"
    with pytest.raises(SourceError, match=r"variable \$\{HOME\} is not replaced; use only"):
        expand("${HOME}/x", known)
    with pytest.raises(SourceError, match=r"FACTORY_X\} is not set; set FACTORY_X .*FACTORY_DATA"):
        expand("${FACTORY_X}", known)
    assert expand("${FACTORY_DATA}", {}).endswith("shared/data")


def test_expand_all_replaces_variables_in_nested_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_X", "1")
    value = {"a": ["${FACTORY_X}", 2, None], "b": {"c": "x${FACTORY_X}"}}
    assert expand_all(value) == {"a": ["1", 2, None], "b": {"c": "x1"}}


def test_files_have_the_names_that_were_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv", "deep/er/c.csv", "odd[1].csv"):
        (tmp_path / name).write_text(name)

    def names(*patterns: str) -> list[str]:
        return [file.name for file in find_files(patterns, tmp_path)]

    assert names("a.csv", "odd[1].csv") == ["a.csv", "odd[1].csv"]
    assert names("${FACTORY_DATA}/a.csv") == ["${FACTORY_DATA}/a.csv"]
    assert names("${FACTORY_DATA}/*/*.csv") == ["${FACTORY_DATA}/deep/b.csv"]
    assert names(f"{tmp_path}/a.csv", "~/a.csv") == ["~/a.csv", "~/a.csv"]
    assert names("**/*.csv") == ["a.csv", "deep/b.csv", "deep/er/c.csv", "odd[1].csv"]
    assert names("${FACTORY_DATA}/deep/**/*.csv") == [
        f"${{FACTORY_DATA}}/{name}" for name in ("deep/b.csv", "deep/er/c.csv")
    ]
    assert names("~/d*/**/?.csv", "deep/er/../**/c.csv") == [
        *("~/deep/b.csv", "~/deep/er/c.csv", "deep/er/../er/c.csv"),
    ]
    labelled = find_files({"x": "a.csv", "y": "deep/*.csv"}, tmp_path)
    assert [(f.label, f.path.name) for f in labelled] == [("x", "a.csv"), ("y", "b.csv")]


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        (("a.csv", "*.csv"), "two patterns match a.csv"),
        (("*.csv", "./a.csv"), "a.csv and ./a.csv are the same file"),
        ({"x": "a.csv", "y": "?.csv"}, "two patterns match a.csv"),
        (("now/*.csv",), "now/latest.csv and now/may.csv are the same file"),
    ],
)
def test_no_file_is_read_twice(
    patterns: tuple[str, ...] | dict[str, str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "now").mkdir()
    for name in ("a.csv", "b.csv", "now/april.csv", "now/may.csv"):
        (tmp_path / name).write_text("the same bytes")
    (tmp_path / "now/latest.csv").symlink_to("may.csv")
    require_distinct(find_files(("[ab].csv", "now/[am]*.csv"), tmp_path), "source.files")
    with pytest.raises(SourceError, match=re.escape(f"source.files: {says}")):
        require_distinct(find_files(patterns, tmp_path), "source.files")


def test_brackets_in_the_name_of_a_folder_are_no_glob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fold[12]/a.csv", "fold[12]/b[3]/c.csv", "fold1/d.csv", "year1/e.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for folder in (tmp_path, tmp_path / "year1"):
        monkeypatch.chdir(folder)
        for pattern, names in {
            "fold[12]/*.csv": ["fold[12]/a.csv"],
            "fold[12]/*/*.csv": ["fold[12]/b[3]/c.csv"],
            "fold[12]/b[3]/?.csv": ["fold[12]/b[3]/c.csv"],
            "fold[12]/**/*.csv": ["fold[12]/a.csv", "fold[12]/b[3]/c.csv"],
            "year[12]/*.csv": ["year1/e.csv"],
            f"{tmp_path}/fold[12]/[ab].csv": [f"{tmp_path}/fold[12]/a.csv"],
        }.items():
            assert [file.name for file in find_files((pattern,), tmp_path)] == names


def test_globs_leave_out_hidden_files_unless_they_ask_for_them(tmp_path: Path) -> None:
    (tmp_path / ".deep").mkdir()
    for name in ("a.csv", ".m2.csv", "._a.csv", ".deep/b.csv", ".deep/.m3.csv"):
        (tmp_path / name).write_text(name)

    def names(*patterns: str) -> list[str]:
        return [file.path.name for file in find_files(patterns, tmp_path)]

    assert names("*.csv") == names("?.csv") == names("*") == ["a.csv"]
    assert names("**/*.csv") == ["b.csv", "a.csv"]
    assert names(".m*.csv") == [".m2.csv"]
    assert names("*/.*.csv") == [".m3.csv"]
    assert names(".m2.csv", str(tmp_path / "._a.csv")) == [".m2.csv", "._a.csv"]
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceError, match=r"no file matches '\*\.csv'; the folder .*\.m2\.csv"):
        find_files(("*.csv",), tmp_path)


def test_a_glob_without_match_is_reported_with_the_existing_names(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"f{number:02}.csv").touch()
    with pytest.raises(
        SourceError, match=r"no file matches 'x\*'; .*f00\.csv.*f09\.csv and 2 more"
    ):
        find_files(("x*",), tmp_path)
    with pytest.raises(SourceError, match=r"no file matches 'no/such/file'"):
        find_files(("no/such/file",), tmp_path)


@pytest.mark.parametrize("pattern", ["*/a.csv", "**/*.csv", "two*/a.csv", "one/../t*/a.csv"])
def test_a_folder_that_may_not_be_searched_is_not_passed_over(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = {tmp_path / "two", tmp_path / ".trash", tmp_path / "lost+found"}
    for folder in (tmp_path / "one", *closed):
        folder.mkdir()
        (folder / "a.csv").touch()
    allowed = os.access
    monkeypatch.setattr(
        "os.access", lambda path, mode: allowed(path, mode) and Path(path).resolve() not in closed
    )
    with pytest.raises(SourceError, match=r"two: this folder cannot be searched .*Permission"):
        find_files((pattern,), tmp_path)
    closed.remove(tmp_path / "two")
    assert (tmp_path / "two" / "a.csv") in {
        one.path.resolve() for one in find_files((pattern,), tmp_path)
    }


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> list[str]:
        raise PermissionError(EACCES, "Permission denied", str(path))

    monkeypatch.setattr("os.listdir", refused)
    with pytest.raises(SourceError, match=r": this folder cannot be searched .*Permission"):
        find_files(("a.csv",), tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", ("csv", "plain")),
        ("a.TSV.GZ", ("csv", "gz")),
        ("processed.va.data", ("csv", "plain")),
        ("a.ndjson.zst", ("jsonl", "zst")),
        ("a.b.parquet", ("parquet", "plain")),
        ("a.zip", (None, "zip")),
        ("a.csv.zip", ("csv", "zip")),
    ],
)
def test_format_and_packing_follow_from_the_name(
    name: str, expected: tuple[str | None, str]
) -> None:
    assert format_of(name) == expected


def test_a_declared_format_needs_no_suffix() -> None:
    assert format_of("data", "csv") == ("csv", "plain")
    assert format_of("data.gz", "parquet") == ("parquet", "gz")
    with pytest.raises(SourceError, match=r"data: the name does not show the format"):
        format_of("data")


def test_a_zip_member_that_leads_out_is_not_unpacked(tmp_path: Path) -> None:
    path, scratch = tmp_path / "z.zip", tmp_path / "scratch"
    scratch.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.csv", "y\n1\n")
    with pytest.raises(SourceError, match=r"member .*evil\.csv. leads out of the zip"):
        take_member(path, "z.zip", None, scratch)
    assert not list(scratch.iterdir())
    assert not (tmp_path.parent / "evil.csv").exists()


@pytest.mark.parametrize("name", ["data[1].csv", "a.csv", "x/a.csv"])
def test_a_zip_member_is_found_by_its_whole_name(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for each in ("a.csv", "x/a.csv", "data1.csv", "data[1].csv"):
            archive.writestr(each, each)
    taken, found = take_member(tmp_path / "z.zip", "z.zip", name, tmp_path)
    assert (found, taken.read_text()) == (name, name)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("factory_resources.sources.files.archives.LARGEST", 1_000_000)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 5_000_000)
    with pytest.raises(SourceError, match="unpacks to more than 1,000,000 bytes"):
        take_member(tmp_path / "z.zip", "z.zip", None, tmp_path)


def test_the_digest_of_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"x\.csv: cannot be read \(No such file"):
        sha256_of(tmp_path / "x.csv", "x.csv")
