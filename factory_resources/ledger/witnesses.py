"""Checkpoints for witnesses, and what they have cosigned.

A witness is asked by files (C2SP tlog-witness, add-checkpoint), so that it may have no network. How
it checks and signs belongs in `factory_verify`.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from factory_resources.errors import UnknownNameError
from factory_resources.ledger.factory_verify import (
    InvalidError,
    LogCheckpoint,
    SignedNote,
    TrustPolicy,
    VerifierKey,
    Witnessed,
    format_base64,
    signature_line,
)
from factory_resources.ledger.log import Log, changed_error

_CLOCK_SKEW = 300
"""Seconds by which two clocks may differ."""


@dataclass(frozen=True)
class WitnessState:
    """How much of a log enough witnesses have seen."""

    size: int
    """Entries in the log."""
    seen: int
    """Entries that they have seen."""
    time: int
    """When they cosigned last, POSIX seconds; 0 if they never did."""


def witness_state(log: Log, policy: TrustPolicy, required: int) -> WitnessState:
    """Return how much of the log the policy's quorum has seen.

    Args:
        required: how many members of the quorum, such as organisations, must have seen it.
    """
    witnessed = Witnessed(policy)
    with reading_stored():
        # The newest one that enough have seen decides, so that nearly always one is verified.
        for size, content in reversed(log.cosigned()):
            note = SignedNote.parse(content.encode())
            seen = [name for name, key in policy.witnesses if note.time_of(key) is not None]
            if len(policy.members(seen) & _quorum(policy)) >= required:
                witnessed.see(note, size)
                if witnessed.size:
                    break
    return WitnessState(log.size, witnessed.size, witnessed.time)


@contextmanager
def reading_stored() -> Iterator[None]:
    """Read checkpoints that the ledger has stored.

    Raises:
        StorageError: one was changed.
    """
    try:
        yield
    except InvalidError as error:
        raise changed_error(f"a stored checkpoint cannot be read ({error})") from error


def covering_checkpoint(log: Log, entries: int, policy: TrustPolicy | None) -> tuple[int, str]:
    """Return the newest checkpoint over at least so many entries that meets the policy.

    If none does, the newest that was cosigned at all, else that of the log alone.
    """
    cosigned: list[tuple[int, str]] = []
    with reading_stored():
        for size, content in reversed(log.cosigned()):
            note = SignedNote.parse(content.encode())
            if size < entries or len(note.signatures) < 2:
                continue
            cosigned.append((size, content))
            known = policy.witnesses if policy else ()
            seen = [name for name, key in known if note.time_of(key) is not None]
            if policy is None or policy.is_met(seen):
                return size, content
    return cosigned[0] if cosigned else log.signed


def _quorum(policy: TrustPolicy) -> frozenset[str]:
    """Return the members of the quorum's group; a quorum that is one witness is its own member."""
    groups = {name: members for name, _, members in policy.groups}
    return frozenset(groups.get(policy.quorum or "", (policy.quorum or "",)))


def witness_named(policy: TrustPolicy, name: str | None) -> tuple[str, VerifierKey]:
    """Return the witness of this name; without a name, the only one.

    Raises:
        UnknownNameError: there is no such witness, or there are several.
    """
    known = dict(policy.witnesses)
    if name is None and len(known) == 1:
        [name] = known
    if name is None or name not in known:
        what = "there are several witnesses" if name is None else f"there is no witness {name!r}"
        names = ", ".join(known) or "none"
        raise UnknownNameError(what, remedy=f"name one of the policy with --for: {names}")
    return name, known[name]


def request(log: Log, witness: VerifierKey, old: int | None = None) -> tuple[int, bytes]:
    """Return the size of the latest checkpoint, and the request to cosign it.

    The checkpoint is stored, so that cosignatures can be added to exactly this one.

    Args:
        old: how many entries the witness says that it has seen; None for as many as it cosigned.

    Raises:
        UnknownNameError: the ledger has fewer entries than that.
    """
    size, note = log.signed
    if old is None:
        old = _cosigned_by(log, witness)
    elif old > size:
        raise UnknownNameError(
            f"the ledger has {size:,} entries, and not {old:,}",
            remedy="give the number that the witness names; if it has seen more entries than there "
            "are, the ledger is older than what it saw: restore it from a newer backup",
        )
    stored = dict(log.cosigned()).get(size)
    if stored is None:
        # Others may have stored it meanwhile, cosigned already.
        log.store_checkpoint(size, lambda known: known or note)
    return size, extension(log, old, size, stored or note)


def _cosigned_by(log: Log, witness: VerifierKey) -> int:
    """Return how many entries a witness has cosigned, as far as this ledger was told."""
    with reading_stored():
        # The newest is nearly always the first that is looked at, however many there are.
        seen = (
            before
            for before, cosigned in reversed(log.cosigned())
            if SignedNote.parse(cosigned.encode()).time_of(witness) is not None
        )
        return next(seen, 0)


def extension(log: Log, old: int, size: int, note: str) -> bytes:
    """Return a checkpoint with the proof that it extends an older one.

    It has the form of the request `add-checkpoint` of tlog-witness.

    Args:
        old: the number of entries of the older checkpoint; 0 if there is none.
        size: the number of entries of the checkpoint `note`.
    """
    proof = log.tree.consistency(old, size) if 0 < old < size else []
    return "\n".join([f"old {old}", *map(format_base64, proof), "", note]).encode()


def add_cosignatures(log: Log, content: bytes, policy: TrustPolicy) -> list[str]:
    """Store the cosignatures of a checkpoint by witnesses of the policy; return their names.

    Raises:
        InvalidError: it is not a checkpoint of this log, or has no cosignature of a known witness.
    """
    note = SignedNote.parse(content)
    size = LogCheckpoint.parse(note.text).size
    stored = dict(log.cosigned()).get(size)
    if stored is None or SignedNote.parse(stored.encode()).text != note.text:
        raise InvalidError("is not a checkpoint that this ledger has written for a witness")
    found = [(name, key) for name, key in policy.witnesses if note.time_of(key) is not None]
    if not found:
        raise InvalidError("has no cosignature of a witness of the policy")
    latest = time.time() + _CLOCK_SKEW
    if ahead := [name for name, key in found if (note.time_of(key) or 0) > latest]:
        # Otherwise nobody would notice when the witness looks no more.
        whose = ", ".join(ahead)
        raise InvalidError(f"is cosigned in the future: the clock of {whose}, or ours, is wrong")
    known = {(key.name, key.key_id) for _, key in found}
    new = [one for one in note.signatures if (one[0], one[1][:4]) in known]
    # Others may have added theirs since it was read.
    log.store_checkpoint(size, lambda latest: _with_signatures(latest or stored, new))
    return [name for name, _ in found]


def _with_signatures(stored: str, new: Iterable[tuple[str, bytes]]) -> str:
    """Return a stored checkpoint with more signatures."""
    before = SignedNote.parse(stored.encode())
    kept = dict[tuple[str, bytes], bytes]()
    for signer, signature in (*before.signatures, *new):
        who = signer, signature[:4]
        # Behind the id of the key is the time: of what one key has signed, the latest is kept. A
        # witness cosigns one checkpoint again and again while nothing is appended.
        kept[who] = max(kept.get(who, b""), signature)
    lines = [signature_line(signer, signature) for (signer, _), signature in kept.items()]
    return f"{before.text}\n{''.join(lines)}"
