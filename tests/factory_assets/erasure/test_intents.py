"""What is still to be done of an erasure: stored, read again, and gone without a trace."""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.erasure.intents import ErasureIntent, destroy, store_intent, stored, unfinished
from factory_assets.execution.ledger_entries import begin_ledger
from factory_resources.erasure.manifest import intent_file, manifest_file
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun, ErasureDone
from factory_resources.ledger.ledger import Ledger
from tests.disks import denied
from tests.erasures import note_erased

VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.floats(allow_nan=False),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
)


def _intent(home: Home, *values: Any) -> ErasureIntent:
    return ErasureIntent(
        manifest=note_erased(home, {"0" * 64: [1]}),
        records={},
        partitions={},
        where="nbr = 1",
        values=tuple(map(stored, values)),
        not_searched=0,
    )


def _enter(home: Home, erasure: str) -> None:
    begin_ledger(home)
    subject = ErasureBegun.subject_of(erasure=erasure)
    entry = ErasureBegun(
        subject=subject,
        manifest="0" * 64,
        pipelines=("p",),
        rows=1,
        answers=0,
        statement="0" * 64,
        person=None,
        key=None,
    )
    Ledger(home).append([entry])


@given(values=st.lists(VALUES, max_size=5))
def test_values_are_read_as_they_were(
    values: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    intent = _intent(Home(tmp_path_factory.mktemp("intent")), *values)
    read = ErasureIntent.model_validate_json(intent.model_dump_json())
    assert [*map(repr, read.searched)] == [repr(_plain(value)) for value in values]


def _plain(value: Any) -> Any:
    """Return a moment with its offset in place of the name of its zone."""
    return datetime.fromisoformat(value.isoformat()) if isinstance(value, datetime) else value


def test_one_that_was_entered_is_unfinished_and_only_its_owner_reads_it(home: Home) -> None:
    intent = _intent(home, "Qwertz", 4_200_424_042, 72.25, date(1950, 3, 2))
    store_intent(intent, home)
    _enter(home, intent.manifest.id)
    path = intent_file(home, intent.manifest.id)
    assert path.stat().st_mode & 0o077 == 0
    assert [*unfinished(home)] == [intent]


def test_one_that_was_never_entered_goes_with_its_manifest(home: Home) -> None:
    intent = _intent(home, "Qwertz")
    store_intent(intent, home)
    begin_ledger(home)
    assert [*unfinished(home)] == []
    assert not intent_file(home, intent.manifest.id).exists()
    assert not manifest_file(home, intent.manifest.id).exists()


def test_nothing_is_left_of_one_that_was_never_wholly_written(home: Home, tmp_path: Path) -> None:
    half = intent_file(home, "").parent / ".half.json"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"Xyzzyville")
    (tmp_path / "other").hardlink_to(half)
    assert [*unfinished(home)] == []
    assert not half.exists()
    assert (tmp_path / "other").read_bytes() == bytes(10)


def test_one_that_is_done_goes_however_much_of_it_was_overwritten(home: Home) -> None:
    intent = _intent(home, "Qwertz")
    store_intent(intent, home)
    _enter(home, intent.manifest.id)
    subject = ErasureDone.subject_of(erasure=intent.manifest.id)
    Ledger(home).append([ErasureDone(subject=subject, searched=1, not_searched=0, found=0)])
    path = intent_file(home, intent.manifest.id)
    path.write_bytes(bytes(path.stat().st_size))
    assert [*unfinished(home)] == []
    assert not path.exists()
    assert manifest_file(home, intent.manifest.id).exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"where": 1}', b"\xff\xfe"])
def test_a_damaged_one_is_an_error_in_one_line(content: bytes, home: Home) -> None:
    intent = _intent(home, "Qwertz")
    store_intent(intent, home)
    _enter(home, intent.manifest.id)
    path = intent_file(home, intent.manifest.id)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="still to be erased cannot be read") as caught:
        [*unfinished(home)]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.exists()


def test_one_that_another_user_wrote_is_not_to_be_removed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent = _intent(home, "Qwertz")
    store_intent(intent, home)
    _enter(home, intent.manifest.id)
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(StorageError, match="run the factory as the user who owns the home"):
        [*unfinished(home)]


def test_nothing_of_a_destroyed_file_is_left_under_another_name_or_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "intent.json", tmp_path / "other"
    path.write_bytes(b"Qwertz" * 1000)
    os.link(path, other)
    synced = list[tuple[bytes, bool]]()
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((other.read_bytes(), path.exists())))
    destroy(path)
    assert synced == [(bytes(6000), True)]
    assert not path.exists()
    assert other.read_bytes() == bytes(6000)
