"""What a person signs: a reason in one line, a time as the verifier reads it, their own name."""

import pytest

from factory_assets.execution.people import KnownPerson
from factory_assets.execution.signed_decision import names, require_reason, stated_time
from factory_assets.spec.people import Person
from factory_resources.errors import UnknownNameError
from factory_resources.security.commitments import commit


def test_a_reason_is_one_line_of_a_limited_length() -> None:
    assert require_reason("  better\n on all\tsites ") == "better on all sites"
    assert require_reason("x" * 2_000) == "x" * 2_000
    for text, length in (("x" * 2_001, "2,001"), (" \n", "0")):
        with pytest.raises(UnknownNameError, match=f"the reason has {length} characters"):
            require_reason(text)


@pytest.mark.parametrize("text", ["2026-1-2T03:04:05Z", "2026-01-02T3:04:05Z", "2026-01-02"])
def test_a_time_is_written_as_the_verifier_reads_it(text: str) -> None:
    assert stated_time("2026-01-02T03:04:05Z").isoformat() == "2026-01-02T03:04:05+00:00"
    with pytest.raises(ValueError, match=text):
        stated_time(text)


def test_a_statement_names_who_signed_it_by_their_salt() -> None:
    salt, other = "0" * 32, "1" * 32
    jane = KnownPerson("jane", commit(salt, "jane"), Person(roles=()), None)
    assert names({"name": "jane", "salt": salt}, jane)
    assert not names({"name": "jane", "salt": other}, jane)
    for salt_of in (salt, other):
        assert not names({"name": "eve", "salt": salt_of}, jane)
    # Whoever knows the commitment of one name cannot use it under another.
    eve = KnownPerson("eve", commit(salt, "jane"), Person(roles=()), None)
    assert not names({"name": "jane", "salt": salt}, eve)
