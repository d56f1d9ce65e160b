"""`factory password` ends what let the person in before; a link is for who may use it."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from factory_assets.cli.key import new_key
from factory_assets.cli.login import login_link, new_link, set_password
from factory_assets.cli.running import recorded_process, running_file
from factory_resources.errors import FactoryError, KeyFileError, RefusedError, StorageError
from factory_resources.home.home import Home
from factory_resources.security.account import account_name
from factory_resources.security.login_links import LoginLinks
from factory_resources.security.passkeys import Passkey, Passkeys
from factory_resources.security.passwords import Passwords
from factory_resources.security.sessions import Sessions


@pytest.fixture
def ann(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be one person."""
    (tmp_path / "people.yaml").write_text("ann:\n  roles: [auditor]\n", encoding="utf-8")
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))


@pytest.mark.usefixtures("ann")
def test_a_new_password_ends_sessions_and_removes_passkeys(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    for name in ("ann", "tom"):
        Sessions(home).begin(name, "password")
        Passkeys(home).add(Passkey(f"of-{name}", name, "x", "localhost", "dQ", "aw", 0, 0.0))
    monkeypatch.setattr("sys.stdin", io.StringIO("a sentence that nobody guesses\n"))
    told = set_password("ann")
    assert told == "ann has a new password; 1 session ended; 1 passkey removed"
    assert Sessions(home).of("ann") == Passkeys(home).of("ann") == ()
    assert Sessions(home).of("tom")
    assert Passkeys(home).of("tom")


@pytest.mark.usefixtures("ann")
def test_a_password_that_is_no_text_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # So Python reads standard input where the language of the terminal is set, such as to German.
    latin = io.TextIOWrapper(io.BytesIO("ein schöner langer Satz\n".encode("latin-1")), "utf-8")
    monkeypatch.setattr("sys.stdin", latin)
    with pytest.raises(KeyFileError, match="the password is not UTF-8; choose another one"):
        set_password("ann")
    assert not Passwords(home).names()


def test_a_link_that_would_let_nobody_in_is_not_made(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    home.require_writable()
    address = "http://127.0.0.1:3000"
    assert login_link(home, address).startswith(f"{address}/login?token=")
    people = tmp_path / "people.yaml"
    people.write_text("ann:\n  roles: [auditor]\n", encoding="utf-8")
    made = LoginLinks(home)._file.read_bytes()
    with pytest.raises(RefusedError, match=r"nobody in people\.yaml has the account"):
        login_link(home, address)
    assert LoginLinks(home)._file.read_bytes() == made
    people.write_text(f"ann:\n  roles: [auditor]\n  account: {account_name()}\n", encoding="utf-8")
    assert login_link(home, address).startswith(address)


def test_who_makes_a_key_is_told_that_links_let_nobody_in_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_PASSPHRASE", "long enough")
    told = "a link of `factory login` lets nobody in: nobody in people.yaml has the account"
    assert told in new_key("jane", tmp_path / "jane.key", ["approver"])
    with (tmp_path / "people.yaml").open("a") as people:
        people.write(f"  account: {account_name()}\n")
    assert told not in new_key("bob", tmp_path / "bob.key", ["engineer"])


def test_a_key_whose_person_cannot_be_added_is_made_by_the_same_words_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_PASSPHRASE", "long enough")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        for name in ("replace", "rename"):
            patch.setattr(os, name, full)
        with pytest.raises(
            StorageError, match=r"people\.yaml: cannot write .*, or make the key without --role"
        ):
            new_key("jane", tmp_path / "jane.key", ["approver"])
    assert [*tmp_path.iterdir()] == []
    assert "added jane to" in new_key("jane", tmp_path / "jane.key", ["approver"])


def test_a_factory_that_was_killed_has_no_link(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    address = "http://127.0.0.1:3000"
    with recorded_process(home, ["up"]):
        home.write_atomic(running_file(home), address.encode())
        assert new_link().startswith(f"{address}/login?token=")
    with pytest.raises(FactoryError, match="is not running; start it: factory up"):
        new_link()
    assert running_file(home).exists()
