"""Backups of a real home: what is in them, what is shared, what is refused, what kills leave."""

import errno
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from factory_resources.backup import restoring
from factory_resources.backup.contents import JOURNAL, home_files
from factory_resources.backup.making import MadeBackup, make_backup
from factory_resources.backup.manifest import FILES, MANIFEST, NOTE, read_manifest
from factory_resources.backup.restoring import check_backup, restore_backup
from factory_resources.errors import OUTPUT_REMEDY, StorageError
from factory_resources.home.home import PROJECT, Home, scratch_prefix
from factory_resources.instance import prepare
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.ledger import Ledger
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.engines import open_store
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.segments import SEALED, read
from tests.approvals import Factory, copy_factory, make_factory
from tests.disks import failing_disk, small_disk
from tests.ledger import problems
from tests.long_run import in_long

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 1 waits."""
    return make_factory(tmp_path_factory.mktemp("made") / "root")


@pytest.fixture
def apples(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """A copy of it for one test."""
    factory = copy_factory(made, tmp_path / "factory", monkeypatch)
    prepare(factory.home)
    return factory


@pytest.fixture(scope="module")
def saved(made: Factory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one backup of it."""
    folder = tmp_path_factory.mktemp("saved") / "backups"
    with pytest.MonkeyPatch.context() as patch:
        home = copy_factory(made, tmp_path_factory.mktemp("copy") / "factory", patch).home
        prepare(home)
        _back_up(home, folder)
    return folder


def _quietly(_: str) -> None: ...


def _back_up(home: Home, target: Path, keep: int | None = None) -> MadeBackup:
    return make_backup(home, target, _quietly, keep)


def _contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file below a folder that is not in use."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _rows(database: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            for (name,) in names
        }


@pytest.mark.parametrize("target", ["backups", "backup.tar"])
def test_a_restored_home_is_that_of_the_backup(
    apples: Factory, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples.approve()
    before = {file.path: file for file in home_files(apples.home)}
    rows = {name: _rows(apples.home.path / name) for name in ("ledger.db", "mlflow.db")}
    done = _back_up(apples.home, tmp_path / target)
    restored = Home(tmp_path / "elsewhere" / "home")
    manifest = restore_backup(tmp_path / target, restored, _quietly)
    assert (manifest.ledger.size, manifest.ledger.root) == (done.entries, done.root)
    for path, file in before.items():
        copied = restored.path / path
        assert copied.read_bytes() == file.source.read_bytes(), path
        assert stat.S_IMODE(copied.stat().st_mode) & 0o077 == 0, path
    assert {name: _rows(restored.path / name) for name in rows} == rows
    assert stat.S_IMODE(restored.path.stat().st_mode) == 0o700
    assert (restored.path / "secrets" / "ledger_key").read_bytes() == (
        apples.home.path / "secrets" / "ledger_key"
    ).read_bytes()
    predicted = apples.factory("predict", "apples", apples.data)[1]
    monkeypatch.setenv("FACTORY_HOME", str(restored.path))
    monkeypatch.setenv("DAGSTER_HOME", str(restored.dagster))
    shutil.rmtree(apples.home.path)
    assert problems(restored) == []
    code, text = apples.factory("predict", "apples", apples.data)
    assert code == 0, text
    # The last column has the ids of the answers.
    assert [line.rpartition(",")[0] for line in text.splitlines()] == [
        line.rpartition(",")[0] for line in predicted.splitlines()
    ]
    code, text = apples.factory("run", "apples")
    assert code == 0, text
    assert "nothing changed since" in text


def test_the_ledger_names_the_backup_by_the_digest_of_its_manifest(
    apples: Factory, tmp_path: Path
) -> None:
    done = _back_up(apples.home, tmp_path / "backups")
    found = Ledger(apples.home).latest(BackupMade, BackupMade.subject_of())
    assert found is not None
    number, entry = found
    assert number == done.number == done.entries
    assert entry.manifest == sha256((done.path / MANIFEST).read_bytes()).hexdigest()
    assert (entry.files, entry.bytes) == (done.files, done.bytes)
    assert problems(apples.home) == []


def test_a_second_backup_shares_what_did_not_change(apples: Factory, tmp_path: Path) -> None:
    first = _back_up(apples.home, tmp_path / "backups")
    secret = apples.home.path / "secrets" / "token"
    secret.write_text("new")
    second = _back_up(apples.home, tmp_path / "backups")
    inodes = {
        done: {
            path.relative_to(done.path): path.stat().st_ino
            for path in (done.path / FILES).rglob("*")
            if path.is_file()
        }
        for done in (first, second)
    }
    new = {str(path) for path, inode in inodes[second].items() if inodes[first].get(path) != inode}
    # The entry about the first backup is new, too.
    assert new == {"home/secrets/token", "home/ledger.db"}
    shutil.rmtree(first.path)
    check_backup(tmp_path / "backups", _quietly)


def test_the_oldest_backups_are_removed_and_the_newest_stay_whole(
    apples: Factory, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    for _ in range(3):
        newest = _back_up(apples.home, folder, keep=2)
    names = sorted(path.name for path in folder.iterdir())
    assert (len(names), names[-1]) == (2, newest.path.name)
    for name in names:
        check_backup(folder / name, _quietly)


def test_a_backup_is_the_newest_although_a_clock_was_ahead(apples: Factory, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    _back_up(apples.home, folder).path.rename(folder / "99981231T235959Z")
    done = _back_up(apples.home, folder, keep=1)
    assert [path.name for path in folder.iterdir()] == [done.path.name] == ["99990101T000000Z"]
    check_backup(done.path, _quietly)


def test_backups_of_another_factory_stay(apples: Factory, tmp_path: Path, home: Home) -> None:
    first = _back_up(apples.home, tmp_path / "backups")
    Ledger(home).begin()
    with pytest.raises(StorageError, match=f"the one in {apples.home.path}; name another folder"):
        make_backup(home, tmp_path / "backups", _quietly, keep=1)
    assert [*(tmp_path / "backups").iterdir()] == [first.path]


def test_what_is_made_anew_is_left_out(apples: Factory, tmp_path: Path) -> None:
    home = apples.home
    for name in ("tmp/x", "logs/x", "checkpoints/x", "running/x", "replaced-2026/ledger.db"):
        (home.path / name).parent.mkdir(exist_ok=True)
        (home.path / name).write_text("x")
    done = _back_up(home, tmp_path / "backups")
    names = {file.path for file in read_manifest(done.path).files}
    assert {name.partition("/")[0] for name in names} <= {
        *("artifacts", "dagster", "declarations", "ledger.db", "mlflow.db", "pictures"),
        "prepared.json",
        *("profiles", "records", "secrets", "statements", "tables", "unchanged.jsonl"),
    }
    assert not {name for name in names if name.endswith(("-wal", "-shm", "-journal"))}


def test_answers_that_are_sealed_while_they_are_copied_are_in_the_backup(
    apples: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = apples.home.path / JOURNAL
    journal = Journal(folder)
    identifiers = [bytes([number]) * 16 for number in range(1, 4)]
    for identifier in identifiers:
        journal.append(identifier, b"answer")
    journal.flush()
    write = tarfile.TarFile.addfile

    def seal_first(tar: tarfile.TarFile, member: tarfile.TarInfo, content: Any = None) -> None:
        if JOURNAL in member.name:
            # Cuts what was reserved for later answers off, and gives it another name.
            journal.close()
        write(tar, member, content)

    monkeypatch.setattr(tarfile.TarFile, "addfile", seal_first)
    target = tmp_path / "backup.tar"
    _back_up(apples.home, target)
    assert [path.suffix for path in folder.iterdir()] == [SEALED]
    with tarfile.open(target) as tar:
        [member] = [one for one in tar.getmembers() if JOURNAL in one.name]
        segment = tmp_path / Path(member.name).name
        segment.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
    assert [identifier for identifier, _ in read(segment)] == identifiers


@pytest.mark.parametrize(
    "what", ["table", "record", "database", "secret", "manifest", "note", "missing", "cut"]
)
def test_a_changed_backup_is_refused_by_the_name_of_the_file(
    saved: Path, what: str, tmp_path: Path
) -> None:
    backup = Path(shutil.copytree(next(saved.iterdir()), tmp_path / "backup"))
    table = next((backup / FILES / "tables").rglob("*.parquet"))
    file = {
        "table": table,
        "missing": table,
        "cut": table,
        "record": next((backup / FILES / "records").rglob("*.json")),
        "database": backup / FILES / "ledger.db",
        "secret": backup / FILES / "secrets" / "ledger_key",
        "manifest": backup / MANIFEST,
        "note": backup / NOTE,
    }[what]
    if what == "missing":
        file.unlink()
    elif what == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    home = Home(tmp_path / "new" / "homes" / "home")
    with pytest.raises(StorageError) as caught:
        # What has no digest in its name is always compared.
        restore_backup(backup, home, _quietly, "all" if what == "table" else "unnamed")
    named = "manifest" if what in {"manifest", "note"} else str(file.relative_to(backup / FILES))
    assert named in str(caught.value)
    assert [*tmp_path.iterdir()] == [backup], "something was left"
    with pytest.raises(StorageError, match=r".") as again:
        check_backup(backup, _quietly)
    assert named in str(again.value)


def test_a_changed_table_of_a_restored_home_is_found_by_verify(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is in its name, so that restoring need not compute it."""
    backup = Path(shutil.copytree(next(saved.iterdir()), tmp_path / "backup"))
    tables = sorted((backup / FILES / "tables").rglob("*.parquet"))
    for table in tables:
        content = bytearray(table.read_bytes())
        content[len(content) // 2] ^= 1
        table.write_bytes(content)
    home = Home(tmp_path / "home")
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    restore_backup(backup, home, _quietly)
    found = "\n".join(problems(home))
    assert tables
    assert [table.name for table in tables if table.name not in found] == []


def test_a_cut_tar_file_is_refused(apples: Factory, tmp_path: Path) -> None:
    tar = tmp_path / "backup.tar"
    _back_up(apples.home, tar)
    assert stat.S_IMODE(tar.stat().st_mode) == 0o600
    with tar.open("rb+") as file:
        file.truncate(tar.stat().st_size // 2)
    with pytest.raises(StorageError, match=r"damaged|not a complete backup"):
        restore_backup(tar, Home(tmp_path / "home"), _quietly)
    assert not (tmp_path / "home").exists()


def test_a_tar_file_with_a_path_out_of_it_is_refused(apples: Factory, tmp_path: Path) -> None:
    tar = tmp_path / "backup.tar"
    _back_up(apples.home, tar)
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tar, "a") as opened:
        opened.add(tmp_path / "evil", "../../escaped")
    with pytest.raises(StorageError, match="damaged"):
        restore_backup(tar, Home(tmp_path / "deep" / "home"), _quietly)
    assert not list(tmp_path.rglob("escaped"))


def test_a_tar_file_is_unpacked_by_a_python_without_filters(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python before 3.11.4 has no filters of what is unpacked."""

    def unpack(tar: tarfile.TarFile, path: Path) -> None:
        raise AssertionError(f"{tar.name} is unpacked into {path} without a filter")

    monkeypatch.setattr(tarfile.TarFile, "extractall", unpack)
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    home = Home(tmp_path / "home")
    manifest = restore_backup(_tar_of(saved, tmp_path), home, _quietly, "all")
    assert {file.path for file in manifest.files} == _contents(home.path).keys()


@pytest.mark.parametrize("kind", ["path", "absolute", "link", "hard link", "device", "pipe", "nul"])
def test_a_tar_file_with_more_than_files_and_folders_is_refused(
    saved: Path, kind: str, tmp_path: Path
) -> None:
    outside = tmp_path / "escaped"
    name = {"path": "../../../escaped", "absolute": str(outside)}.get(kind, "home/more")
    member = tarfile.TarInfo(name)
    member.linkname = str(outside) if kind == "link" else MANIFEST
    member.pax_headers = {"path": "home/\0"} if kind == "nul" else {}
    member.type = {
        "link": tarfile.SYMTYPE,
        "hard link": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "pipe": tarfile.FIFOTYPE,
    }.get(kind, tarfile.REGTYPE)
    tar = _tar_of(saved, tmp_path)
    with tarfile.open(tar, "a") as opened:
        opened.addfile(member)
    with pytest.raises(StorageError, match=r"damaged") as caught:
        restore_backup(tar, Home(tmp_path / "home"), _quietly)
    assert kind == "nul" or repr(name) in str(caught.value)
    assert [*tmp_path.iterdir()] == [tar]


def _tar_of(saved: Path, folder: Path) -> Path:
    """Pack a backup as a person does: with its folders."""
    tar = folder / "backup.tar"
    with tarfile.open(tar, "w") as opened:
        opened.add(next(saved.iterdir()), ".")
    return tar


def test_a_backup_of_a_newer_factory_is_refused(saved: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copytree(next(saved.iterdir()), tmp_path / "backup"))
    manifest = json.loads((backup / MANIFEST).read_bytes())
    (backup / MANIFEST).write_text(json.dumps({**manifest, "form": 2, "more": 1}))
    with pytest.raises(StorageError, match=r"formats up to .*; use the newer version that made it"):
        restore_backup(backup, Home(tmp_path / "home"), _quietly)


@pytest.mark.parametrize("name", ["predictions.db", "outcomes.db"])
def test_a_backup_with_a_database_of_a_newer_factory_is_refused(
    apples: Factory, tmp_path: Path, name: str
) -> None:
    file, home = apples.home.path / name, Home(tmp_path / "restored")
    open_store(apples.home).close()
    open_outcomes(apples.home).database.close()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")
    _back_up(apples.home, tmp_path / "backups")
    with pytest.raises(StorageError, match="use the newer version that wrote it") as caught:
        restore_backup(tmp_path / "backups", home, _quietly)
    assert caught.value.where == str(tmp_path / "backups")
    assert not home.path.exists()


def test_a_restored_home_is_on_the_disk_before_it_has_its_name(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, synced = Home(tmp_path / "home"), list[tuple[bool, bool]]()

    def note(folder: Path) -> None:
        synced.append(((folder / "ledger.db").exists(), home.path.exists()))

    for name in ("sync_disk", "sync_path"):
        monkeypatch.setattr(restoring, name, note)
    restore_backup(saved, home, _quietly)
    assert synced == [(True, False), (False, True)]


def test_a_home_that_is_not_empty_is_refused(saved: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    (home.path / "mine").write_text("x")
    with pytest.raises(StorageError, match="something exists here already"):
        restore_backup(saved, home, _quietly)
    assert [path.name for path in home.path.iterdir()] == ["mine"]
    (home.path / "mine").unlink()
    restore_backup(saved, home, _quietly)


def test_a_disk_that_is_mounted_where_the_home_would_be_is_told_before_anything_is_copied(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = f"{tmp_path}: a disk is mounted here, .* a new folder on it, such as {tmp_path}/home"
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path)
    with pytest.raises(StorageError, match=told):
        restore_backup(saved, Home(tmp_path), _quietly)
    assert not [*tmp_path.iterdir()]
    restore_backup(saved, Home(tmp_path / "home"), _quietly)


def test_a_folder_of_the_same_disk_that_is_mounted_there_is_told(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(path: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path), None, str(target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", busy)
        with pytest.raises(StorageError, match="a disk is mounted here"):
            restore_backup(saved, Home(tmp_path / "home"), _quietly)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("home/backups", "would be lost together with it"),
        ("there.tar", "this file exists"),
        ("there.txt", "this is not a folder; name a folder of backups, or a new file that ends"),
        ("new.tar.gz", "a backup is not compressed; name a folder of backups, or a new file that"),
        ("new.zip", "a backup is not compressed"),
        ("there.txt/backups", "name another file"),
    ],
)
def test_a_target_that_would_do_harm_is_refused(
    apples: Factory, target: str, said: str, tmp_path: Path
) -> None:
    for name in ("there.tar", "there.txt"):
        (apples.root / name).touch()
    with pytest.raises(StorageError, match=said):
        make_backup(apples.home, apples.root / target, _quietly)


@pytest.mark.parametrize("target", ["backups", "backup.tar"])
@pytest.mark.parametrize("what", ["tables/unreadable", "tables/unreadable/in/it"])
def test_a_file_of_the_home_that_cannot_be_read_is_named(
    apples: Factory, target: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = apples.home.path / what
    unreadable.parent.mkdir(parents=True, exist_ok=True)
    unreadable.touch()
    named = next(path for path in [unreadable, *unreadable.parents] if "unreadable" in path.name)

    def denying(whole: Any) -> Any:
        # Rights keep nothing from root.
        def opened(path: Any, *arguments: Any, **options: Any) -> Any:
            if str(path) == str(named):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return whole(path, *arguments, **options)

        return opened

    monkeypatch.setattr(Path, "open", denying(Path.open))
    monkeypatch.setattr(os, "scandir", denying(os.scandir))
    with pytest.raises(StorageError) as caught:
        make_backup(apples.home, tmp_path / target, _quietly)
    assert str(caught.value).startswith(f"{named}: cannot be read (Permission denied); run the")


def test_a_file_whose_disk_fails_is_named(apples: Factory, tmp_path: Path) -> None:
    # The first bytes of a process are nowhere: to read them is an error of input.
    broken = apples.home.path / "tables" / "broken"
    broken.symlink_to("/proc/self/mem")
    with pytest.raises(StorageError) as caught:
        make_backup(apples.home, tmp_path / "backups", _quietly)
    assert str(caught.value).startswith(
        f"{broken}: cannot be read (Input/output error); its disk fails: move the home"
    )


@pytest.mark.parametrize("size", [1 << 16, 3 << 17, 5 << 18])
def test_a_full_disk_of_backups_is_named_and_not_the_home(
    apples: Factory, size: int, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "stick", size) as stick, pytest.raises(StorageError) as caught:
        make_backup(apples.home, stick.folder / "backups", _quietly)
    assert str(caught.value).startswith(f"{stick.folder / 'backups'}: cannot write (No space left")
    assert caught.value.remedy == OUTPUT_REMEDY


def test_a_backup_that_its_disk_cannot_store_is_none(apples: Factory, tmp_path: Path) -> None:
    with failing_disk(tmp_path / "stick", 1 << 23) as stick:
        (apples.home.path / "export").write_bytes(os.urandom(1 << 24))
        # What the kernel says depends on what is below the disk.
        with pytest.raises(StorageError, match=r"Input/output error|No space left on device"):
            make_backup(apples.home, stick / "backups", _quietly)
        assert not [*(stick / "backups").iterdir()]
    assert Ledger(apples.home).latest(BackupMade, BackupMade.subject_of()) is None


def test_a_full_disk_of_the_home_is_named_and_not_a_file_of_another_user(
    apples: Factory, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 1 << 26) as disk:
        home = Home(disk.folder / "home")
        shutil.copytree(apples.home.path, home.path, ignore=shutil.ignore_patterns("tmp"))
        with home.working(), home.lock("other"):
            pass
        with disk.without_inodes(), pytest.raises(StorageError) as caught:
            make_backup(home, tmp_path / "backups", _quietly)
    locks = home.path / "tmp"
    assert str(caught.value).startswith(f"{locks}"), caught.value
    assert "cannot write (No space left on device); free space" in str(caught.value)


def test_what_a_killed_backup_left_beside_a_tar_file_is_removed(
    apples: Factory, tmp_path: Path
) -> None:
    """It has the secrets of the factory."""
    gone, own, other = 2**22 + 1, scratch_prefix(), tmp_path / f".other.tar.{2**22 + 1}.7-making"
    left = tmp_path / f".it.tar.{gone}.7-making"
    (tmp_path / f"{left.name}.made").mkdir()
    alive = tmp_path / f".it.tar.{own}making-of-another"
    for path in (left, other, alive, tmp_path / f"{left.name}.made" / "ledger.db"):
        path.touch()
    _back_up(apples.home, tmp_path / "it.tar")
    assert {path.name for path in tmp_path.glob(".*")} == {other.name, alive.name}


def test_a_file_whose_name_is_no_text_is_named(apples: Factory, tmp_path: Path) -> None:
    path = apples.home.tables / os.fsdecode(b"na\xefve.txt")
    path.touch()
    with pytest.raises(StorageError, match=r"tables/na\\udcefve.txt: .* is not UTF-8.*; rename it"):
        make_backup(apples.home, tmp_path / "backups", _quietly)
    assert not [*(tmp_path / "backups").glob("*")]


def test_links_that_have_no_end_are_not_followed(apples: Factory, tmp_path: Path) -> None:
    home, elsewhere = apples.home.path, tmp_path / "another disk"
    before = [file.path for file in home_files(apples.home)]
    elsewhere.mkdir()
    (elsewhere / "moved").write_text("rows")
    (elsewhere / "back").symlink_to(home)
    (home / "tables" / "all").symlink_to(home)
    (home / "tables" / "up").symlink_to("..")
    (home / "tables" / "itself").symlink_to("itself")
    (home / "tables" / "nowhere").symlink_to("moved/nowhere")
    (home / "tables" / "there").symlink_to(elsewhere)
    done = _back_up(apples.home, tmp_path / "backups")
    assert [file.path for file in home_files(apples.home)] == sorted(
        [*before, "tables/there/moved"], key=lambda path: path.split("/")
    )
    assert "tables/there/moved" in {file.path for file in read_manifest(done.path).files}


def test_an_empty_home_has_no_backup(home: Home, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing has run yet"):
        make_backup(home, tmp_path / "backups", _quietly)
    assert not (tmp_path / "backups").exists()


_BACK_UP = "make_backup(home, target, print)"
_RESTORE = "restore_backup(target, Home(target.parent / 'restored'), print)"


@pytest.mark.parametrize("what", [_BACK_UP, _RESTORE])
@pytest.mark.parametrize("moment", [1, *in_long([0, 2])])
def test_a_kill_leaves_all_or_nothing_and_the_next_one_works(
    apples: Factory, what: str, moment: int, tmp_path: Path
) -> None:
    """The process is killed at the n-th third of the files that it copies."""
    backups, restored = tmp_path / "backups", tmp_path / "restored"
    done = _back_up(apples.home, backups)
    before = _contents(backups)
    copies = done.files * (2 * moment + 1) // 6
    code = f"""
import os, signal, sys, time
from pathlib import Path
from factory_resources.backup import databases, making, restoring, targets
from factory_resources.backup.making import make_backup
from factory_resources.backup.restoring import restore_backup
from factory_resources.home.home import Home

home, target, count = Home(Path(sys.argv[1])), Path(sys.argv[2]), 0

def counted(whole):
    def copy(*arguments, **options):
        global count
        count += 1
        if count > {copies}:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **options)
    return copy

targets.FolderTarget.add = counted(targets.FolderTarget.add)
restoring.copy_file = counted(restoring.copy_file)
time.sleep(1)
{what}
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, str(apples.home.path), str(backups)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not restored.exists()
    whole = {name: content for name, content in _contents(backups).items() if name[0] != "."}
    assert whole == before
    _back_up(apples.home, backups)
    assert not list(backups.glob(".making-*"))
    restore_backup(backups, Home(restored), _quietly)
    assert not list(tmp_path.glob(".restored.restoring-*"))
    assert problems(Home(restored)) == []
