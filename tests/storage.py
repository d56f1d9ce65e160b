"""A real server of the S3 API for tests, on loopback."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen


class S3:
    """A server with one bucket, `plant`, that can refuse unknown access keys."""

    def __init__(self) -> None:
        import boto3
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket="plant")

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket="plant", Key=key, Body=content)

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket="plant", Key=key)

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Refuse unknown access keys while the block runs."""
        self._allow_unauthenticated("0")
        try:
            yield
        finally:
            self._allow_unauthenticated("inf")

    def _allow_unauthenticated(self, requests: str) -> Any:
        """Set how many requests are accepted before the server checks access keys."""
        headers = {"Content-Type": "text/plain"}
        request = Request(f"{self.endpoint}/moto-api/reset-auth", requests.encode(), headers)
        with urlopen(request) as response:
            return json.load(response)

    def close(self) -> None:
        self._server.stop()


@contextmanager
def storing() -> Iterator[S3]:
    server = S3()
    try:
        yield server
    finally:
        server.close()
