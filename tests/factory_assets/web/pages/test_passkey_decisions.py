"""Who decides by a passkey, and which signatures do not count."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

pytest.importorskip("webauthn")

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.standing import standing
from factory_assets.execution.standing_text import standing_text
from factory_assets.web.access_log import AccessLog
from factory_resources.ledger.entries import CandidateDecided
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.statements import statement_file
from factory_resources.security import challenges, passkey_proofs
from factory_resources.security.passkey_proofs import (
    RelyingParty,
    creation_options,
    public_line,
    verify_registration,
)
from factory_resources.security.passkeys import Passkey, Passkeys
from factory_resources.security.personal_keys import public_file
from factory_resources.security.request_guard import STRICTER
from factory_resources.tracking.records import Records
from tests.approvals import Factory
from tests.authenticator import Authenticator
from tests.factory_assets.web.pages.conftest import TOKEN, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.ledger import ledger_entries

pytestmark = pytest.mark.slow

PAGE = "/approvals/apples/1"

SITE = RelyingParty("localhost", "http://localhost:3000")

Enter = Callable[..., TestClient]


@pytest.fixture
def enter(apples: Factory, browse: Browse) -> Enter:
    """Return a client at the address at which passkeys count."""
    return lambda *who, **how: browse(apples.home, *who, address=SITE.origin, **how)


def register(apples: Factory, person: str = "jane", **how: Any) -> tuple[Authenticator, Passkey]:
    """Return a device with a passkey of a person; `people.yaml` does not have it yet."""
    device = Authenticator(SITE.origin, **how)
    answer = device.create(creation_options(SITE, person, b"c" * 32, ()))
    passkey = verify_registration(answer, SITE, b"c" * 32, (), person=person, name="laptop")
    Passkeys(apples.home).add(passkey)
    return device, passkey


def keys_of(apples: Factory, person: str, *passkeys: Passkey) -> dict[str, Any]:
    """Return a person's keys in `people.yaml`."""
    own = public_file(apples.key(person)).read_text().strip()
    return {"keys": [own, *(public_line(one) for one in passkeys)]}


@pytest.fixture
def jane(apples: Factory) -> Authenticator:
    """Jane's device, by whose passkey she signs."""
    device, passkey = register(apples)
    apples.people(jane=keys_of(apples, "jane", passkey))
    return device


def ask(client: TestClient, decision: str = "approved", **fields: str) -> Any:
    """Ask for what the device is to sign, as the page's script does."""
    html = client.get(PAGE).text
    found = re.search(r'name="shown" value="(\w+)"', html)
    shown = found[1] if found else ""
    form = {"form_token": TOKEN, "shown": shown, "decision": decision, "reason": "it is  better"}
    return client.post(f"{PAGE}/passkey/options", data=form | fields)


def send(client: TestClient, credential: str, **fields: str) -> Any:
    form = {"form_token": TOKEN, "credential": credential}
    return client.post(f"{PAGE}/passkey", data=form | fields)


def decide(client: TestClient, device: Authenticator, decision: str = "approved") -> Any:
    options = ask(client, decision)
    assert options.status_code == 200, options.text
    return send(client, device.get(options.text))


def entries(apples: Factory, *kinds: str) -> list[Any]:
    AccessLog(apples.home).flush()
    every = ledger_entries(apples.home)
    return [entry for entry in every if entry.kind in kinds]


def nothing_was_decided(apples: Factory) -> bool:
    return entries(apples, "approval", "champion") == []


def statement_of(apples: Factory, entry: CandidateDecided) -> dict[str, Any]:
    """Return the envelope of a decision."""
    file = statement_file(apples.home, "apples", entry.statement or "")
    envelope: dict[str, Any] = json.loads(file.read_bytes())
    return envelope


def test_a_passkey_approves_and_the_version_serves(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    text = re.search(r"<pre[^>]*>(apples@1 .*?)</pre>", client.get(PAGE).text, re.DOTALL)
    answer = decide(client, jane)
    assert answer.status_code == 200, text_of(answer.text)
    assert mistakes_of(answer.text) == []
    assert "apples@1 was approved by jane" in text_of(answer.text)
    assert "serves" in text_of(answer.text)
    action, approval, champion = entries(apples, "action", "approval", "champion")
    assert (action.operations, action.about) == (("decide",), ("apples@1",))
    assert champion.version == 1
    [passkey] = Passkeys(apples.home).of("jane")
    assert approval.key == public_line(passkey)
    assert passkey.sign_count == 2
    statement = json.loads(b64decode(statement_of(apples, approval)["payload"]))["predicate"]
    assert statement["reason"] == "it is better"
    assert statement["person"]["name"] == "jane"
    assert text
    assert text_of(text[1]) == " ".join(statement["shown"].split())
    report, _ = verify_path(str(apples.home.path), Expectation())
    assert report.problems == []
    assert "1 decision signed by passkey" in "\n".join(report.lines())


def test_what_is_signed_is_the_digest_of_the_statement(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    options = json.loads(ask(client).text)
    assert options["userVerification"] == "required"
    assert options["timeout"] == 300_000
    [passkey] = Passkeys(apples.home).of("jane")
    assert [one["id"] for one in options["allowCredentials"]] == [passkey.id]
    send(client, jane.get(json.dumps(options)))
    [approval] = entries(apples, "approval")
    envelope = statement_of(apples, approval)
    signed = json.loads(b64decode(envelope["signatures"][0]["clientDataJSON"]))
    assert signed["challenge"] == options["challenge"]
    challenge = passkey_digest(b64decode(envelope["payload"]))
    assert challenge == options["challenge"]


def passkey_digest(statement: bytes) -> str:
    from webauthn.helpers import bytes_to_base64url

    return bytes_to_base64url(sha256(statement).digest())


@pytest.mark.parametrize("kind", ["EdDSA", "RS256"])
def test_devices_of_other_kinds_approve_too(apples: Factory, enter: Enter, kind: str) -> None:
    device, passkey = register(apples, kind=kind)
    apples.people(jane=keys_of(apples, "jane", passkey))
    assert "was approved by jane" in text_of(decide(enter(), device).text)
    report, _ = verify_path(str(apples.home.path), Expectation())
    assert report.problems == []


def test_who_approved_and_that_it_was_by_a_passkey_is_told(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    decide(enter(), jane)
    pipeline, home = load_pipeline(apples.defs / "apples"), apples.home
    record = Records(home).latest("apples", "deploy")
    assert record
    said = standing_text(standing(pipeline, record, home), "apples", 1, home)
    assert "serves, approved by jane with a passkey (entry " in said
    assert said.endswith("it is better")


def test_a_passkey_refuses_too(apples: Factory, enter: Enter, jane: Authenticator) -> None:
    answer = decide(enter(), jane, "refused")
    assert "apples@1 was refused by jane" in text_of(answer.text)
    [approval] = entries(apples, "approval", "champion")
    assert approval.decision == "refused"


def test_an_approval_by_passkey_is_one_of_two(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    apples.declare(approval={"signatures": 2})
    assert "1 more approval is needed" in text_of(decide(enter(), jane).text)
    again = decide(enter(), jane)
    assert again.status_code == 422
    assert "jane has approved it already" in text_of(again.text)
    assert "serves" in apples.approve(by="bob")


@pytest.mark.parametrize("role", ["auditor", "engineer"])
def test_only_approvers_are_asked(
    apples: Factory, enter: Enter, jane: Authenticator, role: str
) -> None:
    options = ask(enter())
    client = enter("jane", role)
    assert "data-passkey" not in client.get(PAGE).text
    assert ask(client).status_code == 403
    assert send(client, jane.get(options.text)).status_code == 403
    assert nothing_was_decided(apples)


def test_a_signature_counts_once(apples: Factory, enter: Enter, jane: Authenticator) -> None:
    apples.declare(approval={"signatures": 2})
    client = enter()
    credential = jane.get(ask(client).text)
    assert send(client, credential).status_code == 200
    for _ in range(2):
        again = send(client, credential)
        assert again.status_code == 422
        assert mistakes_of(again.text) == []
        assert "signature is not valid" in text_of(again.text)
        # Nor does it for the next statement.
        ask(client)
    assert len(entries(apples, "approval")) == 1


def test_a_signature_counts_for_the_session_that_asked_and_five_minutes(
    apples: Factory, enter: Enter, jane: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = enter()
    credential = jane.get(ask(client).text)
    assert send(enter(session="0" * 64), credential).status_code == 422
    now = challenges.time.monotonic()
    monkeypatch.setattr(challenges.time, "monotonic", lambda: now + 301)
    assert send(client, credential).status_code == 422
    assert nothing_was_decided(apples)


def test_a_form_of_another_site_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    assert ask(client, form_token="0" * 64).status_code == 403
    credential = jane.get(ask(client).text)
    assert send(client, credential, form_token="").status_code == 403
    assert nothing_was_decided(apples)
    assert {one.reason for one in entries(apples, "refused")} == {"another site"}


def test_an_answer_to_another_statement_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    refusal = jane.get(ask(client, "refused").text)
    ask(client, "approved")
    assert send(client, refusal).status_code == 422
    assert nothing_was_decided(apples)


@pytest.mark.parametrize("origin", ["http://localhost:3001", "https://evil.example"])
def test_an_answer_on_another_page_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator, origin: str
) -> None:
    jane.origin = origin
    assert decide(enter(), jane).status_code == 422
    assert nothing_was_decided(apples)
    [refused] = entries(apples, "refused")
    assert (refused.reason, refused.operation) == ("not allowed", "decide apples@1")


def test_an_answer_for_another_host_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    options = json.loads(ask(client).text) | {"rpId": "evil.example"}
    assert send(client, jane.get(json.dumps(options))).status_code == 422
    assert nothing_was_decided(apples)


def test_a_device_that_does_not_verify_its_person_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    jane.verified = False
    assert decide(enter(), jane).status_code == 422
    assert nothing_was_decided(apples)


def test_a_device_that_counts_backwards_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    [credential] = jane.credentials.values()
    credential.count = 0
    assert decide(enter(), jane).status_code == 422
    assert nothing_was_decided(apples)


def test_a_device_need_not_say_whose_passkey_it_used(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    answer = json.loads(jane.get(ask(client).text))
    del answer["response"]["userHandle"]
    assert send(client, json.dumps(answer)).status_code == 200
    assert len(entries(apples, "approval")) == 1


def test_another_persons_passkey_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    bobs, passkey = register(apples, "bob")
    [janes] = Passkeys(apples.home).of("jane")
    people = {"jane": keys_of(apples, "jane", janes), "bob": keys_of(apples, "bob", passkey)}
    apples.people(**people)
    client = enter()
    for claims in ({}, {"id": janes.id}, {"id": janes.id, "userHandle": janes.user}):
        options = json.loads(ask(client).text) | {"allowCredentials": []}
        assert send(client, bobs.get(json.dumps(options), claims=claims)).status_code == 422
    assert nothing_was_decided(apples)


def test_a_removed_passkey_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    credential = jane.get(ask(client).text)
    Passkeys(apples.home).remove("jane")
    assert send(client, credential).status_code == 422
    assert ask(client).status_code == 409
    assert nothing_was_decided(apples)


def test_a_passkey_that_people_yaml_lacks_logs_in_and_does_not_sign(
    apples: Factory, enter: Enter
) -> None:
    device, passkey = register(apples)
    client = enter()
    page = client.get(PAGE)
    assert mistakes_of(page.text) == []
    assert f"- {public_line(passkey)}" in text_of(page.text)
    assert "data-passkey" not in page.text
    assert "script" not in page.headers[STRICTER.decode()]
    answer = ask(client)
    assert answer.status_code == 409
    assert "none of your passkeys" in answer.text
    apples.people(jane=keys_of(apples, "jane", passkey))
    assert "data-passkey" in client.get(PAGE).text
    credential = device.get(ask(client).text)
    apples.people()
    assert send(client, credential).status_code == 422
    assert nothing_was_decided(apples)


def test_ones_own_page_shows_an_approver_what_signs_and_what_is_to_be_added(
    apples: Factory, enter: Enter
) -> None:
    _, passkey = register(apples)
    line, signs = f"- {public_line(passkey)}", "You sign decisions with the passkey laptop"
    before = text_of(enter().get("/me").text)
    assert line in before
    assert signs not in before
    assert line not in text_of(enter("jane", "auditor").get("/me").text)
    apples.people(jane=keys_of(apples, "jane", passkey))
    page = enter().get("/me").text
    assert mistakes_of(page) == []
    assert signs in text_of(page)
    assert line not in text_of(page)


def test_an_approval_by_a_key_that_was_withdrawn_counts_no_more(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    apples.declare(approval={"signatures": 2})
    decide(enter(), jane)
    apples.people()
    assert "1 more approval is needed" in apples.approve(by="bob")


def test_a_role_that_was_withdrawn_meanwhile_decides_nothing(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    credential = jane.get(ask(client).text)
    [passkey] = Passkeys(apples.home).of("jane")
    apples.people(jane=keys_of(apples, "jane", passkey) | {"roles": ["auditor"]})
    # The door would know it by now; what enters decisions knows it by itself.
    answer = send(client, credential)
    assert answer.status_code == 422
    assert "jane does not have the role approver" in text_of(answer.text)
    assert nothing_was_decided(apples)


def test_a_version_that_was_decided_about_meanwhile_is_not_decided_again(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    credential = jane.get(ask(client, "refused").text)
    apples.approve(by="bob")
    answer = send(client, credential)
    assert answer.status_code == 409
    assert "it serves already" in text_of(answer.text)
    assert [one.decision for one in entries(apples, "approval")] == ["approved"]


def test_a_version_whose_champion_changed_meanwhile_is_not_decided(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    """Version 2 begins to serve while the statement about version 1 waits for its signature."""
    client = enter()
    credential = jane.get(ask(client).text)
    apples.declare(seed=11)
    apples.run()
    apples.approve("apples@2", by="bob")
    answer = send(client, credential)
    assert answer.status_code in (409, 422)
    assert [one.version for one in entries(apples, "approval", "champion")] == [2, 2]


def test_who_trained_it_does_not_approve_by_a_passkey(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    import getpass

    apples.declare(approval={"four_eyes": True})
    [passkey] = Passkeys(apples.home).of("jane")
    keys = keys_of(apples, "jane", passkey)
    apples.people(jane={**keys, "account": getpass.getuser()})
    answer = decide(enter(), jane)
    assert answer.status_code == 422
    assert "four_eyes is declared" in text_of(answer.text)
    assert nothing_was_decided(apples)
    apples.people(jane={**keys, "account": "somebody-else"})
    assert "was approved by jane" in text_of(decide(enter(), jane).text)


def test_what_the_page_showed_is_what_is_signed(
    apples: Factory, enter: Enter, jane: Authenticator
) -> None:
    client = enter()
    html = client.get(PAGE).text
    apples.declare(approval={"signatures": 2})
    found = re.search(r'name="shown" value="(\w+)"', html)
    assert found
    stale = ask(client, shown=found[1])
    assert stale.status_code == 409
    assert "has changed meanwhile" in stale.text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": " \n "}, "the reason has 0 characters"),
        ({"reason": "x" * 2_001}, "the reason has 2,001 characters"),
        ({"decision": "stopped"}, "no decision was made"),
        ({"decision": ""}, "no decision was made"),
    ],
)
def test_a_decision_without_a_reason_is_not_asked_for(
    enter: Enter, jane: Authenticator, fields: dict[str, str], said: str
) -> None:
    answer = ask(enter(), **fields)
    assert answer.status_code in (404, 409)
    assert said in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("credential", ["", "{}", "[" * 60_000, "null"])
def test_what_is_no_answer_of_a_device_is_one_line(
    apples: Factory, enter: Enter, jane: Authenticator, credential: str
) -> None:
    client = enter()
    ask(client)
    answer = send(client, credential)
    assert answer.status_code == 422
    assert mistakes_of(answer.text) == []
    assert nothing_was_decided(apples)


def test_elsewhere_and_without_the_extra_the_command_is_left(
    apples: Factory, browse: Browse, jane: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = browse(apples.home)
    page = elsewhere.get(PAGE)
    assert mistakes_of(page.text) == []
    assert "Passkeys sign only if you open this page by a host name" in text_of(page.text)
    assert "script" not in page.text
    assert ask(elsewhere).status_code == 409
    monkeypatch.setattr(passkey_proofs, "find_spec", lambda name: None)
    here = browse(apples.home, address=SITE.origin)
    assert "asskey" not in here.get(PAGE).text
    assert ask(here).status_code == 409
    assert "factory approve apples@1" in here.get(PAGE).text


def test_the_form_is_a_page_without_mistakes(enter: Enter, jane: Authenticator) -> None:
    page = enter().get(PAGE)
    assert mistakes_of(page.text) == []
    assert "script-src 'self'" in page.headers[STRICTER.decode()]


def test_a_signed_file_is_entered_elsewhere_too(
    apples: Factory, enter: Enter, jane: Authenticator, tmp_path: Path
) -> None:
    """The envelope is one of those that `factory approve --statement` takes."""
    apples.declare(approval={"signatures": 2})
    decide(enter(), jane)
    [approval] = entries(apples, "approval")
    file = statement_file(apples.home, "apples", approval.statement)
    code, said = apples.factory("approve", "apples", "--statement", str(file))
    assert code == 1
    assert "jane has approved it already" in said
