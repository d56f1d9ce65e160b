"""Which pack gave an answer on another machine, and whether its log has come home."""

from collections.abc import Iterator
from datetime import UTC, datetime

from factory_assets.audit.trace.answer.report import EdgeFact
from factory_assets.serving.edge.carried_log import CarriedAnswer
from factory_assets.serving.edge.logged_answers import CALLER
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entry import entry_time
from factory_resources.ledger.ledger import Ledger, entry_in, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.prediction_entries import (
    EdgeLogReceived,
    EdgePacked,
    PredictionsErased,
    PredictionsRemoved,
)
from factory_resources.prediction_log.archive import archive_folder, removed_days
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.erasing import erased_error
from factory_resources.prediction_log.ids import day_of, parse, request_of, time_of
from factory_resources.prediction_log.prediction_log import PredictionLog

_MARKS = (b'"kind":"edge_pack"', b'"kind":"edge_log"')


def received_fact(log: Log, caller: str, block: int | None) -> EdgeFact | None:
    """Return the pack of an answer whose log came home; None if the ledger has no such pack.

    Args:
        caller: who asked, as the answer's record says: it begins with the pack.
        block: the number of the entry of the answer's block, which that of the log follows.
    """
    shown = caller.removeprefix(CALLER)
    for number, entry in edge_entries(log, (block or 0) + 1):
        if isinstance(entry, EdgeLogReceived) and entry.pack.startswith(shown):
            packed = latest_in(log, EdgePacked, EdgePacked.subject_of(pack=entry.pack))
            if packed:
                return _fact(*packed, received=(number, entry))
    for number, entry in edge_entries(log, 0):
        if isinstance(entry, EdgePacked) and entry.pack.startswith(shown):
            return _fact(number, entry)
    return None


def carried_fact(log: Log | None, carried: CarriedAnswer) -> EdgeFact:
    """Return the pack of an answer that was read from a file.

    Args:
        log: None if there is no ledger.
    """
    pack = carried.pack
    found = latest_in(log, EdgePacked, EdgePacked.subject_of(pack=pack.pack)) if log else None
    fact = _fact(*(found or (None, pack)))
    received = EdgeLogReceived.subject_of(pack=pack.pack)
    known = latest_in(log, EdgeLogReceived, received) if log else None
    return fact.model_copy(
        update={
            "received": known[1].time if known else None,
            "received_entry": known[0] if known else None,
            "file": carried.log.sha256,
            "line": carried.line,
            "findings": carried.log.findings,
        }
    )


def _fact(
    number: int | None, pack: EdgePacked, received: tuple[int, EdgeLogReceived] | None = None
) -> EdgeFact:
    entry = received[1] if received else None
    return EdgeFact(
        pack=pack.pack,
        entry=number,
        packed=pack.time,
        key=pack.key,
        graph=pack.graph,
        program=pack.program,
        received=entry.time if entry else None,
        received_entry=received[0] if received else None,
        file=entry.file if entry else None,
        line=None,
        findings=entry.findings if entry else (),
    )


def missing_answer(written: str, home: Home) -> UnknownNameError:
    """Return the error that says why no answer with an id is here, as far as can be told."""
    identifier = parse(written)
    if found := _erased(identifier, home):
        return erased_error(written, *found)
    time = entry_time(datetime.fromtimestamp(time_of(identifier) / 1e6, UTC))
    what, remedies = f"there is no prediction {written} in the log of this factory", list[str]()
    for pipeline, reason in _removed(identifier, home):
        what += f"; answers of {pipeline} of that day were removed: {reason}"
    if packs := [*_packs_out(time, home)]:
        names = ", ".join(
            f"{pack.pipeline}@{pack.version} in pack {pack.pack[:12]} of {pack.time[:10]}"
            for pack in packs
        )
        remedies.append(
            f"a pack may have given it whose log has not come home since then ({names}): "
            f"factory ingest-log FOLDER, or factory trace {written} --edge-log FILE"
        )
    if not remedies:
        remedies.append(f"factory answers prove {written} --out proof.json says if there was one")
    return UnknownNameError(what, remedy="; ".join(remedies))


def _erased(identifier: bytes, home: Home) -> tuple[int, PredictionsErased] | None:
    # Opening the database would make it.
    if not has_store(home):
        return None
    request, _ = request_of(identifier)
    with PredictionLog(home) as log:
        return log.erased([request]).get(request)


def _removed(identifier: bytes, home: Home) -> Iterator[tuple[str, str]]:
    """Yield the pipelines whose answers of the day of an id were removed, each with the reason."""
    folder, day = archive_folder(home), day_of(identifier)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if day in removed_days(home, path.name):
            subject = PredictionsRemoved.subject_of(pipeline=path.name, day=day.isoformat())
            entry = Ledger(home).latest(PredictionsRemoved, subject)
            yield path.name, entry[1].reason if entry else "the ledger does not say why"


def _packs_out(time: str, home: Home) -> Iterator[EdgePacked]:
    """Yield the packs written before a moment whose logs have not come home after it."""
    if not Ledger(home).exists:
        return
    with Ledger(home).reading() as log:
        entries = [entry for _, entry in edge_entries(log, 0)]
    home_since = {
        entry.pack for entry in entries if isinstance(entry, EdgeLogReceived) and entry.time > time
    }
    for entry in entries:
        if isinstance(entry, EdgePacked) and entry.time <= time and entry.pack not in home_since:
            yield entry


def edge_entries(log: Log, start: int) -> Iterator[tuple[int, EdgePacked | EdgeLogReceived]]:
    """Yield the entries about packs and their logs, from a number on."""
    for number, body in log.bodies(start):
        if any(mark in body for mark in _MARKS):
            entry = entry_in(log, number)
            if isinstance(entry, EdgePacked | EdgeLogReceived):
                yield number, entry
