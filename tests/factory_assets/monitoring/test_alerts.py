"""Alerts reach a webhook, a mailbox and a command: once, with what to do, also after a failure."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_assets.monitoring import alerts
from factory_assets.monitoring.alerts import known_alarms, settle_alarms
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import Alarm, MonitorReport
from factory_assets.spec.settings import AlertChannel
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import AlarmsChanged
from tests.ledger import problems
from tests.sinks import Sink, smtp, webhook
from tests.watched import look

DRIFT = Alarm(kind="drift", what="heat: median 50 → 60", remedy="train again")
SILENCE = Alarm(kind="silence", what="no answer since yesterday", remedy="ask who calls")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.require_writable()
    Ledger(found).begin()
    return found


def channel(**ways: Any) -> AlertChannel:
    return AlertChannel.model_validate(ways)


def mail_to(server: Sink, *to: str) -> dict[str, Any]:
    """Return the declaration of e-mails to these recipients by this server."""
    place = {"host": "127.0.0.1", "port": server.port, "tls": "none"}
    return {"to": [*to], "sender": "factory@example.org", **place}


def test_an_alarm_is_told_once_and_its_end_once(home: Home) -> None:
    with webhook() as sink:
        channels = [channel(webhook={"url": f"http://127.0.0.1:{sink.port}/hook"})]
        for number, found in enumerate([(), (DRIFT,), (DRIFT,), (DRIFT,), (), ()], start=1):
            assert settle_alarms(look(home, number, *found), channels, home) == []
    begin, end = sink.received
    assert (begin["state"], begin["kind"], begin["since"][:10]) == ("open", "drift", "2026-03-04")
    assert begin["what"] == DRIFT.what
    assert begin["remedy"] == "train again"
    assert "factory monitor pumps --last" in begin["text"]
    assert "\nSince: 2026-03-04 06:00 UTC\n" in begin["text"]
    assert "\nOver: 2026-03-07 06:00 UTC\n" in end["text"]
    assert (end["state"], end["since"], end["over"][:10]) == ("over", begin["since"], "2026-03-07")
    assert known_alarms(Looks(home, "pumps")).alarms == ()


def test_the_ledger_has_which_alarms_are_open_and_still_verifies(home: Home) -> None:
    for number, found in enumerate([(DRIFT,), (DRIFT, SILENCE), (SILENCE,), ()], start=1):
        settle_alarms(look(home, number, *found), [], home)
        settle_alarms(look_again(home, number), [], home)
    with Ledger(home).reading() as log:
        numbers = log.numbers(AlarmsChanged.subject_of(pipeline="pumps"))
    assert len(numbers) == 4
    last = Ledger(home).latest(AlarmsChanged, AlarmsChanged.subject_of(pipeline="pumps"))
    assert last is not None
    assert (last[1].open, last[1].look) == ((), 4)
    assert problems(home) == []


def look_again(home: Home, number: int) -> MonitorReport:
    return Looks(home, "pumps").report(number)


def test_what_was_not_taken_is_sent_again_by_the_next_look(home: Home) -> None:
    with webhook() as sink, smtp() as mail:
        channels = [
            channel(webhook={"url": f"http://127.0.0.1:{sink.port}/hook"}),
            channel(email=mail_to(mail, "a@example.org", "b@example.org")),
        ]
        sink.status = 503
        [problem] = settle_alarms(look(home, 1, DRIFT), channels, home)
        address = f"http://127.0.0.1:{sink.port}/hook"
        assert problem.startswith(f"webhook {address}: the webhook answered 503; correct alerts")
        sink.status = 200
        assert settle_alarms(look(home, 2, DRIFT), channels, home) == []
    assert len(sink.received) == len(mail.received) == 1
    [message] = mail.received
    assert message["Subject"] == "pumps@1: drift alarm"
    assert message["To"] == "a@example.org, b@example.org"
    # Without one it is taken for spam, or refused.
    assert abs(datetime.now(UTC) - message["Date"].datetime) < timedelta(minutes=5)
    assert "What to do: train again" in message.get_content()
    assert sink.headers[0]["idempotency-key"] == sink.received[0]["id"]


def test_whom_a_mail_server_refuses_is_told_and_the_others_have_it_once(home: Home) -> None:
    with smtp() as mail:
        email = mail_to(mail, "a@example.org", "nobody@example.org")
        [problem] = settle_alarms(look(home, 1, DRIFT), [channel(email=email)], home)
        assert "the mail server refuses nobody@example.org (no such user); the others" in problem
        [alarm] = known_alarms(Looks(home, "pumps")).alarms
        assert alarm.unsent == (problem,)
        assert settle_alarms(look(home, 2, DRIFT), [channel(email=email)], home) == []
    assert len(mail.received) == 1


def test_a_command_gets_the_alert_on_its_standard_input(home: Home, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    told = channel(command=["sh", "-c", f"cat > {out}"])
    broken = channel(command=["sh", "-c", "echo no line to the pager >&2; exit 3"])
    missing = channel(command=["/no/such/program"])
    found = settle_alarms(look(home, 1, DRIFT), [told, broken, missing], home)
    assert json.loads(out.read_text())["title"] == "pumps@1: drift alarm"
    assert "no line to the pager" in found[0]
    assert "No such file" in found[1]
    latin = channel(command=["sh", "-c", r"printf 'no pager in M\374nchen\n' >&2; exit 3"])
    [problem] = settle_alarms(look(home, 2, DRIFT), [latin], home)
    assert "the command failed (no pager in M\N{REPLACEMENT CHARACTER}nchen)" in problem


def test_a_secret_is_sent_in_the_header_and_never_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "Bearer swordfish")
    with webhook() as sink:
        url = f"http://127.0.0.1:{sink.port}/hook"
        channels = [channel(webhook={"url": url, "authorization": "HOOK_TOKEN"})]
        settle_alarms(look(home, 1, DRIFT), channels, home)
        assert sink.headers[0]["authorization"] == "Bearer swordfish"
        monkeypatch.delenv("HOOK_TOKEN")
        [problem] = settle_alarms(look(home, 2, DRIFT, SILENCE), channels, home)
    assert "secret HOOK_TOKEN is not set" in problem
    assert "swordfish" not in (Looks(home, "pumps").folder / "alarms.json").read_text()


@pytest.mark.parametrize("value", ["swordfish\nof the pier", "sword€fish"])
@pytest.mark.parametrize("place", ["authorization", "url"])
def test_a_secret_that_no_request_may_have_is_not_shown(
    home: Home, place: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", value)
    with webhook() as sink:
        url = f"http://127.0.0.1:{sink.port}/hook"
        inside = {"url": f"{url}/${{HOOK_TOKEN}}"}
        declared = inside if place == "url" else {"url": url, "authorization": "HOOK_TOKEN"}
        [problem] = settle_alarms(look(home, 1, DRIFT), [channel(webhook=declared)], home)
    assert "has characters that no request may have" in problem
    assert "fish" not in problem


def test_what_is_no_webhook_and_no_password_is_told_in_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "Schlüssel")
    with smtp() as mail:
        email = mail_to(mail, "a@example.org")
        channels = [
            channel(webhook={"url": f"http://127.0.0.1:{mail.port}/hook"}),
            channel(email={**email, "user": "factory", "password": "MAIL_PASSWORD"}),
            channel(email=email),
        ]
        refused, unsent = settle_alarms(look(home, 1, DRIFT), channels, home)
    assert "the webhook cannot be reached (220 sink" in refused
    assert "the e-mail was not sent: its host, user, password or an address has" in unsent
    stored = (Looks(home, "pumps").folder / "alarms.json").read_text()
    assert not any(letter in unsent + stored for letter in ("ü", r"\xfc", r"\u00fc"))
    assert len(mail.received) == 1


def test_why_an_alert_was_not_sent_is_kept_until_it_is(home: Home) -> None:
    def unsent() -> list[tuple[str, ...]]:
        return [alarm.unsent for alarm in known_alarms(Looks(home, "pumps")).alarms]

    with webhook() as sink:
        channels = [channel(webhook={"url": f"http://127.0.0.1:{sink.port}/hook"})]
        sink.status = 500
        problems = settle_alarms(look(home, 1, DRIFT), channels, home)
        assert unsent() == [tuple(problems)]
        assert "the webhook answered 500" in problems[0]
        sink.status = 200
        settle_alarms(look(home, 2, DRIFT), channels, home)
        assert unsent() == [()]
        sink.status = 500
        problems = settle_alarms(look(home, 3), channels, home)
        assert unsent() == [tuple(problems)]
        assert settle_alarms(look(home, 4), [], home) == []
    assert unsent() == [], "a channel that is no longer declared is not missed, nor waited for"


def test_a_redirect_is_not_followed(home: Home) -> None:
    with webhook() as sink:
        sink.status = 307
        url = f"http://127.0.0.1:{sink.port}/hook"
        [problem] = settle_alarms(look(home, 1, DRIFT), [channel(webhook={"url": url})], home)
    assert "307" in problem
    assert sink.received == []


def test_only_the_channels_of_a_pipeline_are_told(home: Home) -> None:
    with webhook() as sink:
        url = f"http://127.0.0.1:{sink.port}/hook"
        other = channel(webhook={"url": url}, pipelines=["fans"])
        settle_alarms(look(home, 1, DRIFT), [other], home)
        assert sink.received == []
        mine = channel(webhook={"url": url}, pipelines=["fans", "pumps"])
        settle_alarms(look(home, 2, DRIFT), [mine], home)
    assert len(sink.received) == 1


def test_an_alarm_is_told_once_although_its_channel_is_edited(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "swordfish")
    with webhook() as sink:
        hook = {"url": f"http://127.0.0.1:{sink.port}/hook"}
        settle_alarms(look(home, 1, DRIFT), [channel(webhook=hook)], home)
        edited = channel(webhook=hook | {"authorization": "HOOK_TOKEN"}, pipelines=["pumps"])
        for number, found in enumerate([(DRIFT,), (), ()], start=2):
            assert settle_alarms(look(home, number, *found), [edited], home) == []
    assert [alert["state"] for alert in sink.received] == ["open", "over"]
    assert known_alarms(Looks(home, "pumps")).alarms == ()


def test_an_alarm_of_another_version_is_another_alarm(home: Home) -> None:
    with webhook() as sink:
        channels = [channel(webhook={"url": f"http://127.0.0.1:{sink.port}/hook"})]
        settle_alarms(look(home, 1, DRIFT), channels, home)
        settle_alarms(look(home, 2, DRIFT, version=2), channels, home)
    assert [(one["state"], one["version"]) for one in sink.received] == [
        ("open", 1),
        ("over", 1),
        ("open", 2),
    ]


@pytest.mark.parametrize("step", ["_enter", "_write", "send", "_replace"])
def test_a_kill_after_any_step_loses_no_alert(
    step: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    original = getattr(alerts, step)

    def dying(*arguments: Any, **more: Any) -> None:
        original(*arguments, **more)
        raise Killed

    with webhook() as sink:
        channels = [channel(webhook={"url": f"http://127.0.0.1:{sink.port}/hook"})]
        report = look(home, 1, DRIFT)
        with monkeypatch.context() as patch:
            patch.setattr(alerts, step, dying)
            with pytest.raises(Killed):
                settle_alarms(report, channels, home)
        settle_alarms(report, channels, home)
        settle_alarms(report, channels, home)
    # Killed between sending and remembering it, an alert comes twice, under the same id.
    assert {one["id"] for one in sink.received} == {sink.received[0]["id"]}
    assert len(sink.received) == (2 if step == "send" else 1)
    with Ledger(home).reading() as log:
        assert len(log.numbers(AlarmsChanged.subject_of(pipeline="pumps"))) == 1
