"""Addresses of PostgreSQL, and which databases a home has."""

import json
from hashlib import sha256

import pytest
from psycopg2.extensions import parse_dsn
from sqlalchemy import make_url

from factory_resources.errors import StorageError
from factory_resources.home.database import (
    PREPARED,
    alchemy_address,
    has_password,
    plain_address,
    require_recorded_engine,
    schema_address,
    set_option,
    without_password,
)
from factory_resources.home.home import Home


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_an_address_may_be_written_for_any_library(scheme: str) -> None:
    rest = "/factory?host=/var/run/postgresql"
    for end in ("", "\n"):
        assert plain_address(f"{scheme}://{rest}{end}", where="") == f"postgresql://{rest}"


@pytest.mark.parametrize(
    "address",
    [
        "factory",
        "mysql://a/b",
        "host=/run dbname=x",
        "sqlite:///a",
        "postgresql://me:sword%fish@host/a",
        "postgresql://me:word@[::1/a",
        "postgresql://host/a?no_such_option=1",
        "postgresql://me:word/fish@host/a",
    ],
)
def test_what_is_no_address_of_postgresql_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(StorageError, match="not the address of a PostgreSQL") as refused:
        plain_address(address, where="--to")
    assert refused.value.what == "this is not the address of a PostgreSQL database"
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:hidden@host/a", "postgresql://me:...@host/a"),
        ("postgresql:///a?host=db&password=hidden", "postgresql:///a?host=db&password=..."),
        ("postgresql:///a?sslpassword=hidden&port=1", "postgresql:///a?sslpassword=...&port=1"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert has_password(address)
    assert without_password(address) == shown
    assert not has_password("postgresql://me@host/a?port=1")
    assert without_password("postgresql://me@host/a?port=1") == "postgresql://me@host/a?port=1"


@pytest.mark.parametrize(
    ("declared", "read"),
    [
        (
            "postgresql://me:hid?den#[x]@host/a?port=1",
            {"user": "me", "password": "hid?den#[x]", "host": "host", "dbname": "a", "port": "1"},
        ),
        (
            "postgresql://me@one:1,[::1]:2,two/a?target_session_attrs=read-write",
            {
                **{"user": "me", "host": "one,::1,two", "port": "1,2,", "dbname": "a"},
                "target_session_attrs": "read-write",
            },
        ),
        ("postgresql://one:1,two:2", {"host": "one,two", "port": "1,2"}),
    ],
)
def test_what_is_unusual_in_an_address_is_read_alike_by_all(
    declared: str, read: dict[str, str]
) -> None:
    address = plain_address(declared, where="")
    found = parse_dsn(set_option(address, "search_path=x"))
    assert found == {**read, "options": "-csearch_path=x"}
    url = make_url(alchemy_address(address))
    _, asked = url.get_dialect()().create_connect_args(url)
    assert {name: str(value) for name, value in asked.items()} == read
    assert "hid" not in without_password(address)


def test_other_options_of_an_address_stay() -> None:
    address = "postgresql:///f?host=/run/a+b&options=-cstatement_timeout%3D9"
    assert schema_address(address, "mlflow") == (
        "postgresql:///f?host=/run/a+b&options=-cstatement_timeout%3D9%20-csearch_path%3Dmlflow"
    )


@pytest.mark.parametrize("recorded", ["sqlite", "", "postgresql:///factory"])
def test_a_home_refuses_the_databases_that_it_does_not_have(
    home: Home, monkeypatch: pytest.MonkeyPatch, recorded: str
) -> None:
    digest = sha256(recorded.encode()).hexdigest()
    home.write_atomic(home.path / PREPARED, json.dumps({"database": digest}).encode())
    for url in ("", "postgresql:///another?host=/run"):
        monkeypatch.setenv("FACTORY_DATABASE_URL", url)
        if bool(url) == recorded.startswith("postgresql"):
            require_recorded_engine(home)
            continue
        with pytest.raises(
            StorageError, match=r"the databases of this factory are (files|on Post)"
        ):
            require_recorded_engine(home)
