"""Requests to the objects of a store: read, write, list and remove them.

Nothing here knows what the objects contain. Only the standard library is needed, since the front
door, which may not import Arrow, reads the store too.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from factory_resources.errors import StorageError
from factory_resources.home.home import storage_errors
from factory_resources.store.location import (
    ACCESS_KEY,
    ENDPOINT_VARIABLE,
    SECRET_KEY,
    StoreLocation,
)
from factory_resources.store.signing import StoreKeys, StoreRequest

_ATTEMPTS, _PAUSE = 3, 0.1
"""How often a request is sent that gets no answer, and seconds before the second time."""

_TIMEOUT = 30.0

_MOST = 5 << 30
"""Bytes of an object that one request can store."""

_CHUNK = 1 << 20

_NOT_FIRST = frozenset({409, 412})
"""What is answered to who stores a new object that is there, or is being stored."""

_EMPTY = sha256(b"").hexdigest()

_REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the storage refuses these keys",
    "InvalidAccessKeyId": "the storage does not know this access key",
    "InvalidClientTokenId": "the storage does not know this access key",
    "AuthFailure": "the storage refuses these keys",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "RequestTimeTooSkewed": "the clock of this machine is not that of the storage",
    "QuotaExceeded": "the storage is full",
    "XMinioStorageFull": "the storage is full",
}

_AGAIN = "; what is stored stays, so run again then"

_CHECK = f"check {ACCESS_KEY} and {SECRET_KEY}{_AGAIN}"

_REMEDIES = {
    "NoSuchBucket": f"create it, or write the address of another one{_AGAIN}",
    "RequestTimeTooSkewed": f"set the clock that is wrong{_AGAIN}",
    "QuotaExceeded": f"make room in it{_AGAIN}",
    "XMinioStorageFull": f"make room in it{_AGAIN}",
}
"""What helps where other keys do not."""


class StoreAwayError(StorageError):
    """The store cannot be used; later it may."""


@dataclass(frozen=True)
class StoredObject:
    """An object as it was when it was listed."""

    key: str
    """Below the prefix of the store."""
    bytes: int
    tag: str
    """What changes when its bytes change: the storage's ETag."""
    modified: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class StoreClient:
    """The objects of a store.

    Raises:
        StoreAwayError: the storage cannot be reached, or refuses.
    """

    location: StoreLocation
    keys: StoreKeys

    def read(self, key: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        status, content = self._send("GET", key)
        return None if status == 404 else content

    def size(self, key: str) -> int | None:
        """Return the number of bytes of an object; None if there is none."""
        with closing(self._connection()) as connection:
            answer = self._answer(connection, self._request("HEAD", key), None)
            answer.read()
            if answer.status == 404:
                return None
            self._require_done(answer.status, b"", key)
            return int(answer.headers["Content-Length"] or -1)

    def download(self, key: str, target: Path) -> str | None:
        """Write an object to a file and return its SHA-256; None if there is none."""
        with closing(self._connection()) as connection:
            answer = self._answer(connection, self._request("GET", key), None)
            if answer.status != 200:
                content = self._content(answer, key)
                if answer.status == 404 and b"NoSuchBucket" not in content:
                    return None
                self._require_done(answer.status, content, key)
            digest, length = sha256(), 0
            with storage_errors(target), target.open("wb") as file:
                while chunk := self._chunk(answer, key):
                    digest.update(chunk)
                    length += len(chunk)
                    file.write(chunk)
                # What has its place in the home is not fetched again, so it must be on the disk.
                file.flush()
                os.fsync(file.fileno())
            if length != int(answer.headers["Content-Length"] or -1):
                raise self._away("was cut short during the transfer", key)
        return digest.hexdigest()

    def write(self, key: str, content: bytes, *, new: bool = False) -> bool:
        """Store an object; return whether that was done.

        Args:
            new: whether an object that is there already stays as it is.
        """
        headers = {"if-none-match": "*"} if new else {}
        status, _ = self._send("PUT", key, headers=headers, body=content)
        return status not in _NOT_FIRST

    def upload(self, key: str, source: Path, digest: str) -> None:
        """Store a file with this SHA-256, which the storage compares.

        Raises:
            StorageError: it is larger than the storage takes in one request.
        """
        size = source.stat().st_size
        if size > _MOST:
            raise StorageError(
                f"a file of {size:,} bytes is more than S3 takes in one request",
                where=str(source),
                remedy="read the source in partitions, or in several files",
            )
        request = self._request("PUT", key, headers={"content-length": str(size)}, payload=digest)
        with closing(self._connection()) as connection, source.open("rb") as file:
            answer = self._answer(connection, request, file)
            self._require_done(answer.status, self._content(answer, key), key)

    def remove(self, key: str) -> None:
        """Remove an object, if there is one."""
        self._send("DELETE", key)

    def list(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with the prefix, sorted by key.

        Args:
            after: only those whose keys follow this one.
        """
        start = len(self._key(""))
        query = {"list-type": "2", "prefix": self._key(prefix), "encoding-type": "url"}
        if after:
            query["start-after"] = self._key(after)
        while True:
            _, content = self._send("GET", "", query=query, path=f"/{self.location.bucket}")
            found = self._parsed(content)
            for one in found.iterfind("{*}Contents"):
                key = unquote(_text(one, "Key"))[start:]
                # Some tools make an object for a folder.
                if not key or key.endswith("/"):
                    continue
                # It becomes a path in the home.
                if {"", ".", ".."} & {*key.split("/")}:
                    raise self._away("the name of an object leads elsewhere", key)
                yield StoredObject(
                    key,
                    int(_text(one, "Size")),
                    _text(one, "ETag").strip('"'),
                    datetime.fromisoformat(_text(one, "LastModified")).timestamp(),
                )
            if _text(found, "IsTruncated") != "true":
                return
            query["continuation-token"] = _text(found, "NextContinuationToken")

    def foreign(self, key: str = "") -> StoreAwayError:
        """Return the error that an answer is not one that a factory's storage would give."""
        remedy = (
            f"name the port of its S3 interface in {ENDPOINT_VARIABLE}, which is not that of its "
            "pages (MinIO has a console beside it), or another prefix in FACTORY_STORE"
        )
        return self._away("what answers is not the storage of a factory", key, remedy)

    def _parsed(self, content: bytes) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(content)  # noqa: S314 - the storage is the factory's
        except ElementTree.ParseError as error:
            raise self.foreign() from error

    def _key(self, key: str) -> str:
        return f"{self.location.prefix}/{key}" if self.location.prefix else key

    def _request(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        payload: str = _EMPTY,
        path: str | None = None,
    ) -> StoreRequest:
        path = path or f"/{self.location.bucket}/{self._key(key)}"
        return StoreRequest(method, path, query or {}, headers or {}, payload)

    def _send(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        path: str | None = None,
    ) -> tuple[int, bytes]:
        payload = sha256(body).hexdigest()
        request = self._request(
            method, key, query=query, headers=headers, payload=payload, path=path
        )
        with closing(self._connection()) as connection:
            answer = self._answer(connection, request, body)
            content = self._content(answer, key)
        missing = answer.status == 404 and b"NoSuchBucket" not in content
        refused = "if-none-match" in request.headers and answer.status in _NOT_FIRST
        if not missing and not refused:
            self._require_done(answer.status, content, key)
        return answer.status, content

    def _answer(
        self, connection: HTTPConnection, request: StoreRequest, body: bytes | BinaryIO | None
    ) -> HTTPResponse:
        """Send a request, once more if there is no answer, or the storage has no time for it."""
        host = urlsplit(self.location.endpoint).netloc
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE * 2**attempt)
                connection.close()
            try:
                if body is not None and not isinstance(body, bytes):
                    body.seek(0)
                now = datetime.now(UTC)
                headers = request.signed(host, self.location.region, self.keys, now)
                connection.request(request.method, request.target, body or None, headers)
                answer = connection.getresponse()
            except (OSError, HTTPException, UnicodeError) as error:
                reason = error
                continue
            if answer.status < 500 or attempt == _ATTEMPTS - 1:
                return answer
            reason = HTTPException(f"HTTP status {answer.status}")
        raise self._unreachable(reason) from reason

    def _connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self.location.endpoint.startswith("https") else HTTPConnection
        return kind(self.location.host, self.location.port, timeout=_TIMEOUT)

    def _content(self, answer: HTTPResponse, key: str) -> bytes:
        try:
            return answer.read()
        except (OSError, HTTPException) as error:
            raise self._away("was cut short during the transfer", key) from error

    def _chunk(self, answer: HTTPResponse, key: str) -> bytes:
        # Separate from writing, so that a fault of the storage is not blamed on the disk.
        try:
            return answer.read(_CHUNK)
        except (OSError, HTTPException) as error:
            raise self._away("was cut short during the transfer", key) from error

    def _require_done(self, status: int, content: bytes, key: str) -> None:
        if 200 <= status < 300:
            return
        found = re.search(rb"<Code>(\w{1,60})</Code>", content)
        code = found[1].decode() if found else ""
        reason = _REASONS.get(code) or (
            "the storage refuses these keys"
            if status in {401, 403}
            else f"the storage reports {code or f'HTTP status {status}'}"
        )
        raise self._away(reason, key, _REMEDIES.get(code, _CHECK))

    def _unreachable(self, error: Exception) -> StoreAwayError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return StoreAwayError(
            f"the storage cannot be reached ({reason})",
            where=str(self.location),
            remedy=f"start it, or set {ENDPOINT_VARIABLE}{_AGAIN}",
        )

    def _away(self, reason: str, key: str, remedy: str = _CHECK) -> StoreAwayError:
        where = f"{self.location.address}/{key}".rstrip("/")
        return StoreAwayError(reason, where=f"{where} at {self.location.endpoint}", remedy=remedy)


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""
