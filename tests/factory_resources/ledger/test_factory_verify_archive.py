"""Evidence archives: what is missing, exchanged or forged in one is found."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest

from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import (
    CompactRange,
    Expectation,
    TrustPolicy,
    leaf_hash,
)
from tests.factory_resources.ledger.homes import (
    LogKey,
    bodies_of,
    entry,
    format_request,
    format_statement,
    write_archive,
)
from tests.long_run import one_in

_KEY = LogKey()


@dataclass(frozen=True)
class Evidence:
    """An archive, and the log that it is from."""

    path: Path
    bodies: list[bytes]

    def verify(self, *options: str) -> tuple[int, str]:
        """Run the file alone; return its exit code and what it prints."""
        file = shutil.copy(factory_verify.__file__, self.path.parent)
        call = [sys.executable, "-I", file, str(self.path), *options]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def change(self, change: Callable[[dict[str, bytes]], None], method: int = 0) -> None:
        """Write the archive again, with other members."""
        with zipfile.ZipFile(self.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(self.path, "w", method) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    def replace(self, name: str, old: bytes, new: bytes) -> None:
        self.change(lambda members: members.update({name: members[name].replace(old, new)}))


def _checkpoint(bodies: list[bytes], key: LogKey = _KEY) -> bytes:
    tree = CompactRange()
    for body in bodies:
        tree.append(leaf_hash(body))
    return key.sign(tree.size, tree.root)


@pytest.fixture
def evidence(recorded: Path, tmp_path: Path) -> Evidence:
    bodies, path = bodies_of(recorded, _KEY), tmp_path / "evidence.zip"
    write_archive(path, recorded, bodies, _checkpoint(bodies), "apples@2", rows=True)
    return Evidence(path, bodies)


def test_evidence_holds_offline(evidence: Evidence) -> None:
    code, out = evidence.verify("--key", str(_KEY.public))
    assert code == 0, out
    assert "12 records" in out
    assert "problem" not in out
    assert "not included" not in out


def test_evidence_without_rows_says_what_it_does_not_include(
    recorded: Path, tmp_path: Path
) -> None:
    bodies, path = bodies_of(recorded, _KEY), tmp_path / "evidence.zip"
    write_archive(path, recorded, bodies, _checkpoint(bodies), "apples@2", rows=False)
    code, out = Evidence(path, bodies).verify()
    assert code == 0, out
    assert "files not included" in out
    assert "give the key that you know" in out


def _without(part: str) -> Callable[[Evidence], None]:
    def change(members: dict[str, bytes]) -> None:
        del members[next(name for name in members if part in name)]

    return lambda evidence: evidence.change(change)


def _flipped(part: str) -> Callable[[Evidence], None]:
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if part in name)
        at = len(members[name]) // 2
        content = bytearray(members[name])
        content[at] ^= 1
        members[name] = bytes(content)

    return lambda evidence: evidence.change(change)


def _exchanged(first: str, second: str) -> Callable[[Evidence], None]:
    def change(members: dict[str, bytes]) -> None:
        members[first], members[second] = members[second], members[first]

    return lambda evidence: evidence.change(change)


def _stated(which: str, key: LogKey = _KEY, **files: str) -> Callable[[Evidence], None]:
    content = format_statement(which, files, key)
    return lambda evidence: evidence.change(lambda members: members.update({_STATEMENT: content}))


_STATEMENT = "statement.json"

_CHANGES: dict[str, Callable[[Evidence], None]] = {
    **{
        f"without {part}": _without(part)
        for part in ("evidence.json", "checkpoint", "entries/", "proofs/", "records/apples/train")
    },
    **{
        f"without {part}": _without(part)
        for part in ("tables/", "weights", "/manifest.json", "model.onnx")
    },
    **{
        f"flipped {part}": _flipped(part)
        for part in ("evidence.json", "checkpoint", "entries/", "proofs/", "records/apples/train")
    },
    **{
        f"flipped {part}": _flipped(part)
        for part in ("tables/", "weights", "/manifest.json", "model.onnx")
    },
    "entries exchanged": _exchanged("entries/1.json", "entries/2.json"),
    "proofs exchanged": _exchanged("proofs/1.tlog-proof", "proofs/2.tlog-proof"),
    "a statement about another version": _stated("apples@1"),
    "a statement of another": _stated("apples@2", LogKey(b"o" * 32)),
    "a statement about a missing file": _stated("apples@2", **{"artifacts/x": "0" * 64}),
    "a statement about nothing": lambda e: e.change(lambda m: m.update({_STATEMENT: b"{}"})),
    "flipped statement": _flipped(_STATEMENT),
    "another version": lambda e: e.replace("evidence.json", b'"version": 2', b'"version": 3'),
    "another origin": lambda e: e.replace("evidence.json", b"factory.local/0", b"factory.local/1"),
    "an entry unnamed": lambda e: e.replace("evidence.json", b"[1, 2", b"[1"),
    "an entry too many": lambda e: e.replace("evidence.json", b"[1, 2", b"[1, 2, 99"),
    "no number": lambda e: e.replace("evidence.json", b"[1, 2", b'[1, "../2"'),
    "a newer format": lambda e: e.replace("evidence.json", b'"format": 1', b'"format": 2'),
    "a path upwards": lambda e: e.change(lambda m: m.update({"../x": b""})),
    "an absolute path": lambda e: e.change(lambda m: m.update({"/etc/x": b""})),
    "a path of Windows": lambda e: e.change(lambda m: m.update({"home\\..\\x": b""})),
    "compression": lambda e: e.change(lambda m: None, zipfile.ZIP_DEFLATED),
    "not a zip": lambda e: e.path.write_bytes(b"PK" * 100) and None,
    "nothing": lambda e: e.path.write_bytes(b"") and None,
    "cut off": lambda e: os.truncate(e.path, e.path.stat().st_size // 2),
}


def test_entries_that_are_in_the_log_but_in_another_order_are_found(evidence: Evidence) -> None:
    """Each of them has its own proof; what was decided before what would be another story."""
    _exchanged("entries/1.json", "entries/2.json")(evidence)
    _exchanged("proofs/1.tlog-proof", "proofs/2.tlog-proof")(evidence)
    code, out = evidence.verify()
    assert code == 1, out
    assert out.count("the proof is of another checkpoint or entry") == 2


@pytest.mark.parametrize("change", one_in(2, _CHANGES))
def test_changed_evidence_is_found(evidence: Evidence, change: str) -> None:
    _CHANGES[change](evidence)
    code, out = evidence.verify()
    assert code == 1, out
    assert "problem: " in out


def test_an_archive_without_the_statement_says_that_none_was_compared(evidence: Evidence) -> None:
    told = "note: statement.json: is not here: no statement about the version was compared"
    assert told not in evidence.verify()[1]
    _without("statement.json")(evidence)
    code, out = evidence.verify()
    assert code == 0, out
    assert told in out


def test_a_statement_may_name_the_records_of_many_partitions(evidence: Evidence) -> None:
    records = {f"records/apples/ingest/{n:064x}.json": f"{n:064x}" for n in range(20_000)}
    _stated("apples@2", **records)(evidence)
    code, out = evidence.verify()
    assert code == 0, out
    assert "1 statement" in out


def test_the_same_name_twice_is_refused(evidence: Evidence) -> None:
    with zipfile.ZipFile(evidence.path, "a") as archive, pytest.warns(UserWarning, match="Dup"):
        archive.writestr("evidence.json", b"{}")
    assert "two files of the same name" in evidence.verify()[1]


def test_a_directory_that_takes_much_memory_is_refused(evidence: Evidence) -> None:
    def crowd(members: dict[str, bytes]) -> None:
        members.update({f"home/{number:0900}": b"" for number in range(36_000)})

    evidence.change(crowd)
    code, out = evidence.verify()
    assert code == 1
    assert "is not a zip archive that can be read" in out


@pytest.mark.parametrize("offset", [0, int.from_bytes(b"PK\5\6", "little")])
def test_no_end_of_a_directory_hides_how_long_it_is(evidence: Evidence, offset: int) -> None:
    # With an offset that reads like the beginning of an end, an end seems to be in the end.
    item = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 9, 900, *[0] * 6)
    directory = b"".join(item + b"%0900d" % number for number in range(36_000))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 36_000, 36_000, len(directory), offset, 0)
    evidence.path.write_bytes(directory + end)
    code, out = evidence.verify()
    assert code == 1
    assert "is not a zip archive that can be read" in out


def test_members_that_share_bytes_are_refused(evidence: Evidence) -> None:
    with zipfile.ZipFile(evidence.path, "a") as archive:
        largest = max(archive.infolist(), key=lambda item: item.file_size)
        for number in range(1000):
            twin = zipfile.ZipInfo(f"home/twin{number}")
            for field in ("header_offset", "CRC", "file_size", "compress_size"):
                setattr(twin, field, getattr(largest, field))
            archive.filelist.append(twin)
        archive._didModify = True  # type: ignore[attr-defined]
    code, out = evidence.verify()
    assert code == 1
    assert _NOT_IN_A_ROW in out


_NOT_IN_A_ROW = "the archive is not its files one after the other, and nothing else"


def _stored(name: str, content: bytes) -> bytes:
    """Return a member of an archive, from its header to its last byte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()[: archive.start_dir]


def _before_the_first(evidence: Evidence) -> None:
    content = evidence.path.read_bytes()
    evidence.path.write_bytes(_stored("evidence.json", b"{}") + content)


def _between(evidence: Evidence) -> None:
    with zipfile.ZipFile(evidence.path, "a") as archive:
        _add_unlisted(archive)
        archive.writestr("home/last", b"")


def _after_the_last(evidence: Evidence) -> None:
    with zipfile.ZipFile(evidence.path, "a") as archive:
        _add_unlisted(archive)


def _add_unlisted(archive: zipfile.ZipFile) -> None:
    """Write a member behind the last one that the directory does not have."""
    file = archive.fp
    assert file is not None
    file.seek(archive.start_dir)
    file.write(_stored("evidence.json", b"{}"))
    archive.start_dir = file.tell()
    archive._didModify = True  # type: ignore[attr-defined]


def _after_the_end(evidence: Evidence) -> None:
    with evidence.path.open("ab") as file:
        file.write(_stored("evidence.json", b"{}"))


def _commented(evidence: Evidence) -> None:
    with zipfile.ZipFile(evidence.path, "a") as archive:
        archive.comment = _stored("evidence.json", b"{}")


def _named_otherwise(evidence: Evidence) -> None:
    """Let the first member's own header say another name than the directory."""
    content = evidence.path.read_bytes()
    evidence.path.write_bytes(content.replace(b"evidence.json", b"evidence.JSON", 1))


def _shorter(evidence: Evidence) -> None:
    """Let the first member's own header say that it is empty."""
    content = bytearray(evidence.path.read_bytes())
    content[18:26] = bytes(8)
    evidence.path.write_bytes(content)


def _streamed(evidence: Evidence) -> None:
    """Write the archive as to a pipe: the size of a member follows it."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(evidence.path) as old, zipfile.ZipFile(pipe, "w") as archive:
        for name in old.namelist():
            archive.writestr(name, old.read(name))
    evidence.path.write_bytes(pipe.getvalue())


def _with_a_name_in_unicode(evidence: Evidence) -> None:
    """Give a member a second name, which some programs show in place of the first."""
    with zipfile.ZipFile(evidence.path, "a") as archive:
        name = b"home/last"
        item = zipfile.ZipInfo(name.decode())
        second = struct.pack("<BL", 1, crc32(name)) + b"home/other"
        item.extra = struct.pack("<HH", 0x7075, len(second)) + second
        archive.writestr(item, b"{}")


def _named_in_the_directory(evidence: Evidence) -> None:
    """Give the last member a second name that its own header has not."""
    with zipfile.ZipFile(evidence.path, "a") as archive:
        item, name = archive.filelist[-1], b"home/other"
        second = struct.pack("<BL", 1, crc32(item.filename.encode())) + name
        item.extra = struct.pack("<HH", 0x7075, len(second)) + second
        archive._didModify = True  # type: ignore[attr-defined]


def _as_if_commented(evidence: Evidence) -> None:
    """Let the end say that a comment of one byte follows, which is not there."""
    evidence.path.write_bytes(evidence.path.read_bytes()[:-2] + b"\1\0")


def _within_another(evidence: Evidence) -> None:
    """Let the directory lead to a twin of the last member, within the one before it."""
    with zipfile.ZipFile(evidence.path, "a") as archive:
        archive.writestr("home/outer", _stored("home/last", b"{}"))
        archive.writestr(zipfile.ZipInfo("home/last"), b"{}")
        outer, last = archive.filelist[-2:]
        last.header_offset = outer.header_offset + len(_stored("home/outer", b""))


@pytest.mark.parametrize(
    "change",
    [
        _before_the_first,
        _between,
        _after_the_last,
        _after_the_end,
        _commented,
        _named_otherwise,
        _shorter,
        _streamed,
        _with_a_name_in_unicode,
        _named_in_the_directory,
        _as_if_commented,
        _within_another,
    ],
)
def test_an_archive_that_reads_otherwise_from_its_front_is_refused(
    evidence: Evidence, change: Callable[[Evidence], None]
) -> None:
    change(evidence)
    code, out = evidence.verify()
    assert code == 1, out
    assert "problem: " in out
    assert _NOT_IN_A_ROW in out


def test_a_file_whose_size_is_written_wide_is_read(evidence: Evidence) -> None:
    with zipfile.ZipFile(evidence.path, "a") as archive:
        item = zipfile.ZipInfo("home/räume")
        with archive.open(item, "w", force_zip64=True) as file:
            file.write(b"{}")
    assert evidence.verify()[0] == 0


def test_what_no_entry_names_does_not_count(evidence: Evidence) -> None:
    evidence.change(lambda members: members.update({"home/records/apples/x.json": b"{}"}))
    code, out = evidence.verify()
    assert code == 0
    name = "home/records/apples/x.json"
    assert f"note: {name}: is not in the ledger, so nothing here proves it" in out


@pytest.mark.parametrize("content", [b"", b"cut off"])
@pytest.mark.parametrize("name", ["evidence.json", "key", "checkpoint", "policy", "statement.json"])
def test_a_damaged_file_of_the_archive_is_named(
    evidence: Evidence, name: str, content: bytes
) -> None:
    evidence.change(lambda members: members.update({name: content}))
    code, out = evidence.verify()
    assert (code, out.count("problem: ")) == (1, 1), out
    assert f"problem: {name}: " in out


@pytest.mark.parametrize("name", ["evidence.json", "key", "checkpoint"])
def test_a_file_that_the_archive_lacks_is_named_once(evidence: Evidence, name: str) -> None:
    _without(name)(evidence)
    code, out = evidence.verify()
    assert (code, f"problem: {name}: is not in the archive" in out) == (1, True), out


def test_a_damaged_checkpoint_that_the_auditor_kept_is_named(
    evidence: Evidence, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(b"cut off")
    code, out = evidence.verify("--since", str(kept))
    assert (code, "problem: the checkpoint of --since: the note is" in out) == (1, True), out


def test_evidence_of_another_log_is_found(evidence: Evidence) -> None:
    code, out = evidence.verify("--key", str(LogKey(b"o" * 32).public))
    assert code == 1
    assert "the log did not sign it with this key" in out


def test_evidence_extends_the_checkpoint_that_the_auditor_kept(
    evidence: Evidence, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(_checkpoint(evidence.bodies))
    assert evidence.verify("--since", str(kept))[0] == 0
    older = evidence.bodies[:7]
    kept.write_bytes(_checkpoint(older))
    code, out = evidence.verify("--since", str(kept))
    assert code == 1
    assert "nothing here shows that the log extends" in out
    leaves = [leaf_hash(body) for body in evidence.bodies]
    request = format_request(7, leaves, _checkpoint(evidence.bodies))
    evidence.change(lambda members: members.update(consistency=request))
    assert evidence.verify("--since", str(kept))[0] == 0
    kept.write_bytes(_checkpoint([*older[:-1], entry("run")]))
    assert evidence.verify("--since", str(kept))[0] == 1


def test_the_verified_checkpoint_is_kept(evidence: Evidence, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert evidence.verify("--keep", str(kept))[0] == 0
    assert kept.read_bytes() == _checkpoint(evidence.bodies)
    assert json.loads(evidence.verify("--json")[1])["holds"]


def test_a_version_that_was_never_evaluated_has_evidence(evidence: Evidence) -> None:
    """Only what served must have been evaluated."""
    numbers = [n for n, body in enumerate(evidence.bodies) if _tells_of(body, "verdict")]
    assert numbers
    evidence.change(lambda members: _leave_out(members, numbers))
    code, out = evidence.verify()
    assert code == 1
    assert "no entry of kind 'verdict' of apples@2" in out
    served = [n for n, body in enumerate(evidence.bodies) if _tells_of(body, "champion")]
    evidence.change(lambda members: _leave_out(members, served))
    code, out = evidence.verify()
    assert code == 0, out
    assert "note: apples@2 was never evaluated" in out


def test_an_archive_says_that_entries_may_be_left_out_of_it(evidence: Evidence) -> None:
    line = "cannot prove: that the archive has every entry about the version"
    assert line in evidence.verify()[1]
    kinds = ("verdict", "champion")
    numbers = [n for n, b in enumerate(evidence.bodies) if any(_tells_of(b, k) for k in kinds)]
    evidence.change(lambda members: _leave_out(members, numbers))
    code, out = evidence.verify()
    assert (code, line in out) == (0, True)


def _tells_of(body: bytes, kind: str) -> bool:
    entry = json.loads(body)
    return (entry["kind"], entry.get("pipeline"), entry.get("version")) == (kind, "apples", 2)


def _leave_out(members: dict[str, bytes], numbers: list[int]) -> None:
    evidence = json.loads(members["evidence.json"])
    evidence["entries"] = [n for n in evidence["entries"] if n not in numbers]
    members["evidence.json"] = json.dumps(evidence).encode()
    for number in numbers:
        del members[f"entries/{number}.json"], members[f"proofs/{number}.tlog-proof"]


def test_a_single_entry_is_verified_by_its_proof(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(evidence.path) as archive:
        key = archive.read("key").decode().strip()
        for name in ("entries/1.json", "entries/2.json", "proofs/1.tlog-proof"):
            (tmp_path / Path(name).name).write_bytes(archive.read(name))
    proof, entry = str(tmp_path / "1.tlog-proof"), str(tmp_path / "1.json")
    assert factory_verify.main(["proof", proof, entry, "--key", key]) == 0
    told = capsys.readouterr().out
    assert told.startswith("checked: 1 entry\n")
    assert "note: entry 1: it is of the kind " in told
    other = str(tmp_path / "2.json")
    assert factory_verify.main(["proof", proof, other, "--key", key]) == 1
    assert "problem: the proof is not that this entry is in the log" in capsys.readouterr().out
    policy = tmp_path / "policy"
    policy.write_text(f"log {key}\nquorum none\n")
    assert factory_verify.main(["proof", proof, entry, "--policy", str(policy)]) == 0
    capsys.readouterr()
    assert factory_verify.main(["proof", proof, entry]) == 2
    assert "only --key or --policy can say" in capsys.readouterr().err


def test_a_ledger_beside_an_archive_is_a_mistake_in_the_call(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(evidence.path), "--ledger", str(evidence.path.with_name("none"))]
    assert factory_verify.main(words) == 2
    assert capsys.readouterr().err.startswith("error: --ledger is for a home")


def test_what_was_found_is_told_if_the_checkpoint_cannot_be_kept(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = evidence.path.with_name("none") / "kept"
    assert factory_verify.main([str(evidence.path), "--keep", str(kept)]) == 2
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == "all holds"
    assert told.err == f"error: {kept} cannot be written (No such file or directory)\n"
    assert factory_verify.main([str(evidence.path), "--keep", "/dev/full"]) == 2
    told = capsys.readouterr()
    assert told.err == "error: /dev/full cannot be written (No space left on device)\n"


@pytest.mark.parametrize("is_home", [False, True])
def test_the_log_must_be_one_of_several_that_a_policy_names(
    evidence: Evidence, recorded: Path, is_home: bool
) -> None:
    path = recorded if is_home else evidence.path
    others = [LogKey(seed * 32).public for seed in (b"a", b"b")]
    for logs, holds in (([*others, _KEY.public], True), (others, False)):
        lines = [*(f"log {key}" for key in logs), "quorum none", ""]
        policy = TrustPolicy.parse("\n".join(lines).encode())
        report, _ = factory_verify.verify_path(str(path), Expectation(policy=policy))
        assert report.holds is holds
        assert (
            any("is that of no log in your policy" in str(one) for one in report.problems) != holds
        )
        assert not any("that you know to be" in str(one) for one in report.notes)
