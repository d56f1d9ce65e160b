"""`factory up`, before its services start."""

import os
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event

import pytest

from factory_assets.cli import up
from factory_assets.cli.processes import Processes
from factory_assets.cli.up import Services, _reconcile, _require_free, sockets_parent
from factory_assets.serving.http.listen import Listen, bound_socket
from factory_assets.web.door.address import DoorAddress
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.security.account import account_name
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


def test_who_gets_no_link_is_told_why_and_how_to_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = tmp_path / "people.yaml"
    people.write_text("jane: {roles: [engineer], account: somebody-else}\n")
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    services = Services(DoorAddress(Listen("127.0.0.1", 3000)), 8080)
    text = up._addresses(Home(tmp_path / "home"), services, tmp_path)
    assert (
        f"(no link: nobody in people.yaml has the account {account_name()!r} and a role; " in text
    )
    assert "log in with a password, or add `account: " in text


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("127.0.0.1", "Address already in use"),
        ("192.0.2.1", "Cannot assign requested address"),
        ("plant..example", "label empty"),
    ],
)
def test_a_port_that_cannot_be_had_is_told_with_the_reason(host: str, said: str) -> None:
    with bound_socket(Listen("127.0.0.1", 0)) as taken:
        taken.listen()
        with pytest.raises(FactoryError) as error:
            _require_free("--port", host, taken.getsockname()[1])
    told = str(error.value)
    assert said in told
    assert told.endswith("choose another with --port")


def test_sockets_are_where_their_paths_are_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, chosen in (("/var/tmp", "/var/tmp"), ("/scratch/" + "ä" * 40, "/tmp")):
        monkeypatch.setattr("tempfile.tempdir", folder)
        assert sockets_parent() == chosen


@pytest.fixture
def _handlers() -> Iterator[None]:
    """Put the handlers of signals back after the test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize(
    ("number", "handler", "stops"),
    [
        (signal.SIGTERM, signal.SIG_DFL, True),
        (signal.SIGHUP, signal.SIG_DFL, True),
        (signal.SIGHUP, signal.SIG_IGN, False),
    ],
)
def test_a_closed_terminal_stops_it_as_ctrl_c_does_unless_nohup_keeps_it(
    number: signal.Signals, handler: signal.Handlers, stops: bool
) -> None:
    signal.signal(number, handler)
    stop = up._set_by_signals()
    os.kill(os.getpid(), number)
    assert stop.is_set() == stops
