"""Which pack a log is of, and what a line of it is in the prediction log.

What a log proves is decided in `chain`; bringing one home belongs in `receive`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from factory_assets.serving.edge import score
from factory_assets.serving.edge.chain import LogLine
from factory_assets.serving.edge.score import plain_value
from factory_resources.errors import RefusedError, StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import EdgePacked
from factory_resources.prediction_log.logged_rows import (
    LOGGED_REGIONS,
    logged_outputs,
    logged_rows,
)
from factory_resources.prediction_log.record import PredictionRecord

PROGRAM = "score.py"
"""The file of a pack that scores."""

CALLER, SHOWN = "edge ", 12
"""The caller of an answer that came home is this word and so many characters of the pack."""

NO_ANSWER = (KeyError, TypeError, AttributeError, ValueError, RecursionError)
"""Raised by a line that is not an answer of the program."""

TIMES = 4_102_444_800_000_000
"""Microseconds from 1970 to 2100: the holder of a key may write anything."""


def pack_in(folder: Path, home: Home) -> EdgePacked:
    """Return the pack that this home wrote into a folder.

    Raises:
        RefusedError: the pack is not of this home.
        StorageError: the folder has none, or it cannot be read.
    """
    path = folder / score.CONTRACT
    try:
        identity = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StorageError(
            f"cannot be read ({error.strerror})",
            where=str(path),
            remedy="name the folder of a pack",
        ) from error
    pack = entry_of(identity, home)
    if pack is None:
        raise RefusedError(
            f"the ledger has no pack with this {score.CONTRACT}",
            where=str(folder),
            remedy="bring the log to the factory that packed it, with its files unchanged",
        )
    return pack


def entry_of(identity: str, home: Home) -> EdgePacked | None:
    """Return what the ledger says of a pack; None if this home did not write it."""
    ledger = Ledger(home)
    subject = EdgePacked.subject_of(pack=identity)
    found = ledger.latest(EdgePacked, subject) if ledger.exists else None
    return found[1] if found else None


def pack_as_it_says(folder: Path) -> EdgePacked:
    """Return a pack as its own files describe it, whoever wrote them.

    Raises:
        StorageError: they cannot be read, or are not those of a pack.
    """
    path = folder / score.CONTRACT
    try:
        content = path.read_bytes()
        said, identity = json.loads(content), sha256(content).hexdigest()
        return EdgePacked(
            subject=EdgePacked.subject_of(pack=identity),
            time=said["packed"],
            pack=identity,
            pipeline=said["pipeline"],
            version=said["version"],
            graph=said["graph"],
            program=sha256((folder / PROGRAM).read_bytes()).hexdigest(),
            key=said["key"],
        )
    except OSError as error:
        what = f"{Path(error.filename).name} cannot be read ({error.strerror})"
        raise StorageError(what, where=str(folder), remedy="name the folder of a pack") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = "this is not the contract of a pack"
        raise StorageError(what, where=str(path), remedy="name the folder of a pack") from error


def answer_record(line: LogLine, pack: EdgePacked) -> PredictionRecord:
    """Return what is logged of an answer.

    Raises:
        NO_ANSWER: the line is not an answer of the program.
    """
    content = line.content
    if "rules" in content:
        output = {"predictions": [], "rows": [], "refused": [[0, [*map(str, content["rules"])]]]}
    else:
        output = {"predictions": [content["prediction"]]}
        if "probabilities" in content:
            output["probabilities"] = [[*content["probabilities"].values()]]
        for name, logged in LOGGED_REGIONS.items():
            if name in content:
                output[logged] = [content[name]]
    asked, duration = content["time"], content["duration"]
    if not all(type(number) is int and 0 <= number < TIMES for number in (asked, duration)):
        raise ValueError("not a time")
    record = PredictionRecord(
        time=asked,
        duration=duration,
        pipeline=pack.pipeline,
        version=pack.version,
        caller=f"{CALLER}{pack.pack[:SHOWN]}",
        protocol="edge",
        kind="answer",
        status=200,
        rows=1,
        input=json.dumps([_plain(content["input"])]).encode(),
        output=json.dumps(output).encode(),
    )
    _require_readable(record)
    return record


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a logged row as packs write it now: older ones wrote what is no JSON as it came."""
    return {
        name: value if isinstance(value, dict) and "commitment" in value else plain_value(value)
        for name, value in row.items()
    }


def _require_readable(record: PredictionRecord) -> None:
    """Refuse what later readers could not read: nobody can take it out of the log again."""
    try:
        logged_rows(record)
        logged_outputs(record)
    except StorageError as error:
        raise ValueError("not a row") from error
