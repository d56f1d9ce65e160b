"""`factory password`: a new one ends what let the person in before."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from factory_assets.cli.login import set_password
from factory_resources.home.home import Home
from factory_resources.security.passkeys import Passkey, Passkeys
from factory_resources.security.sessions import Sessions


def test_a_new_password_ends_sessions_and_removes_passkeys(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "people.yaml").write_text("ann:\n  roles: [auditor]\n", encoding="utf-8")
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    home.require_writable()
    for name in ("ann", "tom"):
        Sessions(home).begin(name, "password")
        Passkeys(home).add(Passkey(f"of-{name}", name, "x", "localhost", "dQ", "aw", 0, 0.0))
    monkeypatch.setattr("sys.stdin", io.StringIO("a sentence that nobody guesses\n"))
    told = set_password("ann")
    assert told == "ann has a new password; 1 sessions ended; 1 passkeys removed"
    assert Sessions(home).of("ann") == Passkeys(home).of("ann") == ()
    assert Sessions(home).of("tom")
    assert Passkeys(home).of("tom")
