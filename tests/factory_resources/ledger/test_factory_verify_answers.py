"""Blocks of answers and the files of their archive, as a ledger written by hand has them."""

import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import (
    Expectation,
    PredictionProof,
    ProvenLeaf,
    prediction_leaf,
    tree_hash,
    verify_path,
)
from tests.disks import small_disk
from tests.factory_resources.ledger.homes import LogKey, entry, sha256, write_ledger

_KEY = LogKey()
_FIRST = entry("ledger", origin=_KEY.name, key=str(_KEY.public), format=1)


def _problems(home: Path, bodies: list[bytes]) -> list[str]:
    write_ledger(home / "ledger.db", [_FIRST, *bodies], _KEY)
    report, _ = verify_path(str(home), Expectation(_KEY.public))
    return [str(problem) for problem in report.problems]


_BLOCK = "018f0000-0000-7000-8000-000000000001"
_IDS = [number.to_bytes(16, "big") for number in range(10)]


def _block(home: Path, ids: Sequence[bytes], **said: object) -> bytes:
    """Write a sealed segment; return its entry."""
    journal = home / "predictions" / "journal"
    journal.mkdir(parents=True, exist_ok=True)
    segment = struct.pack("<8sI16s", b"journal", 1, UUID(_BLOCK).bytes)
    segment += struct.pack("<I", zlib.crc32(segment))
    for identifier in ids:
        segment += struct.pack("<II16s", 1, zlib.crc32(identifier + b"r"), identifier) + b"r"
    (journal / f"{_BLOCK}.sealed").write_bytes(segment)
    record = hashlib.sha256(b"r").digest()
    about = {
        "subject": f"predictions/{_BLOCK}",
        "block": _BLOCK,
        "root": tree_hash([prediction_leaf(one, record) for one in ids]).hex(),
        "first": ids[0].hex(),
        "last": ids[-1].hex(),
        "count": len(ids),
        "bytes": len(ids),
    }
    return entry("predictions", **{**about, **said})


@pytest.mark.parametrize(
    ("ids", "said", "problem"),
    [
        (_IDS, {}, None),
        (_IDS, {"count": 9}, "another number of records"),
        (_IDS, {"first": _IDS[1].hex()}, "or other ids, than the entry"),
        (_IDS, {"last": _IDS[8].hex()}, "or other ids, than the entry"),
        ([_IDS[0], _IDS[5], _IDS[3], _IDS[9]], {}, "not in the order of their ids"),
        ([_IDS[0], _IDS[5], _IDS[5], _IDS[9]], {}, "not in the order of their ids"),
    ],
)
def test_a_block_in_the_journal_has_the_ids_that_its_entry_says(
    tmp_path: Path, ids: list[bytes], said: dict[str, object], problem: str | None
) -> None:
    problems = _problems(tmp_path, [_block(tmp_path, ids, **said)])
    assert len(problems) == (1 if problem else 0)
    assert (problem or "") in "".join(problems)


def test_no_byte_of_a_block_in_the_journal_can_be_changed(tmp_path: Path) -> None:
    body = _block(tmp_path, _IDS[:2])
    [segment] = tmp_path.glob("predictions/journal/*.sealed")
    content = segment.read_bytes()
    for place in range(len(content)):
        segment.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert len(_problems(tmp_path, [body])) == 1, place
    segment.write_bytes(content)
    assert _problems(tmp_path, [body]) == []


def test_a_day_of_many_archived_files_is_verified(tmp_path: Path) -> None:
    day = {"pipeline": "p", "day": "2026-01-01", "subject": "predictions/p/2026-01-01"}
    folder, leaves = tmp_path / "predictions/archive/p/2026-01-01", b"b 0-0\n"
    folder.mkdir(parents=True)
    bodies, digests = [], []
    for number in range(150):
        identifier, content = f"{number:032x}", str(number).encode()
        digests.append(sha256(content))
        file = folder / f"{identifier}-{identifier}-{digests[-1][:8]}"
        file.with_suffix(".parquet").write_bytes(content)
        file.with_suffix(".leaves").write_bytes(leaves)
        ends = {"first": identifier, "last": identifier}
        said = {"count": 1, "sha256": digests[-1], "leaves": sha256(leaves)}
        bodies.append(entry("predictions_archived", **day, **ends, **said))
    assert _problems(tmp_path, bodies) == []
    for path in folder.glob("*.parquet"):
        path.unlink()
    assert len(_problems(tmp_path, bodies)) == 150
    removed = entry("predictions_removed", **day, count=150, files=digests, reason="r")
    assert _problems(tmp_path, [*bodies, removed]) == []
    # What is said before a file exists is not about that file.
    assert len(_problems(tmp_path, [removed, *bodies])) == 150


def test_a_full_disk_of_the_auditor_is_a_mistake_in_the_call_and_no_verdict(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    folder, identifier = home / "predictions/archive/p/2026-01-01", "0" * 32
    folder.mkdir(parents=True)
    ranges = b",".join(b"%d-%d" % (leaf, leaf) for leaf in range(250_000))
    leaves = b"".join(b"%d %b\n" % (number, ranges) for number in range(30))
    (folder / f"{identifier}-{identifier}-{'0' * 8}.leaves").write_bytes(leaves)
    day = {"pipeline": "p", "day": "2026-01-01", "subject": "predictions/p/2026-01-01"}
    said = {"first": identifier, "last": identifier, "count": 7_500_000, "sha256": "0" * 64}
    body = entry("predictions_archived", **day, **said, leaves=sha256(leaves))
    write_ledger(home / "ledger.db", [_FIRST, body], _KEY)
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        done = subprocess.run(
            [sys.executable, "-I", factory_verify.__file__, str(home)],
            env={"SQLITE_TMPDIR": str(disk.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the temporary folder cannot be written (")
    assert len(done.stderr.splitlines()) == 1


def test_the_proof_of_a_large_answer_is_read_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, identifier = bytes(1_000_000), _IDS[1]
    leaf = ProvenLeaf(_BLOCK, 0, identifier, hashlib.sha256(record).digest(), ())
    root = prediction_leaf(identifier, leaf.digest).hex()
    ends = {"first": identifier.hex(), "last": identifier.hex(), "count": 1, "bytes": len(record)}
    body = entry("predictions", subject=f"predictions/{_BLOCK}", block=_BLOCK, root=root, **ends)
    (tmp_path / "home").mkdir()
    write_ledger(tmp_path / "home/ledger.db", [_FIRST, body], _KEY)
    file = tmp_path / "proof"
    file.write_bytes(PredictionProof(identifier, record, (leaf,)).format())
    factory_verify.main([str(tmp_path / "home"), "--prediction", str(file)])
    assert f"{identifier.hex()} was answered as the proof says" in capsys.readouterr().out


def test_a_file_that_is_too_long_is_a_mistake_in_the_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "checkpoint"
    file.write_bytes(bytes(600_000))
    assert factory_verify.main([str(tmp_path), "--since", str(file)]) == 2
    assert capsys.readouterr().err == f"error: {file} has more than 532,480 bytes\n"


@pytest.mark.parametrize("ranges", [b"0-3,3-4", b"5-6,0-3", b"0-3,0-3"])
def test_leaves_that_are_listed_twice_are_refused(tmp_path: Path, ranges: bytes) -> None:
    folder, identifier = tmp_path / "predictions/archive/p/2026-01-01", "0" * 32
    folder.mkdir(parents=True)
    leaves = b"b " + ranges + b"\n"
    (folder / f"{identifier}-{identifier}-{'0' * 8}.leaves").write_bytes(leaves)
    day = {"pipeline": "p", "day": "2026-01-01", "subject": "predictions/p/2026-01-01"}
    said = {"first": identifier, "last": identifier, "count": 8, "sha256": "0" * 64}
    body = entry("predictions_archived", **day, **said, leaves=sha256(leaves))
    assert "is not a list of leaves" in _problems(tmp_path, [body])[0]
