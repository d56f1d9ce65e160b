"""Send one alert: to a webhook, by e-mail, to a command. When one is sent belongs in `alerts`."""

from __future__ import annotations

import http.client
import json
import re
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import localtime
from typing import Any

from factory_assets.spec.settings import AlertChannel, Email, Webhook
from factory_resources.errors import AlertError
from factory_resources.home.home import Home
from factory_resources.security.secrets import secret

_SECONDS = 15
"""How long a server may take."""

_COMMAND_SECONDS = 60

_SHOWN = 200
"""Characters of what a server or a command says."""

_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def send(channel: AlertChannel, alert: Mapping[str, Any], home: Home) -> str:
    """Send an alert.

    Args:
        alert: values of JSON; `title` and `text` are for people, `id` is the same if it is sent
            again.

    Returns:
        Whom it does not reach, and why; nothing if it reaches all.

    Raises:
        AlertError: it was not taken.
        SourceError: a secret is missing.
    """
    if channel.webhook:
        _post(channel.webhook, alert, home)
    elif channel.email:
        return _mail(channel.email, alert, home)
    elif channel.command:
        _run(channel.command, alert)
    return ""


def channel_name(channel: AlertChannel) -> str:
    """Return how a channel is called in messages; without secrets."""
    if channel.webhook:
        return f"webhook {channel.webhook.url.split('?')[0]}"
    if channel.email:
        return f"e-mail to {', '.join(channel.email.to)}"
    return f"command {(channel.command or ('',))[0]}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the alert, and the secret with it, to somebody else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _post(webhook: Webhook, alert: Mapping[str, Any], home: Home) -> None:
    url = _SECRET.sub(lambda match: secret(match[1], home), webhook.url)
    request = urllib.request.Request(  # noqa: S310 - the scheme is http or https
        url,
        json.dumps(alert).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": str(alert["id"])},
    )
    if webhook.authorization:
        request.add_header("Authorization", secret(webhook.authorization, home))
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise AlertError(
            f"the webhook answered {error.code}",
            where=webhook.url,
            remedy="correct alerts in factory.yaml; the next look sends the alert again",
        ) from None
    except (ValueError, http.client.InvalidURL):
        # The error quotes the address or the header, with the secret in it.
        raise AlertError(
            "the webhook's address or authorization, with its secrets, has characters that no "
            "request may have, such as line breaks",
            where=webhook.url,
            remedy="correct the secret, or alerts in factory.yaml; the next look sends the alert "
            "again",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error))[:_SHOWN]
        raise AlertError(
            f"the webhook cannot be reached ({reason})",
            where=webhook.url,
            remedy="correct alerts in factory.yaml; the next look sends the alert again",
        ) from None


def _mail(email: Email, alert: Mapping[str, Any], home: Home) -> str:
    message = EmailMessage()
    message["From"], message["To"] = email.sender, ", ".join(email.to)
    message["Subject"], message["Date"] = str(alert["title"]), localtime()
    message["Message-ID"] = f"<{alert['id']}@{email.sender.rpartition('@')[2] or 'factory'}>"
    message.set_content(str(alert["text"]))
    try:
        with _connected(email) as server:
            if email.user and email.password:
                server.login(email.user, secret(email.password, home))
            refused = server.send_message(message)
    except ValueError:
        # The error quotes the text, such as the password.
        raise AlertError(
            "the e-mail was not sent: its host, user, password or an address has characters that "
            "no mail server takes, such as ä",
            where=f"{email.host}:{email.port}",
            remedy="correct the secret, or alerts in factory.yaml; the next look sends the alert "
            "again",
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        raise AlertError(
            f"the e-mail was not sent ({error})",
            where=f"{email.host}:{email.port}",
            remedy="correct alerts in factory.yaml; the next look sends the alert again",
        ) from None
    if not refused:
        return ""
    # Sent again at every look, it would reach the others each time.
    why = ", ".join(f"{to} ({text.decode(errors='replace')})" for to, (_, text) in refused.items())
    return f"the mail server refuses {why[:_SHOWN]}; the others have it; correct factory.yaml"


def _connected(email: Email) -> smtplib.SMTP:
    if email.tls == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(email.host, email.port, timeout=_SECONDS, context=context)
    server = smtplib.SMTP(email.host, email.port, timeout=_SECONDS)
    if email.tls == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def _run(command: tuple[str, ...], alert: Mapping[str, Any]) -> None:
    try:
        done = subprocess.run(
            command,
            input=json.dumps(alert),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(command, str(error)) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise _failed(command, last[:_SHOWN])


def _failed(command: tuple[str, ...], why: str) -> AlertError:
    return AlertError(
        f"the command failed ({why})",
        where=command[0],
        remedy="correct alerts in factory.yaml; the next look sends the alert again",
    )
