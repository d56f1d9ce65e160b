"""Commitments to names: the same name twice is the same, and nothing without its salt."""

from pathlib import Path

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.security.commitments import Commitments, commit


def test_a_name_has_one_commitment_for_each_kind(home: Home) -> None:
    commitments = Commitments(home)
    jane = commitments.of("person", "jane")
    assert commitments.of("person", "jane") == jane == Commitments(home).of("person", "jane")
    assert len({jane, commitments.of("account", "jane"), commitments.of("person", "bob")}) == 3
    assert jane == commit(commitments.salt("person", "jane"), "jane")
    assert commitments.name_of("person", jane) == "jane"
    assert commitments.name_of("account", jane) is None
    assert commitments.name_of("person", None) is None


def test_without_its_salt_a_name_is_unknown(home: Home) -> None:
    jane = Commitments(home).of("person", "jane")
    (home.path / "secrets" / "people_salts.json").unlink()
    assert Commitments(home).name_of("person", jane) is None
    assert Commitments(home).of("person", "jane") != jane


@pytest.mark.parametrize("content", ["[]", "{", '{"person:jane": 5}', '{"person:jane": "xyz"}'])
def test_damaged_salts_are_one_line(home: Home, content: str) -> None:
    file: Path = home.path / "secrets" / "people_salts.json"
    Commitments(home).of("person", "jane")
    file.write_text(content)
    with pytest.raises(StorageError, match="salts of people's names cannot be read"):
        Commitments(home).of("person", "jane")


def test_salts_of_another_user_are_not_to_be_restored(home: Home) -> None:
    # Whoever runs the tests may read every file, but nobody reads a folder as one.
    (home.path / "secrets" / "people_salts.json").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot be read .*if another user wrote this file"):
        Commitments(home).of("person", "jane")
