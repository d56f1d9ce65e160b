"""Requests to a real S3 server on loopback, and their signatures."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.store.client import StoreAwayError, StoreClient
from factory_resources.store.location import StoreLocation, store_at, uses_store
from factory_resources.store.signing import StoreKeys, StoreRequest
from factory_resources.store.store import SharedStore
from tests.loopback_servers import served
from tests.storage import S3

KEYS = StoreKeys("a", "b")


@pytest.fixture
def client(s3: S3, request: pytest.FixtureRequest) -> StoreClient:
    """A store with a prefix of its own."""
    location = StoreLocation("plant", f"client/{request.node.name}", s3.endpoint, "us-east-1")
    return StoreClient(location, KEYS)


def test_a_request_is_signed_as_amazon_documents() -> None:
    """The example of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    request = StoreRequest("GET", "/test.txt", {}, {"range": "bytes=0-9"}, sha256(b"").hexdigest())
    keys = StoreKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    now = datetime(2013, 5, 24, tzinfo=UTC)
    signed = request.signed("examplebucket.s3.amazonaws.com", "us-east-1", keys, now)
    assert signed["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


_NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)


@given(key=_NAMES, query=st.dictionaries(_NAMES.filter(bool), _NAMES, max_size=3))
def test_any_name_is_signed_as_another_library_signs_it(key: str, query: dict[str, str]) -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = StoreRequest("PUT", f"/bucket/{key}", query, {"if-none-match": "*"}, "0" * 64)
    now = datetime.now(UTC)
    other = AWSRequest(
        "PUT",
        f"http://host:9000{request.target.partition('?')[0]}",
        {"if-none-match": "*", "X-Amz-Content-SHA256": "0" * 64},
        params=query,
    )
    other.context["timestamp"] = f"{now:%Y%m%dT%H%M%SZ}"
    other.headers["X-Amz-Date"] = other.context["timestamp"]
    auth = S3SigV4Auth(Credentials("access", "secret"), "s3", "us-east-1")
    canonical = auth.canonical_request(other)
    expected = auth.signature(auth.string_to_sign(other, canonical), other)
    signed = request.signed("host:9000", "us-east-1", StoreKeys("access", "secret"), now)
    assert signed["authorization"].rpartition("=")[2] == expected


def test_objects_are_written_read_listed_and_removed(
    client: StoreClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["a b/ü@1.json", "a/%25.json", "a/+&=.json", "b"]
    for name in names:
        assert client.write(name, name.encode())
    # So that there are several pages.
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    listed = [*client.list("")]
    assert [one.key for one in listed] == sorted(names)
    assert [one.bytes for one in listed] == [len(name.encode()) for name in sorted(names)]
    assert [one.key for one in client.list("a/", after="a/%25.json")] == ["a/+&=.json"]
    assert all(client.read(name) == name.encode() for name in names)
    assert client.size("b") == 1
    assert client.download("b", tmp_path / "b") == sha256(b"b").hexdigest()
    client.remove("b")
    assert (client.read("b"), client.size("b"), client.download("b", tmp_path / "c")) == (None,) * 3


@pytest.mark.parametrize("key", ["records/../../x", "records//x", "./x"])
def test_a_name_that_leads_out_of_the_home_is_refused(key: str, s3: S3, tmp_path: Path) -> None:
    location = StoreLocation("plant", f"out/{tmp_path.name}", s3.endpoint, "us-east-1")
    client = StoreClient(location, KEYS)
    s3.put(f"{location.prefix}/records/", b"")
    assert not [*client.list("")]
    s3.put(f"{location.prefix}/{key}", b"")
    with pytest.raises(StoreAwayError, match="the name of an object leads elsewhere"):
        [*client.list("")]


def test_of_two_writers_of_a_new_object_one_is_first(client: StoreClient) -> None:
    assert client.write("log", b"mine", new=True)
    assert not client.write("log", b"yours", new=True)
    assert client.read("log") == b"mine"


def test_a_file_is_stored_whole(client: StoreClient, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(bytes(range(256)) * 20_000)
    client.upload("rows", file, sha256(file.read_bytes()).hexdigest())
    assert client.read("rows") == file.read_bytes()


def test_what_is_fetched_is_on_the_disk_before_it_has_its_place(
    client: StoreClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.write("rows", b"rows")
    synced: list[tuple[int, int]] = []

    def sync(handle: int) -> None:
        found = os.fstat(handle)
        synced.append((found.st_ino, found.st_size))

    monkeypatch.setattr(os, "fsync", sync)
    client.download("rows", tmp_path / "rows")
    assert synced == [((tmp_path / "rows").stat().st_ino, 4)]


@pytest.fixture
def closed() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_storage_that_is_away_is_one_line(closed: int) -> None:
    location = StoreLocation("plant", "x", f"http://127.0.0.1:{closed}", "us-east-1")
    with pytest.raises(StoreAwayError) as caught:
        StoreClient(location, StoreKeys("hidden-key", "hidden-word")).read("a")
    line = str(caught.value)
    assert line.startswith(f"s3://plant/x at http://127.0.0.1:{closed}: the storage cannot be")
    assert "(Connection refused); start it, or set FACTORY_S3_ENDPOINT" in line
    assert "hidden" not in line
    mistyped = StoreLocation("plant", "x", "http://plant..example", "us-east-1")
    with pytest.raises(StoreAwayError, match=r"cannot be reached .*label empty"):
        StoreClient(mistyped, StoreKeys("hidden-key", "hidden-word")).read("a")


def test_pages_in_place_of_a_storage_are_one_line(home: Home) -> None:
    with _pages() as port:
        location = StoreLocation("plant", "x", f"http://127.0.0.1:{port}", "us-east-1")
        store = SharedStore(home, StoreClient(location, KEYS))
        for ask in (lambda: [*store.client.list("")], store.is_claimed):
            with pytest.raises(
                StoreAwayError, match="what answers is not the storage of a factory"
            ):
                ask()
    assert not uses_store(home)


def test_a_refusal_that_is_cut_short_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"rows")
    for status in (503, 403):
        with _pages(status, more=10) as port:
            client = StoreClient(
                StoreLocation("plant", "x", f"http://127.0.0.1:{port}", "us-east-1"), KEYS
            )
            for ask in (
                lambda client=client: client.read("a"),
                lambda client=client: client.download("a", tmp_path / "a"),
                lambda client=client: client.upload("a", tmp_path / "rows", "0" * 64),
            ):
                with pytest.raises(StoreAwayError, match="was cut short during the transfer"):
                    ask()


@contextmanager
def _pages(status: int = 200, *, more: int = 0) -> Iterator[int]:
    """Serve the same page at every address, as a console of a storage does; yield the port.

    Args:
        more: how many bytes are announced, and not sent.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            page = b"<!doctype html><title>Console</title><br>"
            self.send_response(status)
            self.send_header("Content-Length", str(len(page) + more))
            self.end_headers()
            self.wfile.write(page)

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


def test_wrong_keys_and_a_missing_bucket_are_named(s3: S3, client: StoreClient) -> None:
    wrong = StoreClient(client.location, StoreKeys("nobody", "hidden-word"))
    with s3.strict(), pytest.raises(StoreAwayError, match="does not know this access key") as told:
        wrong.write("a", b"")
    assert "check FACTORY_S3_ACCESS_KEY" in str(told.value)
    assert "hidden" not in str(told.value)
    other = StoreClient(StoreLocation("nowhere", "", s3.endpoint, "us-east-1"), KEYS)
    for ask in (lambda: other.read("a"), lambda: [*other.list("")], lambda: other.write("a", b"")):
        with pytest.raises(StoreAwayError, match="there is no such bucket; create it, or"):
            ask()


@pytest.mark.parametrize(
    ("address", "endpoint", "said"),
    [
        ("s3:/plant", "http://h:1", "FACTORY_STORE: 's3:/plant' is not the address of a store"),
        ("s3://plant/../other", "http://h:1", "is not the address of a store"),
        ("s3://plant/a b", "http://h:1", "with letters, digits and . _ = - in the prefix"),
        ("s3://plant/x", "", "FACTORY_S3_ENDPOINT: it is not set; write https://host:port"),
        ("s3://plant/x", "http://me:word@h", "FACTORY_S3_ENDPOINT: this is not the address"),
        ("s3://plant/x", "http://h:port", "FACTORY_S3_ENDPOINT: this is not the address"),
        ("s3://plant/x", "http://h:99999", "FACTORY_S3_ENDPOINT: this is not the address"),
        ("s3://plant/x", "http://h:0", "FACTORY_S3_ENDPOINT: this is not the address"),
        ("s3://plant/x", "http://:80", "FACTORY_S3_ENDPOINT: this is not the address"),
        ("s3://plant/x", "http://[::1", "FACTORY_S3_ENDPOINT: this is not the address"),
    ],
)
def test_a_wrong_address_is_one_line(
    address: str, endpoint: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", endpoint)
    with pytest.raises(StorageError) as caught:
        store_at(address)
    assert said in str(caught.value)
    assert "word" not in str(caught.value)
