"""The log of a pack, read by somebody who trusts nobody: what is proven, and what is not.

Each line names the digest of the line before it, and a checkpoint signs the line before it. So a
checkpoint proves every line before it down to the first gap or change. What is done with proven
lines belongs in `receive`, the program that writes the log is `score`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory_assets.serving.edge.score import checkpoint_message
from factory_resources.errors import StorageError
from factory_resources.ledger.factory_verify import amount


@dataclass(frozen=True)
class LogLine:
    """A whole line of a log."""

    number: int
    """As it says itself, from 1."""
    previous: str
    """The digest of the line before, as it says itself."""
    digest: str
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.content.get("kind"))


@dataclass(frozen=True)
class EdgeLog:
    """A log and what is wrong with it."""

    sha256: str
    """Of the whole file."""
    proven: tuple[LogLine, ...]
    """The lines that a checkpoint proves, in order."""
    findings: tuple[str, ...]
    """What is missing or was changed, in the order of the lines."""
    notes: tuple[str, ...]
    """What a crash leaves behind: answers without a signature, half a line."""

    @property
    def head(self) -> LogLine | None:
        """The last checkpoint that holds."""
        return next((line for line in reversed(self.proven) if line.kind == "checkpoint"), None)

    def line(self, number: int) -> LogLine | None:
        """Return the proven line with a number."""
        return next((line for line in self.proven if line.number == number), None)


def read_log(path: Path, pack: str, public: bytes) -> EdgeLog:
    """Read and check a log; a missing file is an empty log.

    Args:
        pack: the identity of the pack, which the first line names.
        public: its public key.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise StorageError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="bring it home again"
        ) from error
    *texts, torn = content.split(b"\n")
    unreadable: list[str] = []
    lines = [*_lines(texts, unreadable)]
    proven, findings = _proven(lines, pack, public)
    answers = [line for line in lines if line.kind == "answer"]
    unsigned = len(answers) - sum(line.kind == "answer" for line in proven)
    return EdgeLog(
        sha256=sha256(content).hexdigest(),
        proven=tuple(proven),
        findings=(*unreadable, *findings),
        notes=tuple(_notes(unsigned, len(torn))),
    )


def _proven(lines: Sequence[LogLine], pack: str, public: bytes) -> tuple[list[LogLine], list[str]]:
    """Return the lines that a checkpoint proves, and what is wrong, both in order."""
    proven: list[LogLine] = []
    findings: list[str] = []
    is_proven, after = False, None
    # From the end, since a checkpoint proves what is before it.
    for line in reversed(lines):
        if after is not None and after.previous != line.digest:
            findings.append(_gap(line, after))
            is_proven = False
        if line.kind == "checkpoint" and not is_proven:
            is_proven = _is_signed(line, pack, public)
            if not is_proven:
                findings.append(
                    f"the checkpoint in line {line.number} is not signed by the key of this pack"
                )
        if is_proven:
            proven.append(line)
        after = line
    if after is not None and after.previous != pack:
        first = after.number
        strange = "the first line is of another pack, or was changed"
        findings.append(_missing(1, first - 1) if first > 1 else strange)
    return proven[::-1], findings[::-1]


def _lines(texts: Sequence[bytes], findings: list[str]) -> Iterator[LogLine]:
    for place, text in enumerate(texts, start=1):
        try:
            content = json.loads(text)
            number, previous = content["seq"], content["prev"]
        except (ValueError, KeyError, TypeError, RecursionError):
            number, previous = None, None
        if type(number) is not int or not isinstance(previous, str):
            findings.append(f"line {place} of the file cannot be read")
            continue
        yield LogLine(number, previous, sha256(text).hexdigest(), content)


def _gap(line: LogLine, after: LogLine) -> str:
    first, last = line.number + 1, after.number - 1
    if last >= first:
        return _missing(first, last)
    if last == line.number:
        return f"line {line.number} was changed"
    return f"line {after.number} does not follow line {line.number}"


def _missing(first: int, last: int) -> str:
    return f"lines {first} to {last} are missing" if last > first else f"line {first} is missing"


def _is_signed(line: LogLine, pack: str, public: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    now = line.content.get("time")
    if type(now) is not int:
        return False
    message = checkpoint_message(pack, line.number, line.previous, now)
    try:
        signature = base64.b64decode(line.content["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, KeyError, TypeError, ValueError, binascii.Error):
        return False
    return True


def _notes(unsigned: int, torn: int) -> Iterator[str]:
    if unsigned:
        are, stay = ("is", "stays") if unsigned == 1 else ("are", "stay")
        yield (
            f"{amount(unsigned, 'answers')} {are} not proven by a checkpoint, and {stay} there; "
            "python score.py --sign signs those since the last one"
        )
    if torn:
        yield f"the last {torn:,} bytes are half a line, which was not answered"
