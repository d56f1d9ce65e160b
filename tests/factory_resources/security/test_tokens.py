"""Tokens: stored as hashes only, valid until they expire or are revoked, for all who look."""

import json
import math
import stat
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from factory_resources.errors import KeyFileError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.security.tokens import Token, Tokens

DAY = timedelta(days=1)


def test_a_token_is_found_by_its_text_alone(home: Home) -> None:
    tokens = Tokens(home)
    text = tokens.new("line1", ["apples", "pears"], valid=DAY, rate=5)
    found = tokens.find(text)
    assert found is not None
    assert (found.name, found.pipelines, found.rate) == ("line1", ("apples", "pears"), 5)
    for wrong in (text[:-1], text + "x", text.upper(), "", found.sha256, "line1", "\ud7ff\x00é"):
        assert tokens.find(wrong) is None


def test_only_a_hash_is_stored(home: Home) -> None:
    tokens = Tokens(home)
    text = tokens.new("line1", ["apples"], valid=DAY)
    stored = tokens.file.read_text()
    assert text not in stored
    assert text.removeprefix("factory_") not in stored
    assert json.loads(stored)[0]["sha256"] == sha256(text.encode()).hexdigest()


def test_texts_differ_and_are_long(home: Home) -> None:
    tokens = Tokens(home)
    texts = {tokens.new(str(i), ["apples"], valid=DAY) for i in range(20)}
    assert len(texts) == 20
    assert min(map(len, texts)) >= 43


def test_only_their_owner_can_read_them(home: Home) -> None:
    tokens = Tokens(home)
    for name in ("line1", "line2"):
        tokens.new(name, ["apples"], valid=DAY)
        assert stat.S_IMODE(tokens.file.stat().st_mode) == 0o600
    tokens.revoke("line1")
    assert stat.S_IMODE(tokens.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1bb", "a\udcffb", "a" * 201])
def test_a_name_is_one_line_of_text(home: Home, name: str) -> None:
    with pytest.raises(UnknownNameError, match="cannot be the name of a token; write who"):
        Tokens(home).new(name, ["apples"], valid=DAY)
    assert not Tokens(home).list()


@pytest.mark.parametrize("rate", [math.nan, math.inf])
def test_a_rate_is_a_number(home: Home, rate: float) -> None:
    with pytest.raises(UnknownNameError, match=f"the rate {rate} is not a number"):
        Tokens(home).new("line1", ["apples"], valid=DAY, rate=rate)


def test_a_token_ends_within_the_calendar(home: Home) -> None:
    with pytest.raises(UnknownNameError, match="cannot be valid beyond the year 9999; write"):
        Tokens(home).new("line1", ["apples"], valid=timedelta(weeks=999_999))
    assert not Tokens(home).list()


def test_an_expired_token_is_none(home: Home) -> None:
    tokens = Tokens(home)
    text = tokens.new("line1", ["apples"], valid=timedelta(seconds=-1))
    assert tokens.find(text) is None
    # It still closes the server: nobody is let in because a token ran out.
    assert tokens.required
    assert tokens.new("line1", ["apples"], valid=DAY) != text


@pytest.mark.parametrize(("seconds", "valid"), [(-1, False), (0, False), (60, True)])
def test_the_moment_of_expiry(seconds: int, valid: bool) -> None:
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    token = Token("line1", ("apples",), "0" * 64, expires.isoformat(timespec="seconds"))
    assert token.is_valid is valid


def test_a_revocation_is_seen_at_once_by_others(home: Home) -> None:
    mine, other = Tokens(home), Tokens(home)
    text = mine.new("line1", ["apples"], valid=DAY)
    assert other.find(text) is not None
    assert mine.revoke("line1").revoked
    assert other.find(text) is None
    assert mine.find(text) is None
    assert other.required


def test_many_changes_in_a_row_are_each_seen(home: Home) -> None:
    mine, other = Tokens(home), Tokens(home)
    for _ in range(50):
        text = mine.new("line1", ["apples"], valid=DAY)
        assert other.find(text) is not None
        second = mine.new("line2", ["apples"], valid=DAY)
        mine.revoke("line1")
        assert other.find(text) is None
        assert other.find(second) is not None
        mine.revoke("line2")


def test_without_a_file_nobody_needs_a_token(home: Home) -> None:
    tokens = Tokens(home)
    assert not tokens.required
    assert tokens.list() == ()
    assert tokens.find("factory_x") is None
    tokens.new("line1", ["apples"], valid=DAY)
    assert tokens.required
    tokens.file.unlink()
    assert not tokens.required


def test_a_token_is_for_its_pipelines(home: Home) -> None:
    tokens = Tokens(home)
    found = tokens.find(tokens.new("line1", ["apples"], valid=DAY))
    assert found is not None
    assert found.may_call("apples")
    assert not found.may_call("apple")
    assert not found.may_call("")


def test_a_name_has_one_valid_token(home: Home) -> None:
    tokens = Tokens(home)
    text = tokens.new("line1", ["apples"], valid=DAY)
    with pytest.raises(KeyFileError, match="there is a token for 'line1' already"):
        tokens.new("line1", ["pears"], valid=DAY)
    assert tokens.find(text) is not None
    with pytest.raises(UnknownNameError, match="no valid token for 'line2'"):
        tokens.revoke("line2")


@pytest.mark.parametrize("content", ["{", "5", "[5]", '[{"name": "a"}]', "\x00", "[[]]"])
def test_a_changed_file_lets_nobody_in(home: Home, content: str) -> None:
    tokens = Tokens(home)
    text = tokens.new("line1", ["apples"], valid=DAY)
    tokens.file.write_text(content)
    for ask in (tokens.list, lambda: tokens.find(text), lambda: tokens.required):
        with pytest.raises(StorageError, match="tokens were changed and cannot be read"):
            ask()


def test_a_file_that_cannot_be_read_is_named_and_lets_nobody_in(home: Home) -> None:
    server = Tokens(home)
    server.file.mkdir(parents=True)
    with pytest.raises(StorageError, match=r"tokens\.json: cannot be read \(Is a directory\); run"):
        assert not server.required
    server.file.rmdir()
    server.file.parent.rmdir()
    server.file.parent.write_bytes(b"")
    with pytest.raises(StorageError, match=r"tokens\.json: cannot be read \(Not a directory\)"):
        server.find("factory_x")
