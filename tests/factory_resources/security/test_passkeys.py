"""The passkeys of a home: whose they are, how often they signed, and that they can be removed."""

from dataclasses import replace

import pytest

from factory_resources.errors import RefusedError, StorageError
from factory_resources.home.home import Home
from factory_resources.security.passkeys import Passkey, Passkeys

ANNS = Passkey("YQ", "ann", "laptop", "localhost", "dXNlcg", "a2V5", 3, 1_800_000_000.0)


@pytest.fixture
def passkeys(home: Home) -> Passkeys:
    home.require_writable()
    made = Passkeys(home)
    made.add(ANNS)
    made.add(replace(ANNS, id="Yg", name="phone"))
    made.add(replace(ANNS, id="Yw", person="tom"))
    return made


def test_passkeys_are_found_by_person_and_by_id(passkeys: Passkeys, home: Home) -> None:
    assert [one.name for one in passkeys.of("ann")] == ["laptop", "phone"]
    assert passkeys.find("YQ") == ANNS
    assert passkeys.find("ZZ") is None
    assert (home.path / "secrets" / "passkeys.json").stat().st_mode & 0o077 == 0


def test_nobody_registers_a_passkey_again(passkeys: Passkeys) -> None:
    with pytest.raises(RefusedError, match="registered already"):
        passkeys.add(replace(ANNS, person="tom"))


def test_a_person_has_so_many_passkeys_at_most(passkeys: Passkeys) -> None:
    for number in range(18):
        passkeys.add(replace(ANNS, id=f"id{number}"))
    with pytest.raises(RefusedError, match="20 passkeys"):
        passkeys.add(replace(ANNS, id="one-too-many"))
    passkeys.add(replace(ANNS, id="toms", person="tom"))


@pytest.mark.parametrize(
    ("stored", "signed", "counts"),
    [(3, 4, True), (3, 3, False), (3, 2, False), (3, 0, False), (0, 0, True), (0, 1, True)],
)
def test_a_device_that_counts_backwards_was_copied(
    home: Home, stored: int, signed: int, counts: bool
) -> None:
    home.require_writable()
    passkeys, passkey = Passkeys(home), replace(ANNS, sign_count=stored)
    passkeys.add(passkey)
    assert passkeys.use(passkey, signed) is counts
    assert passkeys.of("ann")[0].sign_count == (signed if counts else stored)


def test_of_two_uses_with_the_same_count_one_counts(passkeys: Passkeys) -> None:
    found = passkeys.find("YQ")
    assert found is not None
    assert [passkeys.use(found, 4), passkeys.use(found, 4)] == [True, False]


def test_a_passkey_that_was_removed_meanwhile_does_not_count(passkeys: Passkeys) -> None:
    assert passkeys.remove("ann", "YQ") == 1
    assert not passkeys.use(ANNS, 4)
    passkeys.add(replace(ANNS, public_key="b3RoZXI"))
    assert not passkeys.use(ANNS, 4)


def test_a_person_removes_their_own_passkeys_only(passkeys: Passkeys) -> None:
    assert passkeys.remove("ann", "Yw") == 0
    assert passkeys.remove("ann") == 2
    assert [one.id for one in passkeys.of("tom")] == ["Yw"]


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": "a"}]', "3"])
def test_a_damaged_file_is_one_line(passkeys: Passkeys, home: Home, content: str) -> None:
    (home.path / "secrets" / "passkeys.json").write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match="passkeys were changed"):
        passkeys.of("ann")
