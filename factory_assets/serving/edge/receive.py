"""Bring the log of a pack home: check it, store the proven answers, enter what was found.

What a log proves is decided in `chain`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from factory_assets.serving.edge import score
from factory_assets.serving.edge.chain import EdgeLog, LogLine, read_log
from factory_assets.serving.edge.logged_answers import (
    NO_ANSWER,
    PROGRAM,
    TIMES,
    answer_record,
    pack_in,
)
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import EdgeLogReceived, EdgePacked
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode

_ENTERED = 50
"""Findings that an entry of the ledger lists, each of so many characters at most."""
_CHARACTERS = 200
_TOGETHER = 1000

_LATEST = (TIMES // 1000).to_bytes(6, "big")


@dataclass(frozen=True)
class ReceivedLog:
    """What came home."""

    pack: EdgePacked
    answers: int
    """Answers that were not stored before."""
    proven: int
    """All answers in the log that a checkpoint proves."""
    findings: tuple[str, ...]
    """What is missing or was changed."""
    notes: tuple[str, ...]
    known: EdgeLogReceived | None
    """The entry of an earlier time if nothing is new."""


def receive_log(folder: Path, home: Home) -> ReceivedLog:
    """Store the proven answers of a pack that this home wrote; once, however often it is called.

    Raises:
        RefusedError: the pack is not of this home.
        StorageError: the folder cannot be read, or the home cannot be written.
    """
    pack = pack_in(folder, home)
    log = read_log(folder / score.LOG, pack.pack, base64.b64decode(pack.key))
    with home.lock("edge_log"), PredictionLog(home) as stored:
        subject = EdgeLogReceived.subject_of(pack=pack.pack)
        before = Ledger(home).latest(EdgeLogReceived, subject)
        earlier = before[1] if before else None
        findings = [*_changed_files(folder, pack), *_rewritten(log, earlier), *log.findings]
        answers = [line for line in log.proven if line.kind == "answer"]
        rewritten = any(_rewritten(log, earlier))
        records = _records([] if rewritten else answers, pack, findings)
        known = stored.facts([identifier for identifier, _ in records])
        missing = [one for one in records if one[0] not in known]
        erased = stored.erased([identifier for identifier, _ in missing])
        kept = [one for one in missing if one[0] not in erased]
        removed = stored.removed_days(pack.pipeline)
        new = [one for one in kept if ids.day_of(one[0]) not in removed]
        _store(new, stored)
        entry = _entry(pack, log, earlier if rewritten else None, len(new), findings)
        is_known = earlier is not None and not new and _says_the_same(earlier, entry)
        if not is_known:
            Ledger(home).append([entry])
    return ReceivedLog(
        pack=pack,
        answers=len(new),
        proven=len(answers),
        findings=tuple(findings),
        notes=(*log.notes, *_left_out(len(kept) - len(new))),
        known=earlier if is_known else None,
    )


def _left_out(count: int) -> Iterator[str]:
    """Say how many answers are older than those that are kept."""
    if count:
        what = "answer is of a day" if count == 1 else "answers are of days"
        yield f"{count:,} {what} whose answers were removed: not stored"


def _changed_files(folder: Path, pack: EdgePacked) -> Iterator[str]:
    for name, expected in ((score.GRAPH, pack.graph), (PROGRAM, pack.program)):
        try:
            found = sha256((folder / name).read_bytes()).hexdigest()
        except FileNotFoundError:
            # Only the contract and the log need come home.
            continue
        if found != expected:
            yield f"{name} was changed"


def _rewritten(log: EdgeLog, earlier: EdgeLogReceived | None) -> Iterator[str]:
    """Say if lines that came home before are others now, as only the pack's key can make them."""
    if earlier is None or not earlier.lines:
        return
    line = log.line(earlier.lines)
    if line is None or line.digest != earlier.head:
        what = "are missing" if line is None else "are others"
        yield f"the {earlier.lines:,} lines that came home {earlier.time[:16]}Z {what} now"


def _records(
    lines: Sequence[LogLine], pack: EdgePacked, findings: list[str]
) -> list[tuple[bytes, PredictionRecord]]:
    """Return id and record of each answer, in the order of the ids."""
    records: dict[bytes, PredictionRecord] = {}
    for line in lines:
        try:
            identifier = ids.parse(line.content["id"])
            record = answer_record(line, pack)
        except (*NO_ANSWER, UnknownNameError):
            identifier, record = b"", None
        if record is None or not _is_request(identifier) or identifier in records:
            findings.append(f"line {line.number} is not an answer of this program")
            continue
        records[identifier] = record
    return sorted(records.items())


def _is_request(identifier: bytes) -> bool:
    """Whether it is the id of a request, of a time that a calendar has."""
    return not ids.request_of(identifier)[1] and identifier[:6] < _LATEST


def _store(records: Sequence[tuple[bytes, PredictionRecord]], log: PredictionLog) -> None:
    if not records:
        return
    with closing(log.journal()) as journal:
        for start in range(0, len(records), _TOGETHER):
            for identifier, record in records[start : start + _TOGETHER]:
                journal.append(identifier, encode(record))
            journal.flush()
    log.collect()


def _entry(
    pack: EdgePacked,
    log: EdgeLog,
    kept: EdgeLogReceived | None,
    answers: int,
    findings: Sequence[str],
) -> EdgeLogReceived:
    """Return the entry; of a rewritten log it keeps naming the lines that came home first."""
    head = log.head
    lines, digest = (head.number, head.digest) if head else (0, pack.pack)
    if kept:
        lines, digest = kept.lines, kept.head
    return EdgeLogReceived(
        subject=EdgeLogReceived.subject_of(pack=pack.pack),
        pack=pack.pack,
        pipeline=pack.pipeline,
        version=pack.version,
        file=log.sha256,
        lines=lines,
        head=digest,
        answers=answers,
        findings=tuple(finding[:_CHARACTERS] for finding in findings[:_ENTERED]),
        more=max(0, len(findings) - _ENTERED),
    )


def _says_the_same(earlier: EdgeLogReceived, entry: EdgeLogReceived) -> bool:
    apart = {"time", "answers"}
    return earlier.model_dump(exclude=apart) == entry.model_dump(exclude=apart)
