"""The manifests that the ledger lists must be there: by them, runs leave out erased rows."""

from hashlib import sha256
from pathlib import Path

import pytest

from factory_resources.erasure.listed_manifests import require_manifests
from factory_resources.erasure.manifest import ErasureManifest, manifest_file
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureListed
from factory_resources.ledger.ledger import Ledger
from tests.disks import denied
from tests.erasures import note_erased

ONE, TWO = "1" * 64, "2" * 64


def _listed(home: Home) -> ErasureManifest:
    """Write a manifest that the ledger lists, and one that it does not."""
    Ledger(home).begin()
    note_erased(home, {TWO: [1]})
    manifest = note_erased(home, {ONE: [3, 5]})
    digest = sha256(manifest.content).hexdigest()
    subject = ErasureListed.subject_of()
    Ledger(home).append([ErasureListed(subject=subject, erasure=manifest.id, manifest=digest)])
    require_manifests(home)
    return manifest


def test_without_a_ledger_none_is_required(home: Home) -> None:
    require_manifests(home)
    assert not Ledger(home).exists


def test_one_that_was_changed_is_an_error_in_one_line(home: Home) -> None:
    manifest = _listed(home)
    fewer = manifest.model_copy(update={"sources": {ONE: (3,)}})
    path = manifest_file(home, manifest.id)
    path.write_bytes(fewer.content)
    with pytest.raises(StorageError, match="the manifest of an erasure was changed") as caught:
        require_manifests(home)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_that_is_missing_is_an_error(home: Home) -> None:
    manifest_file(home, _listed(home).id).unlink()
    with pytest.raises(StorageError, match="is missing") as caught:
        require_manifests(home)
    assert "erased rows would come back" in str(caught.value)


def test_one_that_another_user_wrote_is_not_called_missing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    _listed(home)
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(StorageError, match="cannot be read"):
        require_manifests(home)
