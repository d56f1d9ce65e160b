"""What may be declared of watching and of alerts, and what is wrong with the rest."""

from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.spec.base import STORED
from factory_assets.spec.settings import AlertChannel, FactorySettings
from factory_assets.spec.watch import Watching


def test_without_keys_everything_has_a_default() -> None:
    watch = Watching.model_validate({})
    assert watch.period == 3_650
    assert watch.look.enabled
    assert watch.retrain is None
    assert Watching.model_validate({"retrain": {}}).retrain is not None


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"seasons": ["hour"]}, r"watch\.seasons needs `time`"),
        ({"volume": {"at_least": 5, "at_most": 4}}, "at_most 4 is below at_least 5"),
        ({"false_alarm": "never"}, "should match pattern"),
        ({"effect": 0}, "greater than 0"),
        ({"look": {"cron": "at noon"}}, "at noon"),
        ({"look": {"timezone": "Berlin"}}, "Berlin"),
        ({"retrain": {"after": []}}, "at least 1 item"),
        ({"retrain": {"after": ["full moon"]}}, "'drift', 'outcomes' or 'contract'"),
        ({"retrain": {"at_most": 0}}, "greater than or equal to 1"),
        ({"retrain": {"outcomes": 5}}, "outcomes: 5 starts nothing; add it to `after`"),
        ({"time": "day"}, "time is for `seasons`"),
        ({"volume": {}}, "volume needs `at_least` or `at_most`"),
        (
            {"outcomes": {"source": {"files": "a.csv"}, "id": "answer", "key": "case"}},
            "key stands instead of `id`",
        ),
        ({"drfit": True}, "Extra inputs"),
    ],
    ids=str,
)
def test_a_mistake_is_named(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Watching.model_validate(declared)


def test_what_watches_nothing_is_still_read_where_it_is_stored() -> None:
    declared = {"time": "day", "volume": {}, "retrain": {"outcomes": 5}}
    assert Watching.model_validate(declared, context=STORED).time == "day"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "exactly one of webhook, email and command"),
        ({"webhook": {"url": "https://x"}, "command": ["true"]}, "exactly one"),
        ({"webhook": {"url": "ftp://x"}}, "should match pattern"),
        ({"webhook": {"url": "https://x:99999/"}}, "Port out of range"),
        ({"webhook": {"url": "https://x:port/"}}, "Port could not be cast"),
        ({"webhook": {"url": "https://[::1/"}}, "Invalid IPv6 URL"),
        ({"webhook": {"url": "https://x:0/"}}, "names a host, and a port"),
        ({"webhook": {"url": "https://:443/"}}, "names a host, and a port"),
        ({"webhook": {"url": "https://me:${WORD}@x/"}}, "without a user or secrets"),
        ({"webhook": {"url": "https://${HOST}/hook"}}, "without a user or secrets"),
        ({"webhook": {"url": "https://x", "authorization": "Bearer abc"}}, "should match pattern"),
        ({"command": []}, "at least 1 item"),
        (
            {"email": {"to": ["a@b"], "sender": "c@b", "host": "mail.b", "tls": "none"}},
            "for a server on this machine only",
        ),
        (
            {"email": {"to": ["a@b"], "sender": "c@b", "host": "mail.b", "user": "me"}},
            "belong together",
        ),
        (
            {"email": {"to": ["a@b"], "sender": "c@b\n", "host": "mail.b"}},
            "not an address in one line",
        ),
        (
            {"email": {"to": ["Ann <"], "sender": "c@b", "host": "mail.b"}},
            "not an address in one line",
        ),
        (
            {"email": {"to": ["@b"], "sender": "c@b", "host": "mail.b"}},
            "not an address in one line",
        ),
    ],
    ids=str,
)
def test_a_wrong_channel_is_named(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AlertChannel.model_validate(declared)


@pytest.mark.parametrize("sender", ["Factory <c@b.org>", "c@b.org", "factory", "ü@b.org"])
def test_an_address_may_have_a_name(sender: str) -> None:
    declared = {"email": {"to": ["a@b.org"], "sender": sender, "host": "mail.b"}}
    assert AlertChannel.model_validate(declared).email is not None


def test_channels_are_declared_once_for_all_pipelines() -> None:
    alerts = [{"command": ["page"]}, {"webhook": {"url": "http://127.0.0.1/"}, "pipelines": ["a"]}]
    settings = FactorySettings.model_validate({"alerts": alerts})
    assert [one.pipelines for one in settings.alerts] == [(), ("a",)]
