"""What people are shown of the ledger: entry numbers, and how much of it witnesses have seen."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from factory_assets.declarations.settings import load_settings
from factory_resources.durations import seconds_of
from factory_resources.home.home import Home
from factory_resources.ledger.entries import StageComputed
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.record import Record

if TYPE_CHECKING:
    from factory_resources.ledger.witnesses import WitnessState


@dataclass(frozen=True)
class LedgerState:
    """How much of the ledger the declared witnesses have seen."""

    witnesses: "WitnessState"
    every: timedelta
    """How old the last cosignature may be."""

    def age(self, now: datetime) -> timedelta | None:
        """Return the age of the last cosignature; None if there is none."""
        if not self.witnesses.time:
            return None
        return now - datetime.fromtimestamp(self.witnesses.time, UTC)

    def is_overdue(self, now: datetime) -> bool:
        age = self.age(now)
        return age is None or age > self.every

    def text(self, now: datetime) -> str:
        """Return it in one line."""
        age, seen, size = self.age(now), self.witnesses.seen, self.witnesses.size
        if age is None:
            return f"no witness has seen its {size:,} entries"
        return f"a witness has seen {seen:,} of {size:,} entries, last {_ago(age)} ago"


def ledger_state(home: Home) -> LedgerState | None:
    """Return the state of the ledger; None if there is none, or no witness is declared."""
    declared, ledger = load_settings(), Ledger(home)
    witness = declared.settings.witness if declared else None
    if declared is None or witness is None or declared.policy is None or not ledger.exists:
        return None
    from factory_resources.ledger.witnesses import witness_state

    with ledger.reading() as log:
        state = witness_state(log, declared.policy, witness.required)
    return LedgerState(state, timedelta(seconds=seconds_of(witness.every)))


def ledger_entry(record: Record, home: Home) -> dict[str, int | str]:
    """Return the number of a record's entry, and what witnesses have seen, by title."""
    ledger = Ledger(home)
    found = ledger.latest(StageComputed, record.name) if ledger.exists else None
    if found is None:
        return {}
    state = ledger_state(home)
    if state is None:
        return {"ledger entry": found[0], "seen by a witness": "no witness is declared"}
    age = state.age(datetime.now(UTC))
    return {
        "ledger entry": found[0],
        "seen by a witness": "yes" if found[0] < state.witnesses.seen else "not yet",
        "last cosignature": "none yet" if age is None else f"{_ago(age)} ago",
    }


def _ago(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
