"""A home remembers where its tables are, and the environment must name that place."""

import pytest

from factory_resources.errors import SourceError, StorageError
from factory_resources.home.home import Home
from factory_resources.store.location import (
    location_file,
    require_recorded_store,
    store_at,
    uses_store,
)
from factory_resources.store.store import store_of


def test_what_is_set_must_be_what_the_home_has(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", "http://storage:9000")
    monkeypatch.setenv("FACTORY_STORE", "s3://plant/here")
    # Nothing has run yet.
    require_recorded_store(home)
    assert not uses_store(home)
    home.records.mkdir(parents=True)
    with pytest.raises(StorageError, match="carry them over: factory migrate --to s3://plant/here"):
        require_recorded_store(home)
    home.write_atomic(location_file(home), b"s3://plant/here\n")
    require_recorded_store(home)
    assert uses_store(home)
    monkeypatch.setenv("FACTORY_STORE", "s3://plant/elsewhere")
    with pytest.raises(StorageError, match="but FACTORY_STORE is s3://plant/elsewhere"):
        require_recorded_store(home)
    monkeypatch.delenv("FACTORY_STORE")
    assert not uses_store(home)
    with pytest.raises(StorageError, match="but FACTORY_STORE is not set; export FACTORY_STORE="):
        require_recorded_store(home)


def test_a_key_that_no_header_may_have_is_one_line_without_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", "http://storage:9000")
    location = store_at("s3://plant/here")
    for name in ("FACTORY_S3_ACCESS_KEY", "FACTORY_S3_SECRET_KEY"):
        monkeypatch.setenv("FACTORY_S3_ACCESS_KEY", "swordfish")
        monkeypatch.setenv("FACTORY_S3_SECRET_KEY", "swordfish")
        for value in ("sword\nfish", "sword fish", "sword€fish"):
            monkeypatch.setenv(name, value)
            with pytest.raises(SourceError, match=f"secret {name} has blanks") as told:
                store_of(home, location)
            assert "fish" not in str(told.value)
