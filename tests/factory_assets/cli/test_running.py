"""Whether a factory is up, and at which address: told by its process, or by its front door."""

import socket
from collections.abc import Iterator

import pytest

from factory_assets.cli.running import recorded_process, running_address, running_file
from factory_resources.home.home import Home
from factory_resources.home.processes import POD_VARIABLE

_ELSEWHERE = "https://factory.invalid"
"""An address for browsers, which come through a proxy: this machine does not know the name."""


@pytest.fixture
def door() -> Iterator[str]:
    """The address of something that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_factory_behind_a_proxy_is_up_although_its_address_is_not_reached_from_here(
    home: Home,
) -> None:
    home.require_writable()
    with recorded_process(home, ["up"]):
        home.write_atomic(running_file(home), _ELSEWHERE.encode())
        assert running_address(home) == _ELSEWHERE
    assert running_file(home).exists(), "a killed one leaves it"
    assert running_address(home) is None


def test_where_the_process_is_not_seen_the_door_tells(
    home: Home, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    home.write_atomic(running_file(home), door.encode())
    assert running_address(home) == door
    with recorded_process(home, ["up"]):
        monkeypatch.setenv(POD_VARIABLE, "factory-shell")
        assert running_address(home) == door
        home.write_atomic(running_file(home), _ELSEWHERE.encode())
        assert running_address(home) is None
