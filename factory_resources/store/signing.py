"""Sign requests to S3-compatible storage.

The method is AWS Signature Version 4
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), which
MinIO, Ceph and others understand.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class StoreKeys:
    """The keys of a storage, which `repr` does not show."""

    access: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True)
class StoreRequest:
    """A request before it is signed."""

    method: str
    path: str
    """Decoded: `/bucket/key`."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """With small letters: those that are signed."""
    payload: str
    """The SHA-256 of the body."""

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        query = self._query
        return f"{self._path}?{query}" if query else self._path

    @property
    def _path(self) -> str:
        return quote(self.path, safe="/-_.~")

    @property
    def _query(self) -> str:
        encoded = ((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in self.query.items())
        return "&".join(f"{name}={value}" for name, value in sorted(encoded))

    def signed(self, host: str, region: str, keys: StoreKeys, now: datetime) -> dict[str, str]:
        """Return the headers of the request with its signature.

        Args:
            host: with the port, as it is sent.
            now: when it is sent, in UTC; the storage refuses another time than its own.
        """
        stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        sent = {
            **self.headers,
            "host": host,
            "x-amz-content-sha256": self.payload,
            "x-amz-date": stamp,
        }
        names = ";".join(sorted(sent))
        lines = "".join(f"{name}:{sent[name].strip()}\n" for name in sorted(sent))
        canonical = "\n".join([self.method, self._path, self._query, lines, names, self.payload])
        scope = f"{stamp[:8]}/{region}/s3/aws4_request"
        digest = sha256(canonical.encode()).hexdigest()
        to_sign = "\n".join([_ALGORITHM, stamp, scope, digest])
        key = f"AWS4{keys.secret}".encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        signature = _hmac(key, to_sign).hex()
        credential = f"Credential={keys.access}/{scope}"
        sent["authorization"] = (
            f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        )
        return sent


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), sha256)
