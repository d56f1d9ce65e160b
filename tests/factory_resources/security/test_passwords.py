"""Passwords: only hashes are kept, and time does not tell who has one."""

import json
import time

import pytest

from factory_resources.errors import KeyFileError, StorageError
from factory_resources.home.home import Home
from factory_resources.security.passwords import Passwords

PASSWORD = "correct horse battery"


@pytest.fixture
def passwords(home: Home) -> Passwords:
    home.require_writable()
    made = Passwords(home)
    made.set("jane", PASSWORD)
    return made


def test_only_the_right_password_of_the_right_person_is_right(passwords: Passwords) -> None:
    assert passwords.is_right("jane", PASSWORD)
    assert not passwords.is_right("jane", PASSWORD + "x")
    assert not passwords.is_right("jane", "")
    assert not passwords.is_right("tom", PASSWORD)
    assert not passwords.is_right("tom", "nobody has this password")
    assert not passwords.is_right("jane", "x" * 10_000_000)


def test_a_new_password_replaces_the_old_one(passwords: Passwords) -> None:
    passwords.set("jane", "another horse battery")
    assert not passwords.is_right("jane", PASSWORD)
    assert passwords.is_right("jane", "another horse battery")


def test_what_is_stored_is_argon2id_and_private(passwords: Passwords, home: Home) -> None:
    file = home.path / "secrets" / "passwords.json"
    stored = json.loads(file.read_bytes())["jane"]
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PASSWORD not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_an_unknown_name_takes_as_long_as_a_wrong_password(passwords: Passwords) -> None:
    def cpu(name: str) -> float:
        began = time.process_time()
        passwords.is_right(name, "wrong password")
        return time.process_time() - began

    known = min(cpu("jane") for _ in range(3))
    assert min(cpu("nobody") for _ in range(3)) > known / 2


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 1_001])
def test_a_short_or_endless_password_is_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(KeyFileError, match="12 to 1,000 characters"):
        passwords.set("jane", password)
    assert passwords.is_right("jane", PASSWORD)


def test_a_password_that_is_no_text_is_refused(passwords: Passwords) -> None:
    # So Python reads bytes that are not UTF-8 from standard input.
    with pytest.raises(KeyFileError, match="the password is not UTF-8; choose another one"):
        passwords.set("jane", "a long password \udcff")
    assert passwords.is_right("jane", PASSWORD)


def test_a_changed_file_is_one_line(passwords: Passwords, home: Home) -> None:
    (home.path / "secrets" / "passwords.json").write_text("[1")
    with pytest.raises(StorageError, match="cannot be read"):
        passwords.is_right("jane", PASSWORD)
