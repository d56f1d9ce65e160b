"""The manifest of an erasure: what later runs leave out, and what is said if it is damaged."""

from pathlib import Path

import pytest

from factory_resources.erasure.manifest import (
    ErasureManifest,
    erased_of,
    erased_rows,
    is_gone,
    manifest_file,
    manifests,
    source_key,
)
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from tests.disks import denied
from tests.erasures import note_erased

ONE, TWO = "1" * 64, "2" * 64


def test_rows_of_several_erasures_are_told_together(home: Home) -> None:
    assert erased_rows(home) == {}
    note_erased(home, {ONE: [7, 3]}, pipeline="apples")
    note_erased(home, {ONE: [3, 5], TWO: [1]}, pipeline="pears")
    assert erased_rows(home) == {ONE: (3, 5, 7), TWO: (1,)}
    assert erased_rows(home, "apples") == {ONE: (3, 7)}
    assert erased_rows(home, "plums") == {}


def test_rows_of_a_member_of_a_zip_are_found_by_the_keys_of_every_version() -> None:
    member, other = "data/x.zip/in/a.csv", "data/x.zip/in/b.csv"
    own = source_key(ONE, member)
    # Earlier versions of the factory had the last two.
    keys = {own: (1,), source_key(ONE, "data/x.zip/a.csv"): (2,), ONE: (3,)}
    assert len(keys) == 3
    assert erased_of(keys, ONE, member) == (1, 2, 3)
    assert erased_of(keys, ONE, other) == (3,)
    assert erased_of(keys, ONE) == (1, 2, 3)
    assert erased_of(keys, TWO, member) == ()


def test_it_is_read_as_it_was_written(home: Home) -> None:
    manifest = note_erased(home, {ONE: [3]})
    assert [*manifests(home)] == [manifest]
    assert ErasureManifest.model_validate_json(manifest.content) == manifest


def test_a_version_whose_files_were_removed_is_known(home: Home) -> None:
    manifest = note_erased(home, {ONE: [3]}, pipeline="apples")
    erased = manifest.pipelines["apples"].model_copy(update={"versions": (1, 2), "gone": (2,)})
    changed = manifest.model_copy(update={"pipelines": {"apples": erased}})
    home.write_atomic(manifest_file(home, manifest.id), changed.content)
    found = [is_gone(home, name, version) for name in ("apples", "pears") for version in (1, 2)]
    assert found == [False, True, False, False]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": "another"}', b"\xff"])
def test_a_damaged_one_is_an_error_in_one_line(content: bytes, home: Home) -> None:
    """Without it, erased rows would come back."""
    path = manifest_file(home, note_erased(home, {ONE: [3]}).id)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="the manifest of an erasure is damaged") as caught:
        erased_rows(home)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_that_another_user_wrote_is_not_called_damaged(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest_file(home, note_erased(home, {ONE: [3]}).id)
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(StorageError, match="cannot be read") as caught:
        erased_rows(home)
    assert str(path) in str(caught.value)
    assert "backup" not in str(caught.value)
