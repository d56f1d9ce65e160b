"""The keys of people: made here or by OpenSSH, and every way in which one cannot be used."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from factory_resources.errors import KeyFileError, StorageError
from factory_resources.ledger.factory_verify import ssh_key
from factory_resources.security.personal_keys import create_key, load_key, public_file
from tests.disks import small_disk

PASSPHRASE = b"correct horse"


def _never() -> bytes:
    raise AssertionError("nobody is to be asked")


def _written(path: Path, private: object) -> Path:
    content = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())  # type: ignore[attr-defined]
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_new_key_signs_what_its_public_line_verifies(tmp_path: Path) -> None:
    file = tmp_path / "own" / "keys" / "jane"
    public = create_key(file, PASSPHRASE)
    assert file.stat().st_mode & 0o077 == file.parent.stat().st_mode & 0o077 == 0
    assert public_file(file).read_text() == f"{public}\n"
    key = load_key(file, lambda: PASSPHRASE)
    assert key.public == public
    assert ssh_key(public).verifies(key.sign(b"yes"), b"yes")
    assert not ssh_key(public).verifies(key.sign(b"yes"), b"no")
    assert b"ENCRYPTED" not in file.read_bytes()


def test_openssh_reads_a_new_key(tmp_path: Path) -> None:
    public = create_key(tmp_path / "jane", PASSPHRASE)
    command = ["ssh-keygen", "-y", "-P", PASSPHRASE.decode(), "-f", str(tmp_path / "jane")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("OpenSSH is not installed")
    assert done.stdout.strip() == public


def test_a_key_without_a_passphrase_is_used_without_asking(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    key = load_key(_written(tmp_path / "old", private), _never)
    assert ssh_key(key.public).public == private.public_key().public_bytes_raw()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key(tmp_path / "jane", PASSPHRASE)
    before = (tmp_path / "jane").read_bytes()
    with pytest.raises(KeyFileError, match="exists already"):
        create_key(tmp_path / "jane", PASSPHRASE)
    with pytest.raises(KeyFileError, match="without a passphrase"):
        create_key(tmp_path / "bob", b"")
    assert (tmp_path / "jane").read_bytes() == before
    (tmp_path / "bob.pub").write_text("of a key in a device")
    with pytest.raises(KeyFileError, match="exists already") as caught:
        create_key(tmp_path / "bob", PASSPHRASE)
    assert str(caught.value).startswith(f"{tmp_path / 'bob.pub'}: this file exists already")
    assert (tmp_path / "bob.pub").read_text() == "of a key in a device"
    assert not (tmp_path / "bob").exists()
    public_file(tmp_path / "jane").unlink()
    with pytest.raises(KeyFileError, match="exists already"):
        create_key(tmp_path / "jane", PASSPHRASE)
    assert (tmp_path / "jane").read_bytes() == before


def test_a_folder_is_no_name_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyFileError, match=r"^\.: this is a folder; name a file"):
        create_key(Path(), PASSPHRASE)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("free", [0, 4096])
def test_a_key_that_a_full_disk_cuts_off_can_be_made_again(free: int, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1_000_000) as disk:
        file = disk.folder / "ann"
        with disk.filled(free), pytest.raises(StorageError, match="No space left on device"):
            create_key(file, b"word")
        assert [*disk.folder.iterdir()] == []
        public = create_key(file, b"word")
        assert load_key(file, lambda: b"word").public == public


def test_a_key_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    create_key(tmp_path / "jane", PASSPHRASE)
    with pytest.raises(KeyFileError, match="the passphrase is wrong"):
        load_key(tmp_path / "jane", lambda: b"wrong")
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_key(tmp_path / "missing", _never)
    other = _written(tmp_path / "ecdsa", generate_private_key(SECP256R1()))
    with pytest.raises(KeyFileError, match="not of type ssh-ed25519"):
        load_key(other, _never)
    for content in (b"", b"hello", (tmp_path / "jane").read_bytes()[:200]):
        (tmp_path / "damaged").write_bytes(content)
        (tmp_path / "damaged").chmod(0o600)
        with pytest.raises(KeyFileError, match=r"not an OpenSSH private key|passphrase is wrong"):
            load_key(tmp_path / "damaged", lambda: PASSPHRASE)
    (tmp_path / "jane").chmod(0o644)
    with pytest.raises(KeyFileError, match="other users can read this key") as caught:
        load_key(tmp_path / "jane", lambda: PASSPHRASE)
    assert "chmod 600" in caught.value.remedy
    with pytest.raises(KeyFileError, match="other users can read this key") as caught:
        load_key((tmp_path / "jane").rename(tmp_path / "of jane"), lambda: PASSPHRASE)
    assert caught.value.remedy == f"chmod 600 '{tmp_path / 'of jane'}'"
