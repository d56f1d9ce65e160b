"""Tables in a store: several homes commit to one log, and read files that they fetch."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest
from deltalake import DeltaTable

from factory_resources.delta_protocol import newest_commit
from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.sql.engine import sealed
from factory_resources.store.client import StoreAwayError
from factory_resources.store.location import uses_store
from factory_resources.store.store import ChangedObjectError, SharedStore, shared_store
from factory_resources.tables.carrying_over import keep_pipeline, to_home, to_store
from factory_resources.tables.delta_log import publish
from factory_resources.tables.logged_files import current_files
from factory_resources.tables.shared_log import SharedLog, catch_up
from factory_resources.tables.snapshot import Snapshot, exists, read_arrow
from factory_resources.tables.writer import write
from tests.disks import small_disk
from tests.killed_steps import KillPoint, die_after
from tests.storage import S3


@pytest.fixture(autouse=True)
def _store(s3: S3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Name a store of its own for each test."""
    prefix = request.node.name.replace("[", "-").replace("]", "")
    monkeypatch.setenv("FACTORY_STORE", f"s3://plant/log/{prefix}")
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", s3.endpoint)
    monkeypatch.setenv("FACTORY_S3_ACCESS_KEY", "a")
    monkeypatch.setenv("FACTORY_S3_SECRET_KEY", "b")


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Home, Home]:
    """Two homes of one factory, in whose store nothing is yet."""
    one, two = Home(tmp_path / "one"), Home(tmp_path / "two")
    Ledger(one).begin()
    shutil.copytree(one.path, two.path)
    for home in (one, two):
        _of(home).claim()
    return one, two


def _of(home: Home) -> SharedStore:
    store = shared_store(home)
    assert store is not None
    return store


def _write(
    home: Home, query: str, partition: str | None = None, *, shared: bool = True
) -> Snapshot:
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        snapshot = write(connection, query, home=home, table="p/t", folder=scratch)
    return publish(snapshot, home, partition, shared=shared)


def _values(snapshot: Snapshot, home: Home) -> list[int]:
    values: list[int] = read_arrow(snapshot, home)["a"].to_pylist()
    return values


def _keys(home: Home, ending: str) -> list[str]:
    return [one.key for one in _of(home).client.list("tables/") if one.key.endswith(ending)]


def _read_elsewhere(home: Home, s3: S3) -> list[int]:
    """Read the table as a reader that knows nothing of the factory."""
    options = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    table = DeltaTable(f"{_of(home).address}/tables/p/t", storage_options=options)
    return sorted(table.to_pyarrow_table()["a"].to_pylist())


def test_another_home_reads_what_one_has_stored(homes: tuple[Home, Home], s3: S3) -> None:
    one, two = homes
    snapshot = _write(one, "SELECT 1 AS a")
    catch_up(two)
    folder = two.tables / "p" / "t"
    assert current_files(folder) == {snapshot.files[0].name}
    # Rows are fetched by whoever reads them.
    assert not [*folder.glob("*.parquet")]
    assert exists(snapshot, two)
    assert _values(snapshot, two) == _read_elsewhere(two, s3) == [1]


def test_of_two_homes_that_commit_at_once_both_are_heard(homes: tuple[Home, Home], s3: S3) -> None:
    """Eight partitions each, in two threads that begin together: each commit is there once."""
    start, failed = Barrier(2), []

    def commit(home: Home, numbers: range) -> None:
        start.wait()
        for number in numbers:
            try:
                _write(home, f"SELECT {number} AS a", str(number))
            except StorageError as error:
                failed.append(str(error))

    threads = [
        Thread(target=commit, args=(home, range(start, start + 8)))
        for home, start in zip(homes, (0, 8), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert _read_elsewhere(homes[0], s3) == [*range(16)]
    assert len(_keys(homes[0], "0.json") + _keys(homes[0], "5.json")) == 4
    for home in homes:
        catch_up(home)
    logs = [
        {p.name: p.read_bytes() for p in (h.tables / "p" / "t" / "_delta_log").glob("*.json")}
        for h in homes
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 16


def test_a_loser_is_refused_in_one_line_after_many_turns(
    homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = homes
    _write(one, "SELECT 1 AS a")
    monkeypatch.setattr("factory_resources.tables.delta_log._TURNS", 3)
    published = SharedLog.publish

    def late(log: SharedLog) -> bool:
        # Somebody else is first each time.
        number = newest_commit(two.tables / "p" / "t")
        key = f"tables/p/t/_delta_log/{number:020}.json"
        log.store.client.write(key, b'{"commitInfo": {}}', new=True)
        return published(log)

    monkeypatch.setattr(SharedLog, "publish", late)
    with pytest.raises(StorageError, match="others have committed to this table 3 times"):
        _write(two, "SELECT 2 AS a")
    monkeypatch.undo()


def test_a_commit_whose_answer_was_lost_counts_once(
    homes: tuple[Home, Home], s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory_resources.store.client import StoreClient

    answered = StoreClient.write

    def lost(client: StoreClient, key: str, content: bytes, *, new: bool = False) -> bool:
        answered(client, key, content, new=new)
        return answered(client, key, content, new=new)

    monkeypatch.setattr(StoreClient, "write", lost)
    _write(homes[0], "SELECT 1 AS a")
    assert len(_keys(homes[0], ".json")) == 1
    assert _read_elsewhere(homes[0], s3) == [1]


KILLS = {
    "the file is there, and no log names it": KillPoint(
        "factory_resources.store.store:SharedStore", "upload"
    ),
    "the home alone has the commit": KillPoint("factory_resources.tables.delta_log", "_log"),
    "the store has the commit, and the home does not know": KillPoint(
        "factory_resources.store.client:StoreClient", "write"
    ),
}


def write_and_die(home: str, owner: str, name: str) -> None:
    """Write to the table of a home; this process is killed after a step of it."""
    die_after(KillPoint(owner, name))
    # Its time without a zone makes two commits of it.
    _write(Home(Path(home)), "SELECT 2 AS a, TIMESTAMP '2020-01-01' AS t")


@pytest.mark.slow
@pytest.mark.parametrize("step", KILLS.values(), ids=["file", "home", "store"])
def test_a_kill_leaves_the_old_version_or_the_new_one(
    step: KillPoint, homes: tuple[Home, Home], s3: S3
) -> None:
    one, two = homes
    _write(one, "SELECT 1 AS a")
    script = "import sys; from tests.factory_resources.tables import test_shared_log as test; "
    script += "test.write_and_die(*sys.argv[1:])"
    arguments = [str(one.path), step.owner, step.name]
    died = subprocess.run([sys.executable, "-c", script, *arguments], cwd=PROJECT, check=False)
    assert died.returncode == -signal.SIGKILL
    # Another home goes on meanwhile; the one that was killed, after it.
    _write(two, "SELECT 3 AS a")
    assert _read_elsewhere(two, s3) == [3]
    catch_up(one)
    assert current_files(one.tables / "p" / "t") == current_files(two.tables / "p" / "t")
    _write(one, "SELECT 2 AS a")
    assert _read_elsewhere(two, s3) == [2]
    assert len({*_keys(one, ".json")}) == newest_commit(one.tables / "p" / "t") + 1


def test_a_checkpoint_is_in_the_store_too(homes: tuple[Home, Home], s3: S3) -> None:
    one, two = homes
    for number in range(12):
        _write(one, f"SELECT {number} AS a")
    assert [key[-26:] for key in _keys(one, ".checkpoint.parquet")] == [
        "00000010.checkpoint.parquet"[-26:]
    ]
    catch_up(two)
    assert (two.tables / "p/t/_delta_log/_last_checkpoint").is_file()
    _write(two, "SELECT 12 AS a")
    assert _read_elsewhere(one, s3) == [12]


def test_a_file_that_was_changed_in_the_store_is_refused_and_named(
    homes: tuple[Home, Home],
) -> None:
    one, two = homes
    snapshot = _write(one, "SELECT 1 AS a")
    key = f"tables/p/t/{snapshot.files[0].name}"
    content = bytearray((one.path / key).read_bytes())
    content[40] ^= 1
    _of(one).client.write(key, bytes(content))
    with pytest.raises(ChangedObjectError) as caught:
        _values(snapshot, two)
    assert str(caught.value).startswith(f"{_of(one).address}/{key}: the object is not what was")
    assert not (two.path / key).exists()
    assert not [*(two.path / "tmp").glob("[!.l]*")]


def test_a_disk_that_is_full_is_one_line(homes: tuple[Home, Home], tmp_path: Path) -> None:
    one, _ = homes
    snapshot = _write(one, "SELECT CAST(hash(range) % 1e9 AS BIGINT) AS a FROM range(300_000)")
    with small_disk(tmp_path / "disk", 1 << 19) as disk:
        small = Home(disk.folder / "home")
        shutil.copytree(one.path / "store", small.path / "store")
        with pytest.raises(StorageError, match="No space left on device"):
            _values(snapshot, small)
        assert not [*small.tables.rglob("*.parquet")]
        assert disk.free > 1 << 18
        disk.resize(1 << 24)
        assert len(_values(snapshot, small)) == 300_000


def test_a_commit_that_the_store_has_lost_is_named(homes: tuple[Home, Home]) -> None:
    one, _ = homes
    _write(one, "SELECT 1 AS a")
    _of(one).client.remove("tables/p/t/_delta_log/00000000000000000000.json")
    with pytest.raises(StorageError, match="commit 0 of the table's log is gone"):
        _write(one, "SELECT 2 AS a")
    _of(one).client.write("tables/p/t/_delta_log/_other", b"")
    with pytest.raises(StorageError, match="commit 0 of the table's log is gone"):
        catch_up(one)


def test_an_empty_store_of_a_factory_that_had_one_is_refused(homes: tuple[Home, Home]) -> None:
    one, _ = homes
    _write(one, "SELECT 1 AS a")
    for item in [*_of(one).client.list("")]:
        _of(one).client.remove(item.key)
    with pytest.raises(StorageError, match="the store is empty, but tables of this factory were"):
        catch_up(one)


def test_a_store_belongs_to_one_ledger(homes: tuple[Home, Home], tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    for begin in (lambda: None, Ledger(other).begin):
        begin()
        with pytest.raises(StorageError, match="belongs to a factory with another ledger"):
            catch_up(other)


def test_a_table_that_stays_at_home_is_not_in_the_store(homes: tuple[Home, Home]) -> None:
    one, two = homes
    snapshot = _write(one, "SELECT 1 AS a", shared=False)
    assert not [*_of(one).client.list("tables/")]
    catch_up(one)
    assert _values(snapshot, one) == [1]
    assert not exists(snapshot, two)


def test_the_store_is_away_and_nothing_is_lost(
    homes: tuple[Home, Home], s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = homes
    before = _write(one, "SELECT 1 AS a")
    with monkeypatch.context() as patch:
        patch.setenv("FACTORY_S3_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(StoreAwayError, match="cannot be reached"):
            _write(one, "SELECT 2 AS a")
        # What the home has can still be read.
        assert _values(before, one) == [1]
    _write(one, "SELECT 2 AS a")
    assert _read_elsewhere(one, s3) == [2]


def test_tables_are_carried_over_and_back(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    Ledger(home).begin()
    with monkeypatch.context() as patch:
        patch.delenv("FACTORY_STORE")
        snapshots = [_write(home, f"SELECT {number} AS a") for number in (1, 2)]
    home.write_atomic(home.records / "p" / "ingest" / "k.json", b"{}")
    home.write_atomic(home.records / "q" / "ingest" / "k.json", b"{}")
    home.write_atomic(home.pictures / "previews" / "k.md", b"| rows of q |")
    assert to_store(_of(home), {"q"}, print) == 5
    assert _read_elsewhere(home, s3) == [2]
    assert not [*_of(home).client.list("records/q"), *_of(home).client.list("pictures/")]
    _write(home, "SELECT 3 AS a")
    for path in (home.tables / "p" / "t").glob("*.parquet"):
        path.unlink()
    there: list[tuple[bool, int]] = []

    def note(_: Home) -> None:
        there.append((uses_store(home), len([*(home.tables / "p" / "t").glob("*.parquet")])))

    monkeypatch.setattr(Home, "sync", note)
    assert to_home(_of(home), print) == 3
    # A power cut leaves what was fetched, or where it is.
    assert there == [(True, 3)]
    monkeypatch.delenv("FACTORY_STORE")
    assert not uses_store(home)
    assert [_values(snapshot, home) for snapshot in snapshots] == [[1], [2]]


def test_what_the_home_alone_is_to_have_is_on_its_disk_before_the_store_loses_it(
    homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = homes
    _write(one, "SELECT 1 AS a")
    [file] = (one.tables / "p" / "t").glob("*.parquet")
    file.unlink()
    there: list[tuple[bool, int]] = []

    def note(_: Home) -> None:
        there.append((file.exists(), len(_keys(one, ".parquet"))))

    monkeypatch.setattr(Home, "sync", note)
    keep_pipeline(_of(one), "p")
    assert (True, 1) in there
    assert not _keys(one, "")


def test_tables_are_not_carried_over_to_a_prefix_of_others(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    Ledger(home).begin()
    _of(home).client.write("notes.txt", b"mine")
    with pytest.raises(StorageError, match="something else already, such as 'notes"):
        to_store(_of(home), (), print)
