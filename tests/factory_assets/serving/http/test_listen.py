"""A certificate that cannot be used is told before anything starts."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization

from factory_assets.cli.main import main
from factory_assets.serving.http.listen import require_certificate
from factory_resources.home.home import Home
from tests.e2e.test_serve import write_certificate


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    """A folder with a certificate and its key, and another pair."""
    for name in ("own", "other"):
        write_certificate(tmp_path / f"{name}.key", tmp_path / f"{name}.crt")
    text = (tmp_path / "own.crt").read_text()
    (tmp_path / "own.der").write_bytes(ssl.PEM_cert_to_DER_cert(text))
    key = serialization.load_pem_private_key((tmp_path / "own.key").read_bytes(), None)
    (tmp_path / "locked.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a passphrase"),
        )
    )
    return tmp_path


def test_a_certificate_with_its_key_is_taken(certified: Path) -> None:
    require_certificate(certified / "own.crt", certified / "own.key")


@pytest.mark.parametrize("command", ["up", "serve"])
@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        (
            "none.crt",
            "own.key",
            "none.crt: cannot be read (No such file or directory); name a file with a certificate",
        ),
        (
            "own.crt",
            "none.key",
            "none.key: cannot be read (No such file or directory); name a file with the "
            "certificate's key in PEM that the user of the factory may read",
        ),
        ("own.crt", ".", "cannot be read (Is a directory)"),
        ("own.crt", "other.key", "certificate and key cannot be used (key values mismatch)"),
        ("own.key", "own.crt", "(the first is no certificate in PEM, or the second no key)"),
        ("own.crt", "own.crt", "(the first is no certificate in PEM, or the second no key)"),
        ("own.der", "own.key", "(the first is no certificate in PEM, or the second no key)"),
        ("own.crt", "locked.key", "cannot be used (the key has a passphrase)"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_one_line(
    certified: Path, home: Home, command: str, certificate: str, key: str, said: str
) -> None:
    files = ["--tls-cert", str(certified / certificate), "--tls-key", str(certified / key)]
    done = CliRunner().invoke(main, [command, *files])
    assert done.exit_code == 2
    assert said in done.output
    assert len(done.output.splitlines()) == 1
    assert not home.path.exists()


@pytest.mark.parametrize("command", ["up", "serve"])
def test_an_empty_host_is_one_line(home: Home, command: str) -> None:
    """As of a variable that is not set; to the system it means all addresses."""
    done = CliRunner().invoke(main, [command, "--host", ""])
    assert done.exit_code == 2
    assert "--host: the address is empty; write one of this machine" in done.output
    assert len(done.output.splitlines()) == 1
    assert not home.path.exists()
