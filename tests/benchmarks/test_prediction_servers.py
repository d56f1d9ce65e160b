"""What the serving benchmark measures with: a closed loop of requests, and servers as processes."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from benchmarks.prediction_servers.load import Load, apply
from benchmarks.prediction_servers.process import serving

pytestmark = pytest.mark.slow


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent, after a header whose name ends like that of the length."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if self.path == "/predict" else 422)
        self.send_header("inference-header-content-length", "1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_load_of_several_clients_ends_after_its_requests(port: int) -> None:
    answered = apply(Load(port, "/predict", "\xff{}", clients=3, seconds=60, requests=50))
    assert 50 <= answered.requests < 53
    assert 0 < answered.p50 <= answered.p99 <= answered.wall


def test_load_fails_with_the_answer_of_a_server_that_refuses(port: int) -> None:
    with pytest.raises(RuntimeError, match=r"422(.|\n)*a body that breaks a rule"):
        apply(Load(port, "/refuse", "a body that breaks a rule"))


def test_a_server_that_ends_is_reported_with_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the port {port} is not mine')"]
    with (
        pytest.raises(RuntimeError, match=r"does not answer:\nthe port \d+ is not mine"),
        serving(command, "/predict", b"{}", {}),
    ):
        pass
