"""Find one answer in the log of a pack that has not come home; nothing is stored or entered.

What the log proves is decided in `chain`; bringing it home belongs in `receive`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from factory_assets.serving.edge import score
from factory_assets.serving.edge.chain import EdgeLog, LogLine, read_log
from factory_assets.serving.edge.logged_answers import (
    NO_ANSWER,
    answer_record,
    entry_of,
    pack_as_it_says,
    pack_in,
)
from factory_resources.errors import RefusedError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.prediction_entries import EdgePacked
from factory_resources.prediction_log.record import PredictionRecord


@dataclass(frozen=True)
class CarriedAnswer:
    """An answer that a log proves."""

    pack: EdgePacked
    record: PredictionRecord
    line: int
    log: EdgeLog


def find_carried(path: Path, written: str, home: Home) -> CarriedAnswer:
    """Return the answer with an id that the checkpoints of a log prove.

    Args:
        path: the log, or the folder of the pack.
        written: the id of the answer.

    Raises:
        RefusedError: the log is of a pack that this home did not write.
        UnknownNameError: the log proves no answer with this id.
        StorageError: the log cannot be read.
    """
    file = _log_file(path)
    return _find(file, _pack_of(file, home), written)


def find_in_pack(path: Path, written: str) -> CarriedAnswer:
    """Return the answer with an id in the log of a pack that no ledger names.

    Whose pack it is, only the pack itself says.

    Raises:
        UnknownNameError: the log proves no answer with this id.
        StorageError: the log, the contract or the program of the pack cannot be read.
    """
    file = _log_file(path)
    return _find(file, pack_as_it_says(file.parent), written)


def _log_file(path: Path) -> Path:
    file = path / score.LOG if path.is_dir() else path
    if not file.is_file():
        raise StorageError(
            "there is no such log", where=str(file), remedy=f"name {score.LOG} of a pack"
        )
    return file


def _find(file: Path, pack: EdgePacked, written: str) -> CarriedAnswer:
    log = read_log(file, pack.pack, base64.b64decode(pack.key))
    line = next((one for one in log.proven if _answers(one, written)), None)
    if line is None:
        # Answers since the last checkpoint are not proven yet.
        notes = "; ".join([*log.findings, *log.notes])
        raise UnknownNameError(
            f"no checkpoint of this log proves an answer {written}",
            where=str(file),
            remedy=f"the log says: {notes}" if notes else "name the log of another pack",
        )
    try:
        record = answer_record(line, pack)
    except NO_ANSWER as error:
        raise StorageError(
            f"line {line.number} is not an answer of this program",
            where=str(file),
            remedy="factory ingest-log shows what else does not hold",
        ) from error
    return CarriedAnswer(pack, record, line.number, log)


def _answers(line: LogLine, written: str) -> bool:
    return line.kind == "answer" and line.content.get("id") == written


def _pack_of(file: Path, home: Home) -> EdgePacked:
    """Return the pack: by the contract beside the log, else by what its first line names."""
    if file.with_name(score.CONTRACT).is_file():
        return pack_in(file.parent, home)
    try:
        with file.open("rb") as opened:
            named = json.loads(opened.readline())["prev"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        named = ""
    pack = entry_of(named, home)
    if pack is None:
        raise RefusedError(
            "its first line names no pack of this factory",
            where=str(file),
            remedy=f"put {score.CONTRACT} of the pack beside it, or ask the factory that packed it",
        )
    return pack
