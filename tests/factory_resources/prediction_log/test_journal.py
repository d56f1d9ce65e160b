"""What the journal has flushed is there after any end of its process; torn ends are cut."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.journal import DAMAGED, Journal, recover
from factory_resources.prediction_log.segments import HEADER_BYTES, RECORD_HEAD_BYTES, read
from tests.disks import small_disk
from tests.factory_resources.prediction_log.samples import payload, write
from tests.random_examples import examples

_SIZE = 64 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def _all(folder: Path) -> list[tuple[bytes, bytes]]:
    return sorted(record for path in folder.iterdir() for record in read(path))


def test_flushed_records_are_read_while_the_journal_is_open(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    taken = write(journal, range(3), ids)
    journal.append(ids.take(), payload(3))
    assert _all(folder) == [(one, payload(n)) for n, one in enumerate(taken)]
    journal.close()
    [sealed] = folder.iterdir()
    assert sealed.suffix == ".sealed"
    assert [*read(sealed)] == [(one, payload(n)) for n, one in enumerate(taken)]


def test_a_full_segment_is_sealed_and_the_next_one_begins(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    taken = [one for start in range(0, 2000, 10) for one in write(journal, range(10), ids)]
    journal.close()
    assert len([*folder.glob("*.sealed")]) > 2
    assert all(path.stat().st_size <= _SIZE for path in folder.iterdir())
    assert [identifier for identifier, _ in _all(folder)] == taken


def test_a_record_longer_than_a_segment_gets_one_of_its_own(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    write(journal, [1], ids)
    journal.append(ids.take(), bytes(3 * _SIZE))
    journal.flush()
    write(journal, [2], ids)
    journal.close()
    assert [len(content) for _, content in _all(folder)] == [
        len(payload(1)),
        3 * _SIZE,
        len(payload(2)),
    ]


def test_an_old_segment_is_rolled_and_an_empty_one_is_not(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    assert not journal.roll()
    write(journal, [1], ids)
    assert not journal.roll(seconds=3600)
    assert journal.roll()
    assert not journal.roll()
    assert len([*folder.glob("*.sealed")]) == len([*folder.glob("*.open")]) == 1
    journal.close()
    assert not [*folder.glob("*.open")]


def test_an_id_that_does_not_follow_is_refused(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    early, late = ids.take(), ids.take()
    journal.append(late, b"")
    for identifier in (early, late):
        with pytest.raises(ValueError, match="strictly increase"):
            journal.append(identifier, b"")


def test_a_segment_with_a_writer_is_not_taken_for_left_behind(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    write(journal, [1], ids)
    assert recover(folder) == []
    write(journal, [2], ids)
    journal.close()
    assert len(_all(folder)) == 2


_WRITER = """
import os, sys, time
from pathlib import Path
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.journal import Journal
journal, ids = Journal(Path(sys.argv[1]), size=65536), PredictionIds()
for number in range(1_000_000):
    identifier = ids.take()
    journal.append(identifier, number.to_bytes(8, "big") * (number % 40))
    journal.flush()
    os.write(1, identifier)
"""


def test_nothing_that_was_flushed_is_lost_by_a_kill(folder: Path) -> None:
    for count in (1, 300, 3000):
        command = [sys.executable, "-c", _WRITER, str(folder)]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            acknowledged = writer.stdout.read(16 * count)
            writer.send_signal(signal.SIGKILL)
            acknowledged += writer.stdout.read()
        recover(folder)
        kept = b"".join(identifier for identifier, _ in _all(folder))
        end = len(acknowledged) // 16 * 16
        assert kept[:end] == acknowledged[:end]
        assert len(kept) - end <= 16
        assert not [path for path in folder.iterdir() if path.suffix != ".sealed"]
        for path in folder.iterdir():
            path.unlink()


def _abandon(folder: Path, records: int) -> tuple[Path, list[bytes], int]:
    """Leave a segment without its writer; return its ids and where the last record begins."""
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    taken = write(journal, range(records), ids)
    [segment] = folder.iterdir()
    content = segment.read_bytes()
    journal.close()
    for path in folder.iterdir():
        path.unlink()
    segment.write_bytes(content)
    lengths = [RECORD_HEAD_BYTES + len(payload(n)) for n in range(records - 1)]
    return segment, taken, HEADER_BYTES + sum(lengths)


def test_a_torn_last_record_is_cut_wherever_it_ends(tmp_path: Path) -> None:
    segment, taken, start = _abandon(tmp_path / "journal", 3)
    whole = segment.read_bytes()
    end = start + RECORD_HEAD_BYTES + len(payload(2))
    for torn in range(start, end):
        for rest in (b"", bytes(_SIZE - torn)):
            segment.write_bytes(whole[:torn] + rest)
            [sealed] = recover(segment.parent)
            # A last byte of the checksummed payload that is zero is as good as written.
            if whole[:torn] + rest != whole:
                assert [one for one, _ in read(sealed)] == taken[:2]
                assert sealed.stat().st_size == start
            sealed.unlink()


@settings(max_examples=examples(200))
@given(data=st.data())
def test_a_last_record_with_any_changed_byte_is_cut(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    segment, taken, start = _abandon(tmp_path_factory.mktemp("torn"), 3)
    content = bytearray(segment.read_bytes())
    place = data.draw(st.integers(start, start + RECORD_HEAD_BYTES + len(payload(2)) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    segment.write_bytes(content)
    [sealed] = recover(segment.parent)
    assert [one for one, _ in read(sealed)] == taken[:2]


@pytest.mark.parametrize("changed", [0, 1, 2])
@pytest.mark.parametrize("place", [0, 4, 8, RECORD_HEAD_BYTES + 3])
def test_a_changed_byte_takes_away_no_record_but_its_own(
    folder: Path, changed: int, place: int
) -> None:
    """Of length, checksum, id and payload, in the first record and in later ones."""
    segment, taken, _ = _abandon(folder, 5)
    content = bytearray(segment.read_bytes())
    before = sum(RECORD_HEAD_BYTES + len(payload(n)) for n in range(changed))
    content[HEADER_BYTES + before + place] ^= 1
    segment.write_bytes(content)
    [sealed] = recover(folder)
    kept = [(one, payload(n)) for n, one in enumerate(taken) if n != changed]
    assert [*read(sealed)] == kept
    [other] = {*folder.iterdir()} - {sealed}
    assert other == segment.with_suffix(DAMAGED)
    assert other.read_bytes() == content
    assert other.stat().st_mode & 0o077 == 0
    assert recover(folder) == []


def test_a_segment_without_a_whole_record_is_removed(folder: Path) -> None:
    segment, _, start = _abandon(folder, 1)
    segment.write_bytes(segment.read_bytes()[: start + 5])
    (folder / "x.new").write_bytes(b"")
    assert recover(folder) == []
    assert not [*folder.iterdir()]


def test_a_record_of_a_failed_attempt_is_not_read_behind_a_later_one(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    first, failed, later = (ids.take() for _ in range(3))
    journal.append(first, b"aa")
    journal.append(failed, b"bb")
    journal.flush()
    [segment] = folder.iterdir()
    content = segment.read_bytes()
    length = RECORD_HEAD_BYTES + 2
    # The next attempt has written over the first record alone.
    new = (2).to_bytes(4, "little") + crc32(b"cc", crc32(later)).to_bytes(4, "little")
    segment.write_bytes(
        content[:HEADER_BYTES] + new + later + b"cc" + content[HEADER_BYTES + length :]
    )
    assert [*read(segment)] == [(later, b"cc")]


def test_a_changed_sealed_segment_is_reported(folder: Path) -> None:
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    write(journal, range(3), ids)
    journal.close()
    [sealed] = folder.iterdir()
    content = sealed.read_bytes()
    for place, what in ((0, "no header"), (8, "no header"), (-1, "whole record")):
        changed = bytearray(content)
        changed[place] ^= 1
        sealed.write_bytes(changed)
        with pytest.raises(StorageError, match=what):
            [*read(sealed)]


def test_after_a_full_disk_the_journal_goes_on_and_only_what_was_flushed_counts(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        journal, ids = Journal(disk.folder / "journal", size=_SIZE), PredictionIds()
        taken: list[bytes] = []

        def write_until_refused() -> None:
            while True:
                taken.extend(write(journal, [len(taken)], ids))

        with disk.filled(free=0):
            with pytest.raises(StorageError, match="No space left on device") as refused:
                write_until_refused()
            assert "\n" not in str(refused.value)
            assert taken
            with pytest.raises(StorageError):
                write(journal, [len(taken)], ids)
        taken += write(journal, [len(taken)], ids)
        journal.close()
        expected = [(one, payload(n)) for n, one in enumerate(taken)]
        assert _all(disk.folder / "journal") == expected


def test_a_segment_that_cannot_be_sealed_is_not_written_to_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "journal"
    journal, ids = Journal(folder, size=_SIZE), PredictionIds()
    taken = write(journal, [0], ids)

    def full(handle: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", full)
        with pytest.raises(StorageError, match="No space left on device"):
            journal.roll()
    # The system gives a closed file's number to the next one that is opened.
    with (tmp_path / "other").open("w+b") as other:
        other.write(b"its own")
        other.flush()
        taken += write(journal, [1], ids)
    assert (tmp_path / "other").read_bytes() == b"its own"
    recover(folder)
    journal.close()
    assert _all(folder) == [(one, payload(n)) for n, one in enumerate(taken)]


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        Journal(tmp_path / "journal")


def test_segments_are_closed_to_other_users(folder: Path) -> None:
    journal = Journal(folder, size=_SIZE)
    [segment] = folder.iterdir()
    assert segment.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    journal.close()
    assert not os.listdir(folder)
