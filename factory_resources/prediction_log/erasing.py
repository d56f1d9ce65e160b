"""Erase single answers from the archive, the database, and the free space of the database.

An interrupted step is repeated: the ledger first gets what is erased, then it is deleted. The
hashes of the records stay, so that all other answers can be proven as before. Which answers are
erased, and why, is decided in `factory_assets.erasure`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home
from factory_resources.prediction_log.archive import (
    ArchivedFile,
    archive_folder,
    archiving_paused,
    files_of,
)
from factory_resources.prediction_log.archive_entries import erased_entries
from factory_resources.prediction_log.archive_files import (
    finish_rewriting,
    leaves_of,
    stage,
    write_rows,
)
from factory_resources.prediction_log.collector import collect
from factory_resources.prediction_log.database import in_batches, placeholders
from factory_resources.prediction_log.ids import day_of, first_of, parse, request_of
from factory_resources.prediction_log.lookup import PredictionLookup
from factory_resources.prediction_log.record import decode, decode_head
from factory_resources.prediction_log.store import PredictionStore

if TYPE_CHECKING:
    import pyarrow

    from factory_resources.ledger.entries import Kind
    from factory_resources.ledger.prediction_entries import PredictionsErased

_REQUESTS_PER_ENTRY = 600
"""Each may be of another block."""

_IDS_PER_QUERY = 500

_LATE = timedelta(days=1)
"""A shadow computes an answer soon after it was given, at the latest on the day after."""

Place = tuple[bytes, str, int]
"""The id of a request, its block, and the number of its leaf."""


def erase_answers(
    lookup: PredictionLookup, pipeline: str, requests: Collection[bytes], erasure: str
) -> int:
    """Erase requests of a pipeline with all their rows, and what shadows computed for them.

    Args:
        erasure: the UUID of the erasure, which the ledger names.

    Returns:
        How many of these requests the entries of this erasure name, also those of an earlier call.

    Raises:
        RefusedError: one of them is in a part of the journal that a server still writes.
        StorageError: a disk or database cannot be read or written; done again, it is finished.
    """
    wanted = frozenset(requests)
    if not wanted:
        return 0
    home, store = lookup.home, lookup.store
    collect(home, store)
    days = {day for one in map(day_of, wanted) for day in (one, one + _LATE)}
    with archiving_paused(home):
        _require_collected(lookup, pipeline, wanted)
        for day in sorted(days):
            finish_rewriting(home, pipeline, day)
            for file in files_of(home, day, pipeline):
                _erase_in_file(home, pipeline, day, file, wanted, erasure)
        _erase_in_database(home, store, pipeline, wanted, erasure)
        store.scrub("prediction")
    entries = [entry for day in days for _, entry in erased_entries(home, pipeline, day)]
    return len(wanted & _named(entries, erasure))


def _named(entries: "Sequence[PredictionsErased]", erasure: str) -> frozenset[bytes]:
    return frozenset(
        request for entry in entries if entry.erasure == erasure for request in entry.requests
    )


def _require_collected(lookup: PredictionLookup, pipeline: str, wanted: frozenset[bytes]) -> None:
    waiting = sum(
        request in wanted or _answer_of(payload) in wanted
        for request, payload in lookup.waiting_records(pipeline)
    )
    if waiting:
        raise RefusedError(
            f"a server has written {waiting:,} of the answers to {pipeline} just now, and still "
            "writes that part of the journal",
            remedy="try again in half a minute, or stop the server first",
        )


def _answer_of(payload: bytes) -> bytes | None:
    """Return the id of the request that a shadow computed; None if the record is not a shadow's."""
    if decode_head(payload).kind != "shadow":
        return None
    output = msgspec.json.decode(decode(payload).output, type=dict[str, Any])
    return request_of(parse(output["shadow_of"]))[0]


def _erase_in_file(
    home: Home,
    pipeline: str,
    day: date,
    file: ArchivedFile,
    wanted: frozenset[bytes],
    erasure: str,
) -> None:
    """Write a file of the archive again without the wanted requests, if it has any of them."""
    import pyarrow as pa

    rows = file.rows()
    found = _places_of(rows, wanted)
    if not found:
        return
    erased = frozenset(number for _, number in found)
    rest = rows.filter(pa.array([n not in erased for n in range(rows.num_rows)]))
    places = [place for place, _ in found]
    entries: list[Kind] = [*_entries(pipeline, day, places, erasure, file_sha256(file.path))]
    with home.scratch() as scratch:
        if rest.num_rows:
            written = write_rows(rest, leaves_of(rest), scratch / "rest.parquet")
            entries.append(stage(home, pipeline, day, written))
        enter_erased(home, entries)
    finish_rewriting(home, pipeline, day)


def _places_of(rows: "pyarrow.Table", wanted: frozenset[bytes]) -> list[tuple[Place, int]]:
    """Return the places of requests, and what shadows computed for them, with their row numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids, records = rows.column("id"), rows.column("record")
    asked = pc.is_in(ids, pa.array(sorted(wanted), ids.type))
    perhaps = pc.or_(asked, pc.match_substring(records, "shadow_of"))
    numbers = pc.indices_nonzero(perhaps).to_pylist()
    found = []
    for number, row in zip(numbers, rows.filter(perhaps).to_pylist(), strict=True):
        if row["id"] in wanted or _answer_of(row["record"]) in wanted:
            found.append(((row["id"], row["block"], row["leaf"]), number))
    return found


def _erase_in_database(
    home: Home, store: PredictionStore, pipeline: str, wanted: frozenset[bytes], erasure: str
) -> None:
    shadows = [
        request
        for request, payload in _without_rows(store, pipeline, wanted)
        if _answer_of(payload) in wanted
    ]
    places = _stored(store, pipeline, {*wanted, *shadows})
    by_day: dict[date, list[Place]] = {}
    for place in places:
        by_day.setdefault(day_of(place[0]), []).append(place)
    entries: list[Kind] = []
    for day, of_day in by_day.items():
        # A process may have been killed after it had entered these, and before it deleted them.
        known = {one for _, entry in erased_entries(home, pipeline, day) for one in entry.requests}
        new = [place for place in of_day if place[0] not in known]
        entries += _entries(pipeline, day, new, erasure)
    if entries:
        enter_erased(home, entries)
    delete_answers(store, pipeline, [request for request, _, _ in places])


def _without_rows(
    store: PredictionStore, pipeline: str, wanted: frozenset[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the requests without rows that may be shadows of these requests."""
    stop = first_of(day_of(max(wanted)) + 2 * _LATE)
    query = (
        "SELECT id, record FROM prediction WHERE id >= ? AND id < ? AND pipeline = ? AND rows = 0"
    )
    for rows in store.batches(query, [min(wanted), stop, pipeline]):
        yield from rows


def _stored(store: PredictionStore, pipeline: str, requests: Collection[bytes]) -> list[Place]:
    """Return the places of those of these requests that the database has."""
    found = list[Place]()
    for part in in_batches(requests, _IDS_PER_QUERY):
        found += store.run(
            "SELECT id, identity, leaf FROM prediction JOIN block ON block.number = "
            f"prediction.block WHERE pipeline = ? AND id IN ({placeholders(part)}) ORDER BY id",
            [pipeline, *part],
        )
    return found


def delete_answers(store: PredictionStore, pipeline: str, requests: Collection[bytes]) -> None:
    """Delete erased requests from the database; the hashes of their leaves stay."""
    if not requests:
        return
    with store.writing():
        for part in in_batches(requests, _IDS_PER_QUERY):
            store.run(
                f"DELETE FROM prediction WHERE pipeline = ? AND id IN ({placeholders(part)})",
                [pipeline, *part],
            )


def _entries(
    pipeline: str, day: date, places: Sequence[Place], erasure: str, file: str | None = None
) -> "Iterator[PredictionsErased]":
    from factory_resources.ledger.prediction_entries import PredictionsErased

    for start in range(0, len(places), _REQUESTS_PER_ENTRY):
        blocks: dict[str, dict[str, int]] = {}
        part = places[start : start + _REQUESTS_PER_ENTRY]
        for request, block, leaf in part:
            blocks.setdefault(block, {})[request.hex()] = leaf
        yield PredictionsErased(
            subject=PredictionsErased.subject_of(pipeline=pipeline, day=day.isoformat()),
            pipeline=pipeline,
            day=day.isoformat(),
            count=len(part),
            erasure=erasure,
            blocks=blocks,
            file=file,
        )


def enter_erased(home: Home, entries: "Sequence[Kind]") -> None:
    """Append the entries of erased requests and of the files that replace others, all or none."""
    from factory_resources.ledger.ledger import Ledger

    Ledger(home).append(entries)


def find_erased(
    home: Home, store: PredictionStore, requests: Collection[bytes]
) -> "Mapping[bytes, tuple[int, PredictionsErased]]":
    """Return those of these requests that were erased, each with number and entry."""
    from factory_resources.ledger.ledger import Ledger

    found: dict[bytes, tuple[int, PredictionsErased]] = {}
    if not requests or not Ledger(home).exists:
        return found
    counted = {name for (name,) in store.run("SELECT DISTINCT pipeline FROM answer_count")}
    pipelines = counted.union(path.name for path in archive_folder(home).glob("*"))
    wanted = frozenset(requests)
    for day in {day_of(request) for request in wanted}:
        for pipeline in pipelines:
            for number, entry in erased_entries(home, pipeline, day):
                found |= dict.fromkeys(wanted & entry.requests, (number, entry))
    return found


def erased_error(written: str, number: int, entry: "PredictionsErased") -> UnknownNameError:
    """Return the error that says that an answer was erased.

    Args:
        written: its id, as the user gave it.
    """
    return UnknownNameError(
        f"{written} was erased on {entry.time[:10]} (entry {number})",
        remedy="nothing shows it any more; the entry names the erasure that it was part of",
    )
