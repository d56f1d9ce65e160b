"""Objects of a real S3 API server: packing, globs, labels, errors, and which are fetched again."""

import gzip
import io
import socket
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.data.sources import files
from factory_assets.execution.backfill import backfill, wanted
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.serving.scored_file import as_declared
from factory_assets.spec import FileSource
from factory_assets.stages.ingest import ingest
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources import object_storage
from tests.data_stages import column, pipeline, rows
from tests.factory_assets.data.sources.test_discovery import key
from tests.storage import S3

SECRET = "hush/4711+x"

CSV = b"id,y\n1,2\n2,3\n"


@pytest.fixture
def plant(s3: S3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Set the access to the server; return the name of the test's own folder."""
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", s3.endpoint)
    monkeypatch.setenv("FACTORY_S3_ACCESS_KEY", "reader")
    monkeypatch.setenv("FACTORY_S3_SECRET_KEY", SECRET)
    return request.node.name.replace("[", "-").replace("]", "")  # type: ignore[no-any-return]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the names of the objects that are fetched."""
    names: list[str] = []
    real = files.fetch

    def counted(one: Any, storage: Any, target: Path) -> str:
        names.append(one.name.rpartition("/")[2])
        return real(one, storage, target)

    monkeypatch.setattr(files, "fetch", counted)
    return names


def _packed() -> dict[str, bytes]:
    zipped, parquet = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("inner.csv", CSV)
    pq.write_table(pa.table({"id": [1, 2], "y": [2, 3]}), parquet)
    return {
        "a.csv": CSV,
        "a.csv.gz": gzip.compress(CSV),
        "a.zip": zipped.getvalue(),
        "a.parquet": parquet.getvalue(),
        "a b+ü?#%.jsonl": b'{"id": 1, "y": 2}\n{"id": 2, "y": 3}\n',
    }


@pytest.mark.parametrize("name", _packed())
def test_objects_of_every_packing_are_read(
    name: str, s3: S3, plant: str, tmp_path: Path, home: Home
) -> None:
    content = _packed()[name]
    s3.put(f"packed/{name}", content)
    escaped = name.replace("?", "[?]")
    result = ingest(pipeline(tmp_path, files=f"s3://plant/packed/{escaped}"), home)
    digest = sha256(content).hexdigest()
    assert rows(result.snapshot, home) == [
        {"id": 1, "y": 2, "_file": digest, "_row": 1},
        {"id": 2, "y": 3, "_file": digest, "_row": 2},
    ]
    assert result.sources[0].name.startswith(f"s3://plant/packed/{name}")


def test_objects_are_found_by_globs_and_labelled(
    s3: S3, plant: str, tmp_path: Path, home: Home
) -> None:
    hidden = ("a/.1.csv", "a/._2.csv")
    for name in ("b/1.csv", "a/2.csv", "a/1.csv", "a/deep/3.csv", "a/other.txt", *hidden):
        s3.put(f"{plant}/{name}", f"y,x\n{name[-5]},{name}\n".encode())

    def values(pattern: str) -> list[str]:
        files = f"s3://plant/{plant}/{pattern}"
        return column(ingest(pipeline(tmp_path, files=files), home).snapshot, home, "x")

    assert values("a/*.csv") == ["a/1.csv", "a/2.csv"]
    assert values("a/.*.csv") == ["a/.1.csv", "a/._2.csv"]
    assert values("a/.1.csv") == ["a/.1.csv"]
    assert values("*/1.csv") == ["a/1.csv", "b/1.csv"]
    assert values("**/[13].csv") == ["a/1.csv", "a/deep/3.csv", "b/1.csv"]
    overlapping = [f"s3://plant/{plant}/{pattern}" for pattern in ("a/1.csv", "a/*.csv")]
    source = {"source": {"files": overlapping}}
    with pytest.raises(SourceError, match=rf"two patterns match s3://plant/{plant}/a/1.csv"):
        ingest(pipeline(tmp_path, ingest=source), home)
    files = {"z": f"s3://plant/{plant}/a/1.csv", "n": f"s3://plant/{plant}/b/*.csv"}
    part = {"source": {"files": files, "label": "site"}}
    result = ingest(pipeline(tmp_path, ingest=part), home)
    assert column(result.snapshot, home, "site") == ["n", "z"]


def test_an_unchanged_object_is_not_fetched_again(
    s3: S3, plant: str, tmp_path: Path, home: Home, fetched: list[str]
) -> None:
    for name in ("1", "2"):
        s3.put(f"{plant}/{name}.csv", f"y\n{name}\n".encode())
    declared = pipeline(tmp_path, files=f"s3://plant/{plant}/*.csv")
    first = key(declared, home)
    assert key(declared, home) == first
    assert fetched == ["1.csv", "2.csv"]
    # The object changes without a change of size, within the same second.
    s3.put(f"{plant}/2.csv", b"y\n9\n")
    assert key(declared, home) != first
    assert fetched == ["1.csv", "2.csv", "2.csv"]
    # The digests are known, but ingest needs the rows.
    assert column(ingest(declared, home).snapshot, home, "y") == [1, 9]
    assert fetched == ["1.csv", "2.csv", "2.csv", "1.csv", "2.csv"]


def test_errors_of_the_storage_are_reported_without_the_keys(
    s3: S3, plant: str, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(f"{plant}/a.csv", CSV)
    s3.put(f"{plant}/deep/b.csv", CSV)

    monkeypatch.setenv("FACTORY_NOTHING", "")

    def refused(files: str, says: str, **storage: str) -> None:
        source = {"files": files, **({"storage": storage} if storage else {})}
        with pytest.raises(SourceError, match=says) as caught:
            ingest(pipeline(tmp_path, ingest={"source": source}), home)
        error: BaseException | None = caught.value
        assert "\n" not in str(error)
        while error:
            assert SECRET not in str(error)
            error = error.__cause__

    refused("s3://nowhere/*.csv", "s3://nowhere/.*: there is no such bucket")
    refused("s3://nowhere/a.csv", "s3://nowhere/.*: ")
    refused(f"s3://plant/{plant}/b*.csv", rf"no object matches.*{plant} holds a\.csv, deep/")
    refused(f"s3://plant/{plant}/b.csv", rf"no object matches.*{plant} holds a\.csv, deep/")
    refused(f"s3://plant/{plant}", "no object matches")
    s3.put(f"{plant}/export", CSV)
    unnamed = f"^p/ingest: s3://plant/{plant}/export: the name does not show the format; set"
    refused(f"s3://plant/{plant}/exp*", unnamed)
    for name in ("s3://*/a.csv", "s3://", "s3:///x", "s3://plant"):
        refused(name, "does not name a bucket and an object")
    for address in (
        "${FACTORY_NOTHING}",
        "ftp://x",
        "storage:9000",
        "http://h:port",
        "http://:80",
        "http://[::1",
    ):
        refused("s3://plant/a.csv", "is not the address of an object storage", endpoint=address)
    refused("s3://plant/a.csv", "cannot be reached", endpoint="http://127.0.0.1:1")
    refused("s3://plant/a.csv", "secret OTHER is not set", access_key="OTHER")
    with s3.strict():
        refused(f"s3://plant/{plant}/*.csv", "does not know this access key|refuses these keys")
        refused(f"s3://plant/{plant}/a.csv", "does not know this access key|refuses these keys")
    monkeypatch.delenv("FACTORY_S3_ENDPOINT")
    refused("s3://plant/a.csv", r"FACTORY_S3_ENDPOINT\} is not set")


def test_who_lists_a_storage_that_does_not_answer_waits_shortly(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_storage, "_LISTED", 1)
    for name in ("FACTORY_S3_ACCESS_KEY", "FACTORY_S3_SECRET_KEY"):
        monkeypatch.setenv(name, SECRET)
    told = "^s3://plant/.*: the storage does not answer in time; check source.files"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("FACTORY_S3_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        source = FileSource(files="s3://plant/*.csv")
        with pytest.raises(SourceError, match=told):
            object_storage.find_objects(source.files, files.storage_of(source, home))


def test_an_object_that_changes_while_it_is_read_is_refused(
    s3: S3, plant: str, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(f"{plant}/a.csv", CSV)
    declared = pipeline(tmp_path, files=f"s3://plant/{plant}/a.csv")
    real = files.fetch

    def late(one: Any, storage: Any, target: Path) -> str:
        s3.put(f"{plant}/a.csv", CSV.replace(b"3", b"4"))
        return real(one, storage, target)

    monkeypatch.setattr(files, "fetch", late)
    with pytest.raises(SourceError, match=r"a\.csv: changed while it was read; run again"):
        ingest(declared, home)


def test_a_local_file_is_scored_in_place_of_objects(plant: str, tmp_path: Path) -> None:
    declared = pipeline(tmp_path, files=f"s3://plant/{plant}/a.csv")
    source = as_declared(declared.spec.ingest, tmp_path / "x.csv")
    assert isinstance(source, FileSource)
    assert not source.remote


def test_partitions_are_found_by_the_names_of_objects(
    s3: S3, plant: str, tmp_path: Path, home: Home
) -> None:
    for name in ("m1/2024-01-01.csv", "m1/2024-01-02.csv", "m2/2024-01-02.csv", "m2/x.csv"):
        s3.put(f"{plant}/{name}", b"id,y\n1,2\n")
    declared = pipeline(
        tmp_path,
        ingest={
            "source": {"files": f"s3://plant/{plant}/{{machine}}/{{day}}.csv"},
            "contract": [{"name": "id", "type": "int64"}, {"name": "y", "type": "int64"}],
        },
        partitions={
            "day": {"every": "day", "start": "2024-01-01", "end": "2024-01-04"},
            "machine": {"dynamic": True},
        },
    )
    found = wanted(declared, datetime(2024, 2, 1, tzinfo=UTC), {}, home)
    keys = ["2024-01-01|m1", "2024-01-02|m1", "2024-01-02|m2"]
    assert [partition.key for partition in found.partitions] == keys
    assert found.absent == 3
    done = list(
        backfill(run_stage, StageRequest(declared, "ingest", home, "run"), found.partitions)
    )
    assert [one.error for one in done] == [None] * 6
    value = latest_result(ResultQuery(declared, "clean", home))
    assert isinstance(value, CleanResult)
    assert column(value.snapshot, home, "machine") == ["m1", "m1", "m2"]
