"""What the door needs to be reachable from other machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from factory_assets.serving.http.listen import Listen
from factory_assets.web.door.address import DoorAddress, require_allowed
from factory_resources.errors import RefusedError, SettingError
from tests.factory_assets.web.door.conftest import PEOPLE, FrontDoor

_PEM = Path("door.crt"), Path("door.key")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_at_every_address_of_the_machine_browsers_need_a_name(
    door: FrontDoor, declare_people: Callable[[str], None], host: str
) -> None:
    declare_people(PEOPLE)
    listen = Listen(host, 3000, behind_proxy=True)
    with pytest.raises(RefusedError) as refused:
        require_allowed(DoorAddress(listen), door.home)
    needed = "it needs a host name by which browsers reach it (--name); without"
    assert refused.value.remedy.startswith(needed)
    require_allowed(DoorAddress(listen, ("factory.example",)), door.home)


def test_one_address_of_the_machine_is_a_name_itself(
    door: FrontDoor, declare_people: Callable[[str], None]
) -> None:
    declare_people(PEOPLE)
    require_allowed(DoorAddress(Listen("192.0.2.7", 3000, behind_proxy=True)), door.home)


@pytest.mark.parametrize(
    "name",
    ["https://factory.example", "factory.example:443", "cafe.de:443", "a b", "müller.de", ""],
)
def test_a_name_that_no_browser_asks_for_is_refused(door: FrontDoor, name: str) -> None:
    with pytest.raises(SettingError, match="is not the name of a host; write it without scheme"):
        require_allowed(DoorAddress(Listen("127.0.0.1", 3000), (name,)), door.home)
    named = DoorAddress(Listen("127.0.0.1", 3000), ("factory.example", "::1"))
    require_allowed(named, door.home)


@pytest.mark.parametrize(
    ("listen", "public", "url"),
    [
        (Listen("0.0.0.0", 8443, *_PEM), None, "https://factory.example:8443"),
        (Listen("0.0.0.0", 8443, *_PEM), 443, "https://factory.example"),
        (Listen("0.0.0.0", 443, *_PEM), None, "https://factory.example"),
        (Listen("0.0.0.0", 443, *_PEM), 8443, "https://factory.example:8443"),
        (Listen("127.0.0.1", 443), None, "http://factory.example:443"),
        (Listen("0.0.0.0", 8443, *_PEM), 9443, "https://factory.example:9443"),
        (Listen("0.0.0.0", 3000, behind_proxy=True), None, "https://factory.example"),
        (Listen("0.0.0.0", 3000, behind_proxy=True), 8443, "https://factory.example:8443"),
        (Listen("127.0.0.1", 3000), None, "http://factory.example:3000"),
        (Listen("127.0.0.1", 3000), 80, "http://factory.example"),
    ],
)
def test_the_address_for_people_has_the_port_by_which_they_come(
    listen: Listen, public: int | None, url: str
) -> None:
    address = DoorAddress(listen, ("factory.example",), public)
    assert address.url == url
    assert ("--public-port" in address.arguments) is (public is not None)
