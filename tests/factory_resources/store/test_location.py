"""A home remembers where its tables are, and the environment must name that place."""

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.store.location import location_file, require_recorded_store, uses_store


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
