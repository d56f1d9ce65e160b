"""Secrets are read by name, and their values never appear in messages."""

import os
from pathlib import Path

import pytest

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret

VALUE = "hush-4711"


def _write(folder: Path, mode: int = 0o600, value: bytes = VALUE.encode() + b"\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "PLANT_DB"
    path.write_bytes(value)
    path.chmod(mode)
    return path


def test_the_environment_precedes_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(home.path / "secrets")
    assert secret("PLANT_DB", home) == VALUE
    monkeypatch.setenv("PLANT_DB", "other")
    assert secret("PLANT_DB", home) == "other"


def test_factory_secrets_names_the_folder(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_SECRETS", str(tmp_path / "run"))
    _write(tmp_path / "run", mode=0o440)
    assert secret("PLANT_DB", home) == VALUE


def test_a_line_break_at_the_end_is_not_part_of_a_secret(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANT_DB", "from the environment\r\n")
    assert secret("PLANT_DB", home) == "from the environment"


def test_a_missing_secret_is_reported_with_its_possible_places(home: Home) -> None:
    with pytest.raises(SourceError, match=r"secret PLANT_DB is not set; .*variable PLANT_DB, or"):
        secret("PLANT_DB", home)


@pytest.mark.parametrize(
    ("mode", "value", "message"),
    [
        (0o604, b"hush-4711", "every user may read.*chmod 600"),
        (0o602, b"hush-4711", "every user may read.*chmod 600"),
        (0o600, b"hush-4711\xff", "not UTF-8"),
        (0o600, b"\n", "is empty"),
    ],
)
def test_a_public_or_unreadable_file_is_refused(
    mode: int, value: bytes, message: str, home: Home
) -> None:
    _write(home.path / "secrets", mode, value)
    with pytest.raises(SourceError, match=message) as caught:
        secret("PLANT_DB", home)
    assert VALUE not in str(caught.value) + str(caught.value.__cause__)


def test_what_is_no_file_is_not_read(home: Home) -> None:
    (home.path / "secrets" / "PLANT_DB").mkdir(parents=True)
    # Of a pipe, the end may never come.
    os.mkfifo(home.path / "secrets" / "PIPE")
    for name in ("PLANT_DB", "PIPE"):
        with pytest.raises(SourceError, match=f"secret {name} is not set"):
            secret(name, home)


def test_a_remedy_is_a_command_for_a_path_with_blanks(tmp_path: Path) -> None:
    home = Home(tmp_path / "my home")
    _write(home.path / "secrets", 0o604, VALUE.encode())
    with pytest.raises(SourceError) as caught:
        secret("PLANT_DB", home)
    assert caught.value.remedy == f"chmod 600 '{home.path}/secrets/PLANT_DB'"


@pytest.mark.parametrize("name", ["../passwd", "a/b", "", "a b", "1"])
def test_a_path_is_not_a_name(name: str, home: Home) -> None:
    with pytest.raises(SourceError, match="is not a secret's name"):
        secret(name, home)
