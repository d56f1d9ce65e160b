"""The line of code that asks for an address which the boundary does not allow is named."""

import socket
import threading
from pathlib import Path

import pytest

from factory_assets.execution.asked_addresses import noticed_addresses
from factory_resources.errors import SourceError
from factory_resources.user_code import load_callable

_CODE = """
import socket

def ask(port):
    with socket.socket() as one:
        one.connect_ex(("127.0.0.1", port))

def resolve():
    try:
        socket.getaddrinfo("vendor.invalid", 443)
    except OSError:
        pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_BOUNDARY", "namespaces")
    monkeypatch.setenv("FACTORY_BOUNDARY_ALLOWED", "127.0.0.1:7 db.example:5432")
    (tmp_path / "asking.py").write_text(_CODE)
    return tmp_path


def test_the_line_of_the_users_code_is_named(folder: Path) -> None:
    with noticed_addresses() as asked:
        load_callable("asking:ask", folder)(9)
        load_callable("asking:resolve", folder)()
    assert [(one.address, one.line, one.is_loopback) for one in asked] == [
        ("127.0.0.1:9", "asking.py:6", True),
        ("vendor.invalid:443", "asking.py:10", False),
    ]


def test_what_is_allowed_or_after_the_block_is_not_noticed(folder: Path) -> None:
    ask = load_callable("asking:ask", folder)
    with noticed_addresses() as asked:
        ask(7)
    ask(9)
    assert asked == []


def test_each_line_is_noticed_once_and_threads_are_seen(folder: Path) -> None:
    ask = load_callable("asking:ask", folder)
    with noticed_addresses() as asked:
        for _ in range(3):
            thread = threading.Thread(target=ask, args=(9,))
            thread.start()
            thread.join()
    assert [one.line for one in asked] == ["asking.py:6"]


def test_a_block_that_asks_for_many_addresses_is_remembered_by_the_first(folder: Path) -> None:
    ask = load_callable("asking:ask", folder)
    with noticed_addresses() as asked:
        for port in range(9, 39):
            ask(port)
    assert [one.address for one in asked] == [f"127.0.0.1:{port}" for port in range(9, 29)]


def _fail(folder: Path, error: Exception) -> None:
    with noticed_addresses():
        load_callable("asking:ask", folder)(9)
        raise error


def test_an_error_says_it(folder: Path) -> None:
    with pytest.raises(SourceError) as told:
        _fail(folder, SourceError("nothing came", where="asking", remedy="try again"))
    assert told.value.remedy == (
        "try again; asking.py:6 asked for 127.0.0.1:9, which the boundary does not allow; if it "
        "may, declare boundary: {allow: ['127.0.0.1:9']}"
    )
    with pytest.raises(ValueError, match="a bug") as other:
        _fail(folder, ValueError("a bug"))
    assert other.value.__notes__ == [told.value.remedy.removeprefix("try again; ")]


def test_without_a_boundary_nothing_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_BOUNDARY", "none")
    with noticed_addresses() as asked:
        load_callable("asking:ask", folder)(9)
    assert asked == []


def test_a_unix_socket_is_no_address(folder: Path) -> None:
    with noticed_addresses() as asked, socket.socket(socket.AF_UNIX) as one:
        one.connect_ex(str(folder / "none.sock"))
    assert asked == []
