"""`people.yaml`: who may do what, and every mistake with its line."""

import errno
import fcntl
import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from factory_assets.declarations.people import add_person, load_people, require_new_person
from factory_resources.errors import DeclarationError, StorageError, UnknownNameError


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    return tmp_path


def _key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_without_a_file_there_is_nobody(defs: Path) -> None:
    assert load_people() == {}


def test_a_file_in_place_of_the_folder_is_told(defs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (defs / "file").touch()
    monkeypatch.setenv("FACTORY_DEFS", str(defs / "file"))
    with pytest.raises(DeclarationError, match=r"Not a directory\); name a folder in FACTORY_DEFS"):
        load_people()


def test_a_person_is_added_at_the_end(defs: Path) -> None:
    key = _key()
    (defs / "people.yaml").write_text("# ours\nbob: {roles: [auditor]}")
    add_person("jane.doe", ["engineer", "approver"], key)
    people = load_people()
    assert [*people] == ["bob", "jane.doe"]
    assert people["jane.doe"].roles == ("engineer", "approver")
    assert people["jane.doe"].keys == (key,)
    assert (defs / "people.yaml").read_text().startswith("# ours\n")
    with pytest.raises(DeclarationError, match=r"jane\.doe is here already"):
        require_new_person("jane.doe", ["approver"])
    require_new_person("jane.doe", [])


@pytest.mark.parametrize(
    "text", ["{}\n", "{bob: {roles: [auditor]}}\n", "  bob: {roles: [auditor]}\n", "--- {}\n...\n"]
)
def test_a_file_to_which_nothing_can_be_added_stays_as_it_is(defs: Path, text: str) -> None:
    file, key = defs / "people.yaml", _key()
    file.write_text(text)
    with pytest.raises(DeclarationError) as error:
        add_person("jane", ["engineer", "approver"], key)
    told = "a person cannot be added at the end of this file; add by hand: jane: {roles: "
    assert str(error.value) == f"{file}: {told}[engineer, approver], keys: [{key}]}}"
    assert file.read_text() == text


def test_a_mistake_of_the_file_itself_is_told_with_its_line(defs: Path) -> None:
    (defs / "people.yaml").write_text("bob:\n  role: [auditor]\n")
    with pytest.raises(DeclarationError, match=r"people\.yaml:2: bob\.role: unknown key"):
        add_person("jane", ["approver"], _key())


def test_nobody_else_adds_a_person_meanwhile(defs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def replace(target: Path, *_: object, **__: object) -> None:
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            tried.append(target)
        finally:
            os.close(folder)

    monkeypatch.setattr("factory_assets.declarations.people.replace_file", replace)
    add_person("jane", ["approver"], _key())
    assert tried == [defs / "people.yaml"]


def test_a_person_is_added_to_what_a_link_leads_to(defs: Path) -> None:
    file, real = defs / "people.yaml", defs / "ours" / "everybody.yaml"
    real.parent.mkdir()
    real.write_bytes(b"# ours\r\nbob: {roles: [auditor]}\r\n")
    real.chmod(0o664)
    file.symlink_to("ours/everybody.yaml")
    assert add_person("jane", ["approver"], _key()) == file
    assert file.is_symlink()
    assert [*load_people()] == ["bob", "jane"]
    assert real.read_bytes().startswith(b"# ours\r\nbob: {roles: [auditor]}\r\njane:\n")
    assert stat.S_IMODE(real.stat().st_mode) == 0o664


def test_the_file_keeps_its_rights(defs: Path) -> None:
    file = defs / "people.yaml"
    file.write_text("")
    file.chmod(0o600)
    add_person("jane", ["approver"], _key())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_person_is_on_the_disk_before_the_file_is_replaced(
    defs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = defs / "people.yaml"
    file.write_text("bob: {roles: [auditor]}\n")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    add_person("jane", ["approver"], _key())
    assert synced == [file.stat().st_ino]


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(
    defs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = defs / "people.yaml"
    file.write_text("bob: {roles: [auditor]}\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, full)
    with pytest.raises(StorageError, match="No space left on device"):
        add_person("jane", ["approver"], _key())
    assert [*defs.iterdir()] == [file]
    assert file.read_text() == "bob: {roles: [auditor]}\n"


@pytest.mark.parametrize("name", ["", "Jane", "../jane", "jane doe", "-jane", "j" * 65])
def test_a_name_that_no_person_can_have(defs: Path, name: str) -> None:
    with pytest.raises(UnknownNameError, match="cannot be the name of a person"):
        require_new_person(name, [])


def test_the_comment_of_a_key_is_left_out(defs: Path) -> None:
    key = _key()
    (defs / "people.yaml").write_text(f"jane:\n  roles: [approver]\n  keys: [{key} jane@laptop]\n")
    assert load_people()["jane"].keys == (key,)


def test_two_people_of_one_name_are_refused_with_the_line(defs: Path) -> None:
    (defs / "people.yaml").write_text("jane: {roles: [auditor]}\n\njane: {roles: [approver]}\n")
    with pytest.raises(DeclarationError, match=r"yaml:3: .*'jane' repeats line 1; keep one"):
        load_people()


def _passkey(kind: str) -> str:
    private: Any = {
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed25519": Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa 3072": lambda: rsa.generate_private_key(65537, 3072),
    }[kind]()
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(public).decode()


@pytest.mark.parametrize("kind", ["ec", "ed25519", "rsa"])
def test_a_passkey_is_a_key_without_its_comment(defs: Path, kind: str) -> None:
    line, ssh = f"passkey factory.example {_passkey(kind)}", _key()
    text = f"jane:\n  roles: [approver]\n  keys:\n  - {ssh}\n  - {line} her laptop\n"
    (defs / "people.yaml").write_text(text)
    assert load_people()["jane"].keys == (ssh, line)


@pytest.mark.parametrize("kind", ["p384", "rsa 3072", "too long"])
def test_a_passkey_of_another_kind_is_told(defs: Path, kind: str) -> None:
    longer = b64encode(b64decode(_passkey("ec")) + b"\0").decode()
    key = longer if kind == "too long" else _passkey(kind)
    text = f"jane:\n  roles: [approver]\n  keys: [passkey factory.example {key}]\n"
    (defs / "people.yaml").write_text(text)
    with pytest.raises(DeclarationError, match="not that of a passkey"):
        load_people()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("jane: [approver]", 1, "jane: "),
        ("jane: {roles: [boss]}", 1, "valid: engineer, approver, auditor"),
        ("jane:\n  roles: [approver]\n  key: x", 3, "did you mean 'keys'?"),
        ("jane:\n  roles: [approver]\n  keys: [ssh-rsa AAAA]", 3, "begins with `ssh-ed25519`"),
        (
            "jane:\n  roles: [approver]\n  keys: [ssh-ed25519 AAAA]",
            3,
            "it is not an ssh-ed25519 key",
        ),
        ("jane:\n  roles: [approver]\n  keys: [ssh-ed25519 A!]", 3, "it is not base64"),
        ("jane:\n  roles: [approver]\n  keys: [passkey]", 3, "the name of a host and the key"),
        ("jane:\n  roles: []\n  keys: [passkey 127.0.0.1 AAAA]", 3, "the name of a host"),
        ("jane:\n  roles: []\n  keys: [passkey localhost AAAA]", 3, "not that of a passkey"),
        ("jane:\n  roles: []\n  keys: [passkey localhost A!]", 3, "it is not base64"),
        ("jane:\n  roles: []\n  keys: [passkey localhost AB==]", 3, "not as it was printed"),
        ("Jane: {roles: [approver]}", 1, "Jane"),
        ("jane: {roles: [approver], account: a}\nbob: {roles: [], account: a}", 1, "same account"),
        ("jane: {roles: [], oidc: a}\nbob: {roles: [], oidc: a}", 1, "have the same oidc"),
        ("jane: {roles: []}\nbob:\n  roles: []\n  oidc: jane", 2, "bob has the oidc of jane"),
        ("jane:\n  roles: []\n  oidc: ''", 3, "jane.oidc: "),
        ("jane: {\n", 2, ""),
        ("- jane", 1, ""),
        ("jane: {keys: []}", 1, "roles"),
    ],
)
def test_a_mistake_is_told_with_its_line(defs: Path, text: str, line: int, why: str) -> None:
    (defs / "people.yaml").write_text(text)
    with pytest.raises(DeclarationError) as caught:
        load_people()
    assert f"people.yaml:{line}: " in str(caught.value)
    assert why in str(caught.value)
