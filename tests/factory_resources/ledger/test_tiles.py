"""The exported log is read by a reader that others wrote."""

from dataclasses import replace
from pathlib import Path

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.database import chosen_database
from factory_resources.home.home import Home
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.factory_verify import LogCheckpoint, SignedNote, leaf_hash
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.tiles import tile_path, write_tiles


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_the_path_of_a_tile_is_that_of_the_standard(tmp_path: Path) -> None:
    assert tile_path(tmp_path, 1_234_067, 256) == tmp_path / "x001/x234/067"
    assert tile_path(tmp_path, 0, 112) == tmp_path / "000.p/112"


@pytest.mark.parametrize("size", [2, 256, 257, 700])
def test_tiles_are_read_by_another_reader(
    home: Home, engine: str, tmp_path: Path, size: int
) -> None:
    from tlog_scales.backend import LocalBackend
    from tlog_scales.reader import TilesReader

    ledger = Ledger(home)
    ledger.begin()
    ledger.append([FilesRemoved(paths=(f"{n}",), reason="r") for n in range(size - 1)])
    with ledger.reading() as log:
        assert write_tiles(log, tmp_path / "tiles", _write) == size
        bodies, tree = [body for _, body in log.bodies()], log.tree
        reader = TilesReader(LocalBackend(tmp_path / "tiles"))
        checkpoint = reader.get_checkpoint()
        assert checkpoint.size == size
        assert reader.calculate_root_hash() == tree.root(size)
        for number in {0, size // 2, size - 1}:
            assert reader.get_entry(number) == bodies[number]
            assert reader.mth(number, number + 1) == leaf_hash(bodies[number])
            proof = reader.get_inclusion_proof(number, size)
            assert proof.node_hashes == tree.inclusion(number, size)


def test_an_export_is_continued(home: Home, engine: str, tmp_path: Path) -> None:
    ledger, written = Ledger(home), list[Path]()
    ledger.begin()

    def write(path: Path, content: bytes) -> None:
        written.append(path.relative_to(tmp_path))
        _write(path, content)

    for count in (299, 100):
        ledger.append([FilesRemoved(paths=(f"{n}",), reason="r") for n in range(count)])
        with ledger.reading() as log:
            write_tiles(log, tmp_path, write)
    # The full tile, which never changes, was written once.
    assert written.count(Path("tile/0/000")) == 1
    assert written.count(Path("checkpoint")) == 2


def test_tiles_of_another_log_are_not_continued(home: Home, engine: str, tmp_path: Path) -> None:
    folder, ledgers = tmp_path / "tiles", [Ledger(home), Ledger(Home(tmp_path / "other"))]
    with chosen_database(None):
        for ledger in ledgers:
            ledger.begin()
            ledger.append([FilesRemoved(paths=(f"{n}",), reason="r") for n in range(300)])
        with ledgers[0].reading() as log:
            write_tiles(log, folder, _write)
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        with (
            ledgers[1].reading() as log,
            pytest.raises(StorageError, match=r"\(it is 301 entries of factory.local/"),
        ):
            write_tiles(log, folder, _write)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_tiles_of_another_history_are_not_continued(
    home: Home, engine: str, tmp_path: Path
) -> None:
    ledger = Ledger(home)
    ledger.begin()
    with ledger.reading() as log:
        write_tiles(log, tmp_path, _write)
        known = LogCheckpoint.parse(SignedNote.parse(log.signed[1].encode()).text)
        other = LogKey.load(home).sign(replace(known, root=bytes(32)))
        (tmp_path / "checkpoint").write_text(other)
        with pytest.raises(StorageError, match="it is another history"):
            write_tiles(log, tmp_path, _write)
