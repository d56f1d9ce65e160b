"""What cannot be chosen of a cluster is one line that names the option."""

from typing import Any

import pytest

from factory_resources.compute.cluster import PeerAddress, known_names, peer_addresses
from factory_resources.errors import SettingError
from tests.clusters import ON_POSTGRES, PODS, cluster


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"image": "Factory"}, "--image: 'Factory' is not the name of an image"),
        ({"image": "a b:1"}, "--image: 'a b:1' is not the name of an image"),
        ({"image": "f"}, "--image: 'f' may name another image tomorrow"),
        ({"image": "r:5000/f:latest"}, "--image: 'r:5000/f:latest' may name another image"),
        ({"host": "https://f"}, "--host: 'https://f' is not possible"),
        ({"host": "f.example.org:443"}, "--host"),
        ({"namespace": "Ai_Factory"}, "--namespace: 'Ai_Factory' is not possible"),
        ({"tls_secret": "Tls!"}, "--tls-secret: 'Tls!' is not possible"),
        ({"storage": "50"}, "--storage: '50' is not possible"),
        ({"memory": "8GB"}, "--memory: '8GB' is not possible"),
        ({"cores": "0"}, "--cores: '0' is not possible"),
        ({"visitors": ("all pods",)}, "--from: 'all pods' is not possible"),
        ({"database_secret": "db"}, "--database-secret and --database belong together"),
        ({"runs": "pods"}, "--api-server: the factory starts the pods of runs at the API"),
        ({"api_servers": PODS["api_servers"]}, "--api-server: only --runs pods uses the API"),
        ({"shared": True, **ON_POSTGRES}, "--shared: only --runs pods shares the volume"),
        ({"shared": True, **PODS}, "--shared: runs on other nodes cannot use SQLite files"),
    ],
)
def test_a_wrong_choice_is_one_line(chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError) as raised:
        cluster(**chosen)
    line = str(raised.value)
    assert line.startswith(told)
    assert "; " in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "image",
    ["factory:1", "localhost:5000/f:1.0-rc_2", "r.example.org/a/b__c/d@sha256:" + "0" * 64],
)
def test_names_of_images_that_stay_the_same_are_taken(image: str) -> None:
    assert cluster(image=image).image == image


def test_an_address_has_the_ip_that_is_given_for_its_name() -> None:
    known = known_names(["DB.example.org=10.1.2.3", "s3=fd00::1"])
    found = peer_addresses(["db.Example.org:5432", "s3:9000", "10.9.9.9:25"], known, option="x")
    assert found == (
        PeerAddress("db.example.org", "10.1.2.3", 5432),
        PeerAddress("s3", "fd00::1", 9000),
        PeerAddress("10.9.9.9", "10.9.9.9", 25),
    )


def test_a_name_without_an_ip_is_one_line_that_names_the_option() -> None:
    with pytest.raises(SettingError, match=r"and none is given for db\.example\.org") as raised:
        peer_addresses(["db.example.org:5432"], {}, option="--database")
    assert str(raised.value).endswith("add --address db.example.org=IP")


@pytest.mark.parametrize(
    "text", ["db", "db=", "=10.0.0.1", "10.0.0.1=10.0.0.2", "db=elsewhere", "db=fe80::1%eth0"]
)
def test_what_says_nothing_about_a_name_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"is not NAME=IP"):
        known_names([text])
