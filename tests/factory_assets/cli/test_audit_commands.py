"""Evidence, witnesses and verification by command; an auditor's machine has one file of ours."""

import copy
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_assets.execution.ledger_state import ledger_entry, ledger_state
from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.entries import FilesRemoved, KeyChanged, SettingChanged
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.records import Records
from tests.disks import small_disk
from tests.pipelines import APPLES, declare
from tests.served_apples import enter_served

pytestmark = pytest.mark.slow

WITNESS = "auditor.example/w1"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline whose version 1 serves, its home, and an auditor's folder."""
    root = enter_served(tmp_path / "root", monkeypatch)
    (root / "auditor").mkdir()
    shutil.copy(factory_verify.__file__, root / "auditor" / "factory_verify.py")
    return root


def factory(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def auditor(root: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the single file where nothing else of the factory can be imported."""
    return subprocess.run(
        [sys.executable, "-I", "factory_verify.py", *map(str, arguments)],
        cwd=root / "auditor",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def _declare_witness(root: Path) -> None:
    key = auditor(root, "witness", "new", "w.key", "--name", WITNESS).stdout.split()[-1]
    (root / "defs" / "factory.yaml").write_text("witness: {required: 1, every: 1d}\n")
    (root / "defs" / "witnesses.policy").write_text(f"witness w1 {key}\nquorum w1\n")


def _log_key(root: Path) -> str:
    with Ledger(Home(root / "home")).reading() as log:
        return str(factory_verify.parse_canonical(log.body(0))["key"])


@pytest.mark.parametrize("rows", [(), ("--with-rows",)])
def test_evidence_is_verified_by_the_single_file(root: Path, rows: tuple[str, ...]) -> None:
    out = root / "evidence.zip"
    written = factory("evidence", "apples@champion", "--out", out, *rows)
    assert written.exit_code == 0, written.output
    verified = auditor(root, out, "--key", _log_key(root), "--keep", "seen")
    assert verified.returncode == 0, verified.stdout
    assert ("files not included" in verified.stdout) is not bool(rows)
    assert "1 statement" in verified.stdout
    assert factory("run", "apples", "--no-reuse").exit_code == 0
    later = root / "later.zip"
    kept = root / "auditor" / "seen"
    assert factory("evidence", "apples@2", "--out", later, "--since", kept, *rows).exit_code == 0
    assert auditor(root, later, "--since", "seen").returncode == 0
    assert auditor(root, out, "--since", "seen").returncode == 0
    # Without the proof, nothing shows that the log extends the kept checkpoint.
    assert factory("evidence", "apples@2", "--out", later, *rows).exit_code == 0
    assert auditor(root, later, "--since", "seen").returncode == 1


def test_evidence_names_the_sensitive_columns_whose_values_the_model_has(root: Path) -> None:
    out = root / "evidence.zip"
    assert "sensitive" not in factory("evidence", "apples@1", "--out", out).output
    declared = copy.deepcopy(APPLES)
    for column in declared["ingest"]["contract"][:2]:
        column["sensitive"] = "personal"
    # A model has the words of a text, and none of a number.
    declared["clean"]["derive"] = {"shade": "upper(colour)"}
    declare(root / "defs" / "apples", declared)
    assert factory("run", "apples").exit_code == 0
    told = factory("evidence", "apples@2", "--out", out).output
    assert "; the model's files have values of sensitive columns: colour, shade\n" in told
    with zipfile.ZipFile(out) as archive:
        [model] = [name for name in archive.namelist() if name.endswith("/model.json")]
        assert b'"green"' in archive.read(model)


def test_evidence_extends_what_an_auditor_kept_after_the_last_witness_looked(root: Path) -> None:
    _declare_witness(root)
    assert factory("ledger", "request", "--out", root / "auditor" / "request").exit_code == 0
    words = ("cosign", "w.key", "request", "--log", _log_key(root), "--out", "cosigned")
    assert auditor(root, "witness", *words).returncode == 0
    assert factory("ledger", "add", root / "auditor" / "cosigned").exit_code == 0
    Ledger(Home(root / "home")).append([FilesRemoved(paths=("tables/x",), reason="r")])
    kept, out = root / "auditor" / "seen", root / "evidence.zip"
    assert factory("verify", "--keep", kept).exit_code == 0
    assert factory("evidence", "apples@1", "--out", out, "--since", kept).exit_code == 0
    verified = auditor(root, out, "--since", "seen")
    assert verified.returncode == 0, verified.stdout
    assert "the witnesses of the policy saw" in verified.stdout
    # Another history of the same length is found.
    note = factory_verify.SignedNote.parse(kept.read_bytes())
    forged = replace(factory_verify.LogCheckpoint.parse(note.text), root=bytes(32))
    kept.write_text(LogKey.load(Home(root / "home")).sign(forged))
    assert auditor(root, out, "--since", "seen").returncode == 1


def test_evidence_that_no_witness_has_seen_yet_says_so(root: Path) -> None:
    _declare_witness(root)
    out = root / "evidence.zip"
    told = factory("evidence", "apples@1", "--out", out).output
    assert "no witness of the policy has seen its entry" in told
    assert auditor(root, out).returncode == 1
    assert factory("ledger", "exchange", root / "auditor").exit_code == 0
    words = ("cosign", "w.key", "w1.request", "--log", _log_key(root), "--out", "w1.cosigned")
    assert auditor(root, "witness", *words).returncode == 0
    assert factory("ledger", "exchange", root / "auditor").exit_code == 0
    assert "no witness" not in factory("evidence", "apples@1", "--out", out).output
    assert auditor(root, out).returncode == 0


def test_evidence_has_a_checkpoint_that_all_witnesses_of_the_policy_have_seen(root: Path) -> None:
    """The newest one may have been seen by some of them."""
    keys = [
        auditor(root, "witness", "new", f"{name}.key", "--name", f"{name}.example/w").stdout.strip()
        for name in ("one", "two")
    ]
    (root / "defs" / "factory.yaml").write_text("witness: {required: 2, every: 1d}\n")
    lines = [f"witness one {keys[0]}", f"witness two {keys[1]}", "group all 2 one two"]
    (root / "defs" / "witnesses.policy").write_text("\n".join([*lines, "quorum all", ""]))

    def cosign(name: str) -> None:
        assert factory("ledger", "exchange", root / "auditor").exit_code == 0
        words = (f"{name}.key", f"{name}.request", "--log", _log_key(root))
        done = auditor(root, "witness", "cosign", *words, "--out", f"{name}.cosigned")
        assert done.returncode == 0, done.stderr
        assert factory("ledger", "exchange", root / "auditor").exit_code == 0

    cosign("one")
    cosign("two")
    Ledger(Home(root / "home")).append([FilesRemoved(paths=("tables/x",), reason="r")])
    cosign("one")
    out = root / "evidence.zip"
    assert factory("evidence", "apples@1", "--out", out).exit_code == 0
    verified = auditor(root, out)
    assert verified.returncode == 0, verified.stdout


def test_no_evidence_is_written_of_which_a_record_is_missing(root: Path) -> None:
    [split] = (root / "home" / "records" / "apples" / "split").glob("*.json")
    split.unlink()
    told = factory("evidence", "apples@1", "--out", root / "evidence.zip")
    assert told.exit_code == 2
    assert told.output.startswith(f"error: records/apples/split/{split.name}: the record of split")
    assert not (root / "evidence.zip").exists()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("models/*/artifacts/manifest.json", "manifest.json is missing"),
        ("models/*/artifacts/model.json", "model.json is missing"),
        ("*/artifacts/origin/manifest.json", "manifest.json is missing"),
        ("*/artifacts/onnx/model.onnx", "model.onnx is missing"),
    ],
)
def test_no_evidence_is_written_of_which_a_file_is_missing(
    root: Path, file: str, told: str
) -> None:
    [path] = (root / "home" / "artifacts" / "apples").glob(file)
    path.unlink()
    result = factory("evidence", "apples@1", "--out", root / "evidence.zip")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output
    assert result.output.startswith(f"error: apples@1: {told}")
    assert not (root / "evidence.zip").exists()


def test_no_evidence_is_written_that_the_verifier_would_not_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = root / "evidence.zip"
    monkeypatch.setattr("factory_resources.ledger.factory_verify.LARGEST_DIRECTORY", 1000)
    told = factory("evidence", "apples@1", "--out", out)
    assert told.exit_code == 2
    assert "apples@1: its evidence is " in told.output
    assert "files, more than the verifier reads of an archive" in told.output
    assert [path for path in root.iterdir() if "evidence" in path.name] == []


def test_a_full_disk_of_the_archive_is_named_and_not_the_home(root: Path) -> None:
    with small_disk(root / "stick", 1 << 14) as stick:
        told = factory("evidence", "apples@1", "--out", stick.folder / "evidence.zip")
        assert not [*stick.folder.iterdir()]
    assert told.exit_code == 2
    assert told.output.startswith(f"error: {stick.folder / 'evidence.zip'}: cannot write (No space")
    assert "or name another file" in told.output


def test_evidence_takes_the_place_of_no_link_and_of_no_pipe(root: Path) -> None:
    # As long as a name may be: what is written beside it until it is whole has another one.
    link, file, pipe = root / "link.zip", root / f"{'f' * 251}.zip", root / "pipe"
    link.symlink_to(file)
    assert factory("evidence", "apples@1", "--out", link).exit_code == 0
    assert link.is_symlink()
    assert auditor(root, file).returncode == 0
    os.mkfifo(pipe)
    for out in (pipe, root):
        told = factory("evidence", "apples@1", "--out", out)
        assert told.exit_code == 2
        assert "cannot write the archive here: this is not a file" in told.output
    assert pipe.is_fifo()


def test_a_kept_checkpoint_that_evidence_cannot_extend_is_told(root: Path) -> None:
    kept = root / "seen"
    assert factory("verify", "--keep", kept).exit_code == 0
    note = factory_verify.SignedNote.parse(kept.read_bytes())
    seen = factory_verify.LogCheckpoint.parse(note.text)
    for changed, line in (
        (replace(seen, origin="factory.local/other"), "is of the log factory.local/other"),
        (replace(seen, size=seen.size + 1), f"is over {seen.size + 1} entries, and this ledger"),
    ):
        kept.write_text(LogKey.load(Home(root / "home")).sign(changed))
        told = factory("evidence", "apples@1", "--out", root / "x.zip", "--since", kept)
        assert told.exit_code == 2, told.output
        assert line in told.output
        assert not [*root.glob("*.zip"), *root.glob(".x*")]


def test_the_same_evidence_has_the_same_bytes(root: Path) -> None:
    for name in ("one.zip", "two.zip"):
        assert factory("evidence", "apples@1", "--out", root / name).exit_code == 0
    assert (root / "one.zip").read_bytes() == (root / "two.zip").read_bytes()


def test_a_witness_cosigns_by_files(root: Path) -> None:
    _declare_witness(root)
    home = Home(root / "home")
    asked = factory("ledger", "request", "--out", root / "auditor" / "request")
    assert asked.exit_code == 0, asked.output
    signed = auditor(
        root, "witness", "cosign", "w.key", "request", "--log", _log_key(root), "--out", "cosigned"
    )
    assert signed.returncode == 0, signed.stderr
    added = factory("ledger", "add", root / "auditor" / "cosigned")
    assert added.output == "stored the cosignature of w1\n"
    state = ledger_state(home)
    assert state
    assert state.witnesses.seen == state.witnesses.size > 10
    record = Records(home).latest("apples", "deploy")
    assert record
    shown = ledger_entry(record, home)
    assert shown["seen by a witness"] == "yes"
    assert shown["last cosignature"] == "0 min ago"
    verified = factory("verify", "--policy", root / "defs" / "witnesses.policy")
    assert verified.exit_code == 0, verified.output
    # The witness is in the ledger, and what happens from now on it has not seen.
    assert Ledger(home).latest(SettingChanged, "settings")
    assert Ledger(home).latest(KeyChanged, "keys/witness")
    told = factory("run", "apples", "--no-reuse").output
    assert f"ledger: a witness has seen {state.witnesses.seen} of" in told
    record = Records(home).latest("apples", "deploy")
    assert record
    assert ledger_entry(record, home)["seen by a witness"] == "not yet"
    # The next request proves that the log extends what this witness has cosigned.
    assert factory("ledger", "request", "--out", root / "auditor" / "request").exit_code == 0
    again = auditor(
        root, "witness", "cosign", "w.key", "request", "--log", _log_key(root), "--out", "cosigned"
    )
    assert again.returncode == 0, again.stderr
    assert factory("ledger", "add", root / "auditor" / "cosigned").exit_code == 0
    assert factory("verify", "--policy", root / "defs" / "witnesses.policy").exit_code == 0


def test_a_witness_whose_answer_was_lost_is_asked_from_where_it_is(root: Path) -> None:
    _declare_witness(root)
    asked, policy = root / "auditor" / "request", root / "defs" / "witnesses.policy"
    words = ("cosign", "w.key", "request", "--log", _log_key(root), "--out", "cosigned")
    assert factory("ledger", "request", "--out", asked).exit_code == 0
    assert auditor(root, "witness", *words).returncode == 0
    (root / "auditor" / "cosigned").unlink()
    Ledger(Home(root / "home")).append([FilesRemoved(paths=("tables/x",), reason="r")])
    assert factory("ledger", "request", "--out", asked).exit_code == 0
    refused = auditor(root, "witness", *words)
    assert refused.returncode == 1
    command = refused.stderr.strip().partition(", by factory ")[2].split()
    assert command[:3] == ["ledger", "request", "--old"]
    assert factory(*command, "--out", asked).exit_code == 0
    assert auditor(root, "witness", *words).returncode == 0
    assert factory("ledger", "add", root / "auditor" / "cosigned").exit_code == 0
    assert factory("verify", "--policy", policy).exit_code == 0
    told = factory("ledger", "request", "--old", "999999", "--out", asked)
    assert (told.exit_code, len(told.output.splitlines())) == (2, 1)
    assert "and not 999,999" in told.output


def test_witnesses_exchange_files_in_a_folder(root: Path) -> None:
    folder, keys = root / "auditor", dict[str, str]()
    for name in ("w1", "w2"):
        told = auditor(root, "witness", "new", f"{name}.key", "--name", f"auditor.example/{name}")
        keys[name] = told.stdout.split()[-1]
    (root / "defs" / "factory.yaml").write_text("witness: {required: 2, every: 1d}\n")
    policy = root / "defs" / "witnesses.policy"
    policy.write_text(f"witness w1 {keys['w1']}\nwitness a/2 {keys['w2']}\ngroup all 2 w1 a/2\n")
    policy.write_text(policy.read_text() + "quorum all\n")
    asked = factory("ledger", "exchange", folder)
    assert asked.exit_code == 0, asked.output
    requests = [*folder.glob("*.request")]
    assert {path.name for path in requests} == {"w1.request", "a%2F2.request"}
    files = (("w1.key", "w1.request", "w1"), ("w2.key", "a%2F2.request", "two"))
    for key, request, out in files:
        words = (key, request, "--log", _log_key(root), "--out", f"{out}.cosigned")
        assert auditor(root, "witness", "cosign", *words).returncode == 0
    # Factory and witness are different users.
    handed = (*requests, *folder.glob("*.cosigned"))
    assert {path.stat().st_mode & 0o777 for path in handed} == {0o644}
    (folder / "torn.cosigned").write_text("half a")
    told = factory("ledger", "exchange", folder)
    # What is wrong with one file hinders no other, and is told.
    assert told.exit_code == 2
    assert [line for line in told.output.splitlines() if line.startswith("stored")] == [
        "stored the cosignature of a/2",
        "stored the cosignature of w1",
    ]
    assert told.output.count("to cosign") == 2
    assert "torn.cosigned" in told.output.splitlines()[-1]
    state = ledger_state(Home(root / "home"))
    assert state
    assert state.witnesses.seen == state.witnesses.size
    (folder / "torn.cosigned").unlink()
    # The new request begins where the witness has been, and an exchange may be repeated.
    assert (folder / "w1.request").read_text().startswith(f"old {state.witnesses.seen}\n")
    assert factory("ledger", "exchange", folder).exit_code == 0
    assert factory("verify", "--policy", policy).exit_code == 0


def test_tiles_are_exported_by_command(root: Path) -> None:
    assert factory("ledger", "export", "--out", root / "tiles").exit_code == 0
    assert (root / "tiles" / "checkpoint").read_text().startswith("factory.local/")


def _nothing(_: Path) -> None:
    pass


def _unknown_key(root: Path) -> None:
    _declare_witness(root)
    (root / "defs" / "factory.yaml").write_text("\nwitness: {requird: 1}\n")


def _no_weights(root: Path) -> None:
    [weights] = root.glob("home/artifacts/apples/models/*/artifacts/weights.safetensors")
    weights.unlink()


def _bad_policy(root: Path) -> None:
    _declare_witness(root)
    (root / "defs" / "witnesses.policy").write_text("quorum nobody\n")


def _no_policy(root: Path) -> None:
    (root / "defs" / "factory.yaml").write_text("witness: {}\n")


@pytest.mark.parametrize(
    ("prepare", "arguments", "line"),
    [
        (_nothing, ("ledger", "request", "--out", "x"), "factory.yaml: no witness is declared"),
        (_nothing, ("ledger", "exchange", "x"), "factory.yaml: no witness is declared"),
        (_unknown_key, ("ledger", "request", "--out", "x"), "factory.yaml:2: witness.requird"),
        (_bad_policy, ("ledger", "request", "--out", "x"), "'nobody' is not defined above"),
        (_no_policy, ("ledger", "request", "--out", "x"), "witnesses.policy: cannot be read"),
        (
            _declare_witness,
            ("ledger", "request", "--out", "x", "--for", "w2"),
            "there is no witness 'w2'; name one of the policy with --for: w1",
        ),
        (_declare_witness, ("ledger", "add", "defs/witnesses.policy"), "the note is not a text"),
        (_declare_witness, ("ledger", "add", "nowhere"), "nowhere: cannot be read (No such file"),
        (_nothing, ("evidence", "apples@9", "--out", "x.zip"), "apples has no version 9"),
        (_nothing, ("evidence", "apples/clean", "--out", "x.zip"), "is not a model version"),
        (_nothing, ("evidence", "apples@1", "--out", "no/x.zip"), "no/x.zip: cannot write"),
        (_nothing, ("evidence", "apples@1", "--out", ""), "'--out': the path is empty (`"),
        (
            _nothing,
            ("evidence", "apples@1", "--out", "defs/apples/defs.yaml/x.zip"),
            "defs.yaml/x.zip: cannot write (Not a directory); free space there or make the folder",
        ),
        (
            _nothing,
            ("predict", "apples", "defs/apples/data.csv", "--out", "defs/apples/defs.yaml/x.csv"),
            "Not a directory); free space there or make the folder writable, or name another file",
        ),
        (
            _nothing,
            ("ledger", "export", "--out", "defs/apples/defs.yaml/x"),
            "Not a directory); free space there or make the folder writable, or name another file",
        ),
        (
            _no_weights,
            ("evidence", "apples@1", "--out", "x.zip"),
            "apples@1: weights.safetensors is missing; it does not serve; factory verify shows",
        ),
        (
            _nothing,
            ("evidence", "apples@1", "--out", "x.zip", "--since", "nowhere"),
            "nowhere: cannot be read (No such file",
        ),
        (_nothing, ("verify", "nowhere"), "nowhere"),
        (_nothing, ("witness",), "required: command (`witness -h` shows what to give)"),
        (_nothing, ("witness", "new"), "required: key, --name (`witness new -h` shows what"),
        (_nothing, ("verify", "--key", "nonsense"), "'nonsense' is not a verifier key"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    root: Path,
    prepare: Callable[[Path], None],
    arguments: tuple[str, ...],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(root)
    monkeypatch.chdir(root)
    with Ledger(Home(root / "home")).reading() as log:
        before = log.size
    told = factory(*arguments)
    assert told.exit_code == 2, told.output
    assert line in told.output
    assert len(told.output.strip().splitlines()) == 1
    with Ledger(Home(root / "home")).reading() as log:
        assert log.size - before <= (2 if prepare is _declare_witness else 0)
    assert not (root / "x").exists()
    assert not [*root.glob("*.zip*"), *root.glob(".x*")]
