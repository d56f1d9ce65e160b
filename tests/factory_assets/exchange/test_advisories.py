"""Advisories in OSV's format are compared by version; a hostile file ends in one line."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.exchange import osv
from factory_assets.exchange.advisories import compare_advisories
from factory_assets.exchange.osv import OsvRecord, read_osv
from factory_assets.execution.installed import installed_distributions
from factory_resources.errors import SourceError

LOCK = {"fruit": "1.5", "basket": "2.0+cpu", "odd": "2004d"}


def _record(name: str = "fruit", **affected: Any) -> dict[str, Any]:
    return {
        "schema_version": "1.7.0",
        "id": "PYSEC-2026-1",
        "modified": "2026-11-20T10:00:00Z",
        "aliases": ["CVE-2026-1"],
        "summary": "Fruit is eaten by others",
        "affected": [{"package": {"ecosystem": "PyPI", "name": name}, **affected}],
    }


def _range(*events: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": [{name: at} for name, at in events]}]}


def _found(record: dict[str, Any]) -> list[tuple[str, bool]]:
    records = [OsvRecord.model_validate_json(json.dumps(record))]
    return [(one.name, one.undecided) for one in compare_advisories(LOCK, records).findings]


@pytest.mark.parametrize(
    ("affected", "is_found"),
    [
        (_range(("introduced", "0")), True),
        (_range(("introduced", "0"), ("fixed", "1.5")), False),
        (_range(("introduced", "0"), ("fixed", "1.5.1")), True),
        (_range(("introduced", "1.5rc1"), ("fixed", "2")), True),
        (_range(("introduced", "1.5")), True),
        (_range(("introduced", "1.6")), False),
        (_range(("introduced", "0"), ("last_affected", "1.5")), True),
        (_range(("introduced", "0"), ("last_affected", "1.4")), False),
        (_range(("fixed", "1.2"), ("introduced", "0")), False),
        (_range(("introduced", "0"), ("fixed", "1.2"), ("introduced", "1.4")), True),
        (_range(("introduced", "0"), ("limit", "1.5")), False),
        (_range(("introduced", "0"), ("limit", "1.6")), True),
        (_range(("introduced", "0"), ("limit", "1.2"), ("limit", "1.6")), True),
        (_range(("introduced", "0"), ("limit", "*")), True),
        (_range(("introduced", "0"), ("limit", "1.2"), ("limit", "*")), True),
        (_range(("introduced", "0"), kind="GIT"), False),
        ({"versions": ["1.4", "1.5"]}, True),
        ({"versions": ["1.5.0"]}, True),
        ({"versions": ["1.4"]}, False),
        ({"versions": ["1.5"], **_range(("introduced", "1.6"))}, True),
    ],
)
def test_a_version_is_affected_as_the_specification_says(
    affected: dict[str, Any], is_found: bool
) -> None:
    assert _found(_record(**affected)) == ([("fruit", False)] if is_found else [])


@pytest.mark.parametrize("version", ["0.dev0", "0a1", "0"])
def test_zero_is_before_every_version(version: str) -> None:
    record = OsvRecord.model_validate(_record(**_range(("introduced", "0"), ("fixed", "1"))))
    assert compare_advisories({"fruit": version}, [record]).findings


def test_names_and_local_versions_are_normalised() -> None:
    assert _found(_record("Basket", versions=["2.0"])) == [("basket", False)]
    assert _found(_record("FRUIT", **_range(("introduced", "0")))) == [("fruit", False)]


def test_versions_that_cannot_be_compared_are_left_to_a_person() -> None:
    assert _found(_record("odd", **_range(("introduced", "0")))) == [("odd", True)]
    assert _found(_record("odd", versions=["2004d"])) == [("odd", False)]
    assert _found(_record("fruit", **_range(("introduced", "1.x!")))) == [("fruit", True)]


def test_what_cannot_be_compared_hides_no_version_that_is_affected() -> None:
    listed, odd = (
        _record(**one)["affected"][0]
        for one in ({"versions": ["1.5"]}, _range(("introduced", "1.x!")))
    )
    for affected in ([listed, odd], [odd, listed]):
        assert _found({**_record(), "affected": affected}) == [("fruit", False)]


def test_a_commit_is_no_version_in_which_it_is_fixed() -> None:
    ranges = [
        _range(("introduced", "0"), ("fixed", fixed), kind=kind)["ranges"][0]
        for kind, fixed in (("GIT", "8f14e45f"), ("ECOSYSTEM", "1.6"))
    ]
    record = OsvRecord.model_validate(_record(ranges=ranges))
    [finding] = compare_advisories(LOCK, [record]).findings
    assert finding.fixed == ("1.6",)


@pytest.mark.parametrize("limit", ["_RECORDS", "_ALL_BYTES"])
def test_more_records_than_there_are_of_pypi_are_refused(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _write(tmp_path / "osv", _record(), _record())
    size = sum(file.stat().st_size for file in folder.iterdir())
    most = {"_RECORDS": 2, "_ALL_BYTES": size}[limit]
    monkeypatch.setattr(osv, limit, most)
    assert len([*read_osv(folder)]) == 2
    monkeypatch.setattr(osv, limit, most - 1)
    with pytest.raises(SourceError, match="has more than"):
        [*read_osv(folder)]


def test_how_old_advisories_are_is_told_by_the_newest_of_all() -> None:
    times = [f"2026-11-{day}T10:00:00Z" for day in (20, 22, 21)]
    records = [
        OsvRecord.model_validate({**_record(), "modified": time, "withdrawn": time})
        for time in times
    ]
    newest = compare_advisories(LOCK, records).newest
    assert newest is not None
    assert newest.isoformat() == "2026-11-22T10:00:00+00:00"


def test_withdrawn_advisories_and_other_ecosystems_do_not_count() -> None:
    record = _record(versions=["1.5"])
    assert _found({**record, "withdrawn": "2026-11-21T00:00:00Z"}) == []
    record["affected"][0]["package"]["ecosystem"] = "npm"
    assert _found(record) == []


def _write(folder: Path, *records: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, record in enumerate(records):
        (folder / f"{number}.json").write_text(json.dumps(record))
    return folder


def _zip(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.json", content)
    return path


def test_a_folder_and_an_archive_have_the_same_records(tmp_path: Path) -> None:
    first, second = _record(versions=["1.5"]), {**_record("odd"), "id": "GHSA-1"}
    folder = [*read_osv(_write(tmp_path / "osv", first, second))]
    contents = [json.dumps(one).encode() for one in (first, second)]
    assert folder == [*read_osv(_zip(tmp_path / "osv.zip", a=contents[0], b=contents[1]))]
    assert [one.id for one in folder] == ["PYSEC-2026-1", "GHSA-1"]


def _deep() -> bytes:
    return b'{"id": "a", "affected": ' + b"[" * 200_000


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a record of OSV"),
        (b"[]", "is not a record of OSV"),
        (b"\xff\xfe", "is not a record of OSV"),
        (_deep(), "is not a record of OSV"),
        (json.dumps(_record(versions="1.5")).encode(), "affected.0.versions"),
        (json.dumps(_record(versions=[1.5])).encode(), "affected.0.versions.0"),
        (json.dumps({**_record(), "id": 5}).encode(), "id"),
        (json.dumps({**_record(), "modified": "yesterday"}).encode(), "modified"),
        (json.dumps({**_record(), "modified": "2026-01-01T00:00:00"}).encode(), "modified"),
        (b'{"id": "' + b"x" * (9 * 1024 * 1024), "has more than 8,388,608 bytes"),
    ],
    ids=["empty", "list", "bytes", "deep", "text", "number", "id", "time", "zone", "huge"],
)
def test_a_hostile_record_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    for path in (_zip(tmp_path / "osv.zip", a=content), tmp_path / "osv"):
        if path.suffix != ".zip":
            path.mkdir()
            (path / "a.json").write_bytes(content)
        done = CliRunner().invoke(main, ["audit-deps", "--advisories", str(path)])
        assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
        assert told in done.output
        assert len(done.output) < 600


def test_what_is_no_archive_of_records_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "empty").mkdir()
    damaged = _zip(tmp_path / "damaged.zip", a=json.dumps(_record()).encode())
    content = bytearray(damaged.read_bytes())
    content[45] ^= 255
    damaged.write_bytes(content)
    encrypted = _zip(tmp_path / "encrypted.zip", a=b"{}")
    content = bytearray(encrypted.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    encrypted.write_bytes(content)
    named = tmp_path / "named.zip"
    with zipfile.ZipFile(named, "w") as archive:
        archive.writestr("é.json", json.dumps(_record()))
    named.write_bytes(named.read_bytes().replace("é".encode(), b"\xff\xff"))
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.json", json.dumps(_record()))
    content = bytearray(packed.read_bytes())
    # The first of the properties, behind the header, the name, and their version and size.
    content[30 + len("a.json") + 4] = 255
    packed.write_bytes(content)
    damages = ("text", "damaged", "encrypted", "missing", "named", "packed")
    for name in (*(f"{one}.zip" for one in damages), "empty"):
        with pytest.raises(SourceError, match=r"give a folder or \.zip of OSV"):
            [*read_osv(tmp_path / name)]


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    folder = _write(tmp_path / "osv", _record())
    (folder / "loop.json").symlink_to(folder / "loop.json")
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    assert len([*read_osv(folder)]) == 1


def test_the_command_says_what_it_found_and_how_old_the_file_is(tmp_path: Path) -> None:
    installed = installed_distributions()
    affected = _record("numpy", **_range(("introduced", "0"), ("fixed", "99")))
    affected["summary"] = "An \x1b[31marray\u202e"
    later = {**_record("nobody-has-this"), "id": "PYSEC-2026-2", "modified": "2026-11-25T00:00:00Z"}
    path = str(_write(tmp_path / "osv", affected, later))
    done = CliRunner().invoke(main, ["audit-deps", "--advisories", path])
    assert done.exit_code == 1
    assert done.output == (
        f"numpy {installed['numpy']}: affected by PYSEC-2026-1, CVE-2026-1, fixed in 99: "
        "An \\x1b[31marray\\u202e\n"
        f"this environment: {len(installed)} distributions, 2 advisories "
        "(the newest of 2026-11-25), 1 found\n"
    )
    done = CliRunner().invoke(main, ["audit-deps", "--advisories", path, "--json"])
    told = json.loads(done.output)
    assert (told["format"], told["version"], told["advisories"]) == ("factory.advisories", 1, 2)
    assert told["newest"] == "2026-11-25T00:00:00+00:00"
    assert [(one["name"], one["fixed"]) for one in told["findings"]] == [("numpy", ["99"])]


def test_nothing_found_is_exit_code_0(tmp_path: Path) -> None:
    path = str(_write(tmp_path / "osv", _record("nobody-has-this", versions=["1"])))
    done = CliRunner().invoke(main, ["audit-deps", "--advisories", path])
    assert done.exit_code == 0
    assert done.output.endswith(" 1 advisory (the newest of 2026-11-20), none found\n")
