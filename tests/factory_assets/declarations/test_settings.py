"""`factory.yaml`: how people log in, and every mistake with its line."""

from pathlib import Path

import pytest

from factory_assets.cli.check.check import check
from factory_assets.declarations.settings import declared_provider, load_settings
from factory_resources.errors import DeclarationError

_REST = "client: factory\n    secret: OIDC_SECRET"


@pytest.fixture
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", [None, "", "login: {}", "witness: null"])
def test_nobody_is_asked_by_default(defs: Path, text: str | None) -> None:
    if text is not None:
        (defs / "factory.yaml").write_text(text)
    assert declared_provider() is None


def test_a_changed_policy_of_witnesses_is_told_by_the_digest(defs: Path) -> None:
    (defs / "factory.yaml").write_text("witness: {policy: ours.txt}")
    found = []
    for policy in ("quorum none\n", "# ours\nquorum none\n"):
        (defs / "ours.txt").write_text(policy)
        declared = load_settings()
        assert declared
        found.append(declared.digest)
    assert len({*found}) == 2


@pytest.mark.parametrize(
    ("issuer", "host"),
    [
        ("https://id.example", "id.example"),
        ("https://id.example:8443/realms/ours", "id.example:8443"),
        ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
    ],
)
def test_a_provider_is_declared(defs: Path, issuer: str, host: str) -> None:
    (defs / "factory.yaml").write_text(f"login:\n  oidc:\n    issuer: {issuer}\n    {_REST}\n")
    provider = declared_provider()
    assert provider is not None
    assert (provider.issuer, provider.host) == (issuer, host)
    assert (provider.client, provider.secret) == ("factory", "OIDC_SECRET")
    assert provider.claim == "preferred_username"


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        (f"issuer: http://id.example\n    {_REST}", 3, "begins with https://"),
        (f"issuer: id.example\n    {_REST}", 3, "such as https://id.example"),
        (f"issuer: https://a:b@id.example\n    {_REST}", 3, "such as https://id.example"),
        (f"issuer: https://id.example:port\n    {_REST}", 3, "Port"),
        (f"issuer: https://id.example?a=b\n    {_REST}", 3, "no query"),
        (f"{_REST}\n    isuer: https://id.example", 5, "did you mean 'issuer'?"),
        (f"issuer: https://id.example\n    {_REST}\n    claim: name", 6, "email"),
        ("issuer: https://id.example\n    client: factory\n    secret: a b", 5, "secret"),
        ("issuer: https://id.example\n    client: factory", 2, "'secret' is missing"),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_its_line(defs: Path, lines: str, line: int, why: str) -> None:
    (defs / "factory.yaml").write_text(f"login:\n  oidc:\n    {lines}\n")
    with pytest.raises(DeclarationError, match=rf"factory\.yaml:{line}: login\.oidc.*({why})"):
        check()


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("disk: {keep: 5GB}\ndisk: {keep: 6GB}\n", 2, "disk"),
        ("disk:\n  keep: 5GB\n  keep: 6GB\n", 3, "disk.keep"),
    ],
)
def test_a_key_that_is_there_twice_is_told_with_both_lines(
    defs: Path, text: str, line: int, key: str
) -> None:
    (defs / "factory.yaml").write_text(text)
    said = rf"factory\.yaml:{line}: {key}: key .* repeats line {line - 1}; keep one"
    with pytest.raises(DeclarationError, match=said):
        check()


def test_a_section_that_is_left_empty_is_told(defs: Path) -> None:
    (defs / "factory.yaml").write_text("disk: {keep: 5GB}\nwitness:\n")
    with pytest.raises(DeclarationError, match=r"factory\.yaml:2: witness: an empty value"):
        check()


@pytest.mark.parametrize(
    ("text", "keep"), [("0", "0"), ('"0"', "0"), ("5GB", "5GB"), ("00", "0")], ids=str
)
def test_an_amount_of_space_may_be_a_zero_without_quotes(defs: Path, text: str, keep: str) -> None:
    (defs / "factory.yaml").write_text(f"disk: {{keep: {text}}}\n")
    declared = load_settings()
    assert declared is not None
    assert declared.settings.disk is not None
    assert declared.settings.disk.keep == keep


@pytest.mark.parametrize("amount", ["'much'", "5", "-1", "'5 GB'", "false"])
def test_a_wrong_amount_of_space_is_told_in_words(defs: Path, amount: str) -> None:
    (defs / "factory.yaml").write_text(f"disk: {{keep: {amount}}}\n")
    with pytest.raises(DeclarationError) as caught:
        load_settings()
    assert str(caught.value) == (
        f"{defs / 'factory.yaml'}:1: disk.keep: {amount} is not valid; must be a whole number and "
        "MB, GB or TB, such as 2GB, or 0; correct it"
    )


def test_a_file_that_is_no_mapping_is_told(defs: Path) -> None:
    (defs / "factory.yaml").write_text("[disk]")
    with pytest.raises(DeclarationError) as caught:
        load_settings()
    assert str(caught.value) == (
        f"{defs / 'factory.yaml'}:1: ['disk'] is not valid; must be a mapping; correct it"
    )
