"""`factory up`, before its services start."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event

import pytest

from factory_assets.cli import up
from factory_assets.cli.processes import Processes
from factory_assets.cli.up import Services, _reconcile
from factory_assets.serving.http.listen import Listen
from factory_assets.web.door.address import DoorAddress
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from tests.loopback_servers import served


def test_what_keeps_an_earlier_run_from_being_ended_is_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(_: Home) -> list[str]:
        raise StorageError("the database is a standby", remedy="name the other one")

    monkeypatch.setattr("factory_resources.workers.reconcile.reconcile", refused)
    with pytest.raises(SystemExit) as ended:
        _reconcile(home)
    said = "error: the database is a standby; name the other one\n"
    assert (ended.value.code, capfd.readouterr().err) == (2, said)


class _Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_proxy_of_the_environment_is_not_asked_whether_a_service_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # Nobody listens there.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(up, "_START_TIMEOUT", 0.5)
    processes = Processes(tmp_path)
    processes.log("predictions").write_text("it is ready\n")
    with served(HTTPServer(("127.0.0.1", 0), _Health)) as port:
        services = Services(DoorAddress(Listen("127.0.0.1", 3000)), port)
        up._await("predictions", services, processes, {}, Event())
