"""The witness: it never cosigns two histories of a log, and what it has seen counts."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tlog_scales import tlog
from tlog_scales.signing import Vkey

from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import (
    CompactRange,
    InvalidError,
    LogCheckpoint,
    SignedNote,
    VerifierKey,
    WitnessKey,
    leaf_hash,
    main,
)
from tests.factory_resources.ledger.homes import (
    LogKey,
    bodies_of,
    entry,
    extract_home,
    format_request,
    write_ledger,
)

_KEY = LogKey()
_LEAVES = [leaf_hash(b"%d" % number) for number in range(20)]
_OTHERS = [leaf_hash(b"x%d" % number) for number in range(20)]


def _signed(leaves: list[bytes], key: LogKey = _KEY) -> bytes:
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return key.sign(tree.size, tree.root)


def _request(old: int, leaves: list[bytes]) -> bytes:
    return format_request(old, leaves, _signed(leaves))


@pytest.fixture
def witness(tmp_path: Path) -> WitnessKey:
    return WitnessKey.create(str(tmp_path / "key"), "example.com/witness", 4)


@pytest.mark.parametrize("kind", [4, 6])
def test_it_cosigns_what_extends_what_it_saw(tmp_path: Path, kind: int) -> None:
    witness = WitnessKey.create(str(tmp_path / "key"), "example.com/witness", kind)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    for old, new in ((0, 3), (3, 3), (3, 4), (4, 20), (20, 20)):
        again = WitnessKey(str(tmp_path / "key"))
        note = SignedNote.parse(again.cosign(_request(old, _LEAVES[:new]), _KEY.public))
        assert LogCheckpoint.parse(note.text).size == new
        assert note.time_of(_KEY.public) == 0
        assert (note.time_of(witness.public) or 0) > 1_700_000_000
        text = again.cosign(_request(new, _LEAVES[:new]), _KEY.public).decode()
        tlog.Checkpoint.from_text(text).verify(Vkey.from_string(str(witness.public)))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (_request(0, _LEAVES[:9]), "saw 8 entries last, and the request proves from 0"),
        (_request(5, _LEAVES[:9]), "saw 8 entries last, and the request proves from 5"),
        (_request(9, _LEAVES[:10]), "saw 8 entries last"),
        (_request(8, _OTHERS[:9]), "the log was rewritten"),
        (_request(8, _OTHERS[:8]), "the log was rewritten"),
        (b"old 8\n\n" + _signed(_LEAVES[:4]), "the log was rewritten"),
        (b"old 8\n\n" + _signed(_LEAVES[:9]), "the log was rewritten"),
        (format_request(8, _LEAVES[:9], _signed(_LEAVES[:9], LogKey(b"o" * 32))), "did not sign"),
        (
            format_request(8, _LEAVES[:9], _signed(_LEAVES[:9], LogKey(name="other.local/x"))),
            "it is of another log",
        ),
        (b"", "is not a proof"),
        (b"new 8\n\n" + _signed(_LEAVES[:9]), "has no line `old`"),
        (b"old 08\n\n" + _signed(_LEAVES[:9]), "is not a number"),
        (b"old 8\nAAAA\n\n" + _signed(_LEAVES[:9]), "is not a hash"),
        (b"old 8\n" + b"A" * 43 + b"=\n" * 70 + b"\n" + _signed(_LEAVES[:9]), "too long"),
    ],
)
def test_it_cosigns_nothing_else(witness: WitnessKey, request_: bytes, reason: str) -> None:
    witness.cosign(_request(0, _LEAVES[:8]), _KEY.public)
    with pytest.raises(InvalidError, match=reason):
        witness.cosign(request_, _KEY.public)
    witness.cosign(_request(8, _LEAVES[:9]), _KEY.public)


def test_the_first_request_begins_at_nothing(witness: WitnessKey) -> None:
    with pytest.raises(InvalidError, match="has not seen this log"):
        witness.cosign(_request(3, _LEAVES[:8]), _KEY.public)
    with pytest.raises(InvalidError, match="the log is empty"):
        witness.cosign(_request(0, []), _KEY.public)


def test_two_logs_have_nothing_to_do_with_each_other(witness: WitnessKey) -> None:
    other = LogKey(b"o" * 32, "other.local/x")
    witness.cosign(_request(0, _LEAVES[:8]), _KEY.public)
    request = format_request(0, _OTHERS[:3], _signed(_OTHERS[:3], other))
    witness.cosign(request, other.public)
    witness.cosign(_request(8, _LEAVES[:9]), _KEY.public)


def test_it_remembers_before_it_signs(witness: WitnessKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(factory_verify, "_sign", crash)
        with pytest.raises(KeyboardInterrupt):
            witness.cosign(_request(0, _LEAVES[:8]), _KEY.public)
    with pytest.raises(InvalidError, match="saw 8 entries last"):
        witness.cosign(_request(0, _OTHERS[:8]), _KEY.public)
    # The answer was lost: the same request is answered again, and so is one from there.
    witness.cosign(_request(0, _LEAVES[:8]), _KEY.public)
    witness.cosign(_request(8, _LEAVES[:8]), _KEY.public)
    with pytest.raises(InvalidError, match="by factory ledger request --old 8"):
        witness.cosign(_request(0, _LEAVES[:9]), _KEY.public)


def test_a_damaged_memory_signs_nothing(witness: WitnessKey, tmp_path: Path) -> None:
    witness.cosign(_request(0, _LEAVES[:8]), _KEY.public)
    [state] = tmp_path.glob("key.*.checkpoint")
    state.write_bytes(b"")
    with pytest.raises(InvalidError, match=f"{state}, the checkpoint that this witness saw last"):
        witness.cosign(_request(0, _OTHERS[:8]), _KEY.public)


def test_a_mistake_in_the_file_of_the_key_is_told_on_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, other = tmp_path / "key", tmp_path / "other"
    assert main(["witness", "new", str(key), "--name", "w"]) == 0
    assert main(["witness", "new", str(key), "--name", "w"]) == 2
    other.write_bytes(b"PRIVATE+KEY+\xff+00000000+AA==\n")
    for path in (other, tmp_path / "none"):
        call = ["cosign", str(path), str(key), "--log", str(_KEY.public), "--out", str(key)]
        assert main(["witness", *call]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {key} is there already; name a new file",
        f"error: {other} is not the key of a witness",
        f"error: there is no file {tmp_path / 'none'}",
    ]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-I", factory_verify.__file__, *words]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def test_the_commands(tmp_path: Path) -> None:
    key, request, out = (str(tmp_path / name) for name in ("key", "request", "out"))
    made = _run("witness", "new", key, "--name", "example.com/witness")
    public = VerifierKey.parse(made.stdout.strip())
    assert public.kind == 4
    assert _run("witness", "new", key, "--name", "example.com/witness").returncode == 2
    (tmp_path / "request").write_bytes(_request(0, _LEAVES))
    call = ["witness", "cosign", key, request, "--log", str(_KEY.public), "--out", out]
    assert _run(*call).returncode == 0
    assert SignedNote.parse((tmp_path / "out").read_bytes()).time_of(public)
    (tmp_path / "request").write_bytes(_request(0, _OTHERS))
    refused = _run(*call)
    assert refused.returncode == 1
    assert refused.stderr.startswith("refused: this witness saw 20 entries last")


def test_twenty_at_once_sign_one_history(tmp_path: Path) -> None:
    key = tmp_path / "key"
    WitnessKey.create(str(key), "example.com/witness", 4)
    for number in range(20):
        leaves = [*_LEAVES[:5], leaf_hash(b"fork %d" % number)]
        (tmp_path / f"request{number}").write_bytes(_request(0, leaves))
    calls = [
        [
            *(sys.executable, "-I", factory_verify.__file__, "witness", "cosign", str(key)),
            *(str(tmp_path / f"request{number}"), "--log", str(_KEY.public)),
            *("--out", str(tmp_path / f"out{number}")),
        ]
        for number in range(20)
    ]
    started = [subprocess.Popen(call, stderr=subprocess.DEVNULL) for call in calls]
    assert sorted(process.wait() for process in started) == [0] + [1] * 19


def _policy(*witnesses: VerifierKey) -> str:
    names = [f"w{number}" for number in range(len(witnesses))]
    lines = [f"witness {name} {key}" for name, key in zip(names, witnesses, strict=True)]
    return "\n".join([*lines, f"group all-of-them all {' '.join(names)}", "quorum all-of-them\n"])


def test_a_rewritten_log_is_found_by_its_missing_witness(
    tmp_path: Path, witness: WitnessKey, capsys: pytest.CaptureFixture[str]
) -> None:
    home, policy = extract_home(tmp_path), tmp_path / "policy"
    policy.write_text(_policy(witness.public))
    bodies = bodies_of(home, _KEY)
    leaves = [leaf_hash(body) for body in bodies]
    cosigned = witness.cosign(_request(0, leaves), _KEY.public)
    call = [str(home), "--policy", str(policy)]
    write_ledger(home / "ledger.db", bodies, _KEY, [cosigned])
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "saw the first 41 of 41 entries" in out
    assert "no witness has seen" not in out

    later = [*bodies, entry("run", subject="run/1", pipeline="apples")]
    write_ledger(home / "ledger.db", later, _KEY, [cosigned])
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "the witnesses of the policy saw the first 41 of 42 entries" in out
    assert "no witness has seen the last 1;" in out

    rewritten = [bodies[0], *later[2:]]
    write_ledger(home / "ledger.db", rewritten, _KEY, [cosigned])
    assert main(call) == 1
    assert "the stored checkpoint of 41 entries is of another history" in capsys.readouterr().out
    write_ledger(home / "ledger.db", rewritten, _KEY)
    assert main(call) == 1
    assert "no checkpoint has the cosignatures that the policy" in capsys.readouterr().out
    with pytest.raises(InvalidError):
        witness.cosign(_request(0, [leaf_hash(body) for body in rewritten]), _KEY.public)


def test_a_quorum_of_two_needs_both(
    tmp_path: Path, witness: WitnessKey, capsys: pytest.CaptureFixture[str]
) -> None:
    home, policy = extract_home(tmp_path), tmp_path / "policy"
    second = WitnessKey.create(str(tmp_path / "second"), "example.org/witness", 6)
    policy.write_text(_policy(witness.public, second.public))
    bodies = bodies_of(home, _KEY)
    leaves = [leaf_hash(body) for body in bodies]
    first = witness.cosign(_request(0, leaves), _KEY.public)
    write_ledger(home / "ledger.db", bodies, _KEY, [first])
    assert main([str(home), "--policy", str(policy)]) == 1
    both = second.cosign(b"old 0\n\n" + first, _KEY.public)
    write_ledger(home / "ledger.db", bodies, _KEY, [both])
    assert main([str(home), "--policy", str(policy)]) == 0
    forged = both[:-20] + b"AAAAAAAAAAAAAAAAAAA\n"
    write_ledger(home / "ledger.db", bodies, _KEY, [forged])
    assert main([str(home), "--policy", str(policy)]) == 1
    capsys.readouterr()


def test_without_a_policy_the_witnesses_are_those_of_the_ledger(
    tmp_path: Path, witness: WitnessKey, capsys: pytest.CaptureFixture[str]
) -> None:
    home = extract_home(tmp_path)
    added = {"role": "witness", "key": str(witness.public)}
    bodies = [*bodies_of(home, _KEY), entry("key", action="added", **added)]
    cosigned = witness.cosign(_request(0, [leaf_hash(body) for body in bodies]), _KEY.public)
    withdrawn = [*bodies, entry("key", action="withdrawn", **added)]
    write_ledger(home / "ledger.db", withdrawn, _KEY, [cosigned])
    assert main([str(home)]) == 0
    out = capsys.readouterr().out
    assert "the witnesses that the ledger names saw the first 42 of 43 entries" in out
    assert "name with --policy the witnesses that you trust" in out
