"""What all servers of a home saw of a roll-out, in one file, and the decision by it.

The file makes the comparison survive the end of a server, and makes one comparison of several
servers. What was seen since it was last written is lost by a crash, and nothing rests on that. If
the file is lost, the comparison begins anew; the ledger alone says whether the roll-out goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from factory_assets.execution.rollout import Ending, Rollout, end_rollout
from factory_assets.execution.rollout_evidence import (
    Batch,
    LabelledLosses,
    RolloutEvidence,
    judge,
    utc_now,
)
from factory_assets.ml.performance.betting import MeanEvidence
from factory_assets.ml.performance.sequential import (
    Comparison,
    IndependentComparison,
    RateComparison,
)
from factory_resources.home.home import Home
from factory_resources.ledger.rollout_entries import RolloutCounts

_LOG = logging.getLogger("factory.serve")

C = TypeVar("C", bound=Comparison)


def share(
    rollout: Rollout, batch: Batch, home: Home, labelled: LabelledLosses | None = None
) -> Ending | None:
    """Add what a server saw to what all saw, and end the roll-out if that is to be.

    Args:
        labelled: returns the losses of answers whose truth is known.

    Returns:
        How this call ended the roll-out; None if it goes on, or another process ended it.

    Raises:
        StorageError: the home or the ledger cannot be written.
    """
    started = rollout.started
    with home.lock(f"{started.pipeline}.rollout"):
        path = rollout_file(rollout, home)
        evidence = read_evidence(path)
        if batch:
            evidence = evidence.with_batch(batch)
            home.write_atomic(path, _text(evidence))
        # What is seen already counts, also if the truth of no answer can be read.
        if labelled and not evidence.worse():
            versions = (started.version, started.champion)
            known = evidence.with_losses(*labelled(started.pipeline, versions, started.time))
            if known != evidence:
                evidence = known
                home.write_atomic(path, _text(evidence))
        ending = judge(evidence, started, utc_now())
        return ending if ending and finish(rollout, ending, home) else None


def finish(rollout: Rollout, ending: Ending, home: Home) -> bool:
    """End a roll-out, and forget what was seen; return whether this call ended it.

    Raises:
        StorageError: the ledger cannot be written; nothing has changed.
    """
    if not end_rollout(rollout, ending, home):
        return False
    for path in _folder(home).glob(f"{rollout.started.pipeline}.*.json"):
        path.unlink(missing_ok=True)
    return True


def rollout_file(rollout: Rollout, home: Home) -> Path:
    """Return the file of a roll-out, which is named by the entry that began it."""
    return _folder(home) / f"{rollout.started.pipeline}.{rollout.number}.json"


def _folder(home: Home) -> Path:
    return home.path / "rollouts"


def read_evidence(path: Path) -> RolloutEvidence:
    """Return what was seen so far; nothing if the file is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
        return RolloutEvidence(
            counts=RolloutCounts(**found["counts"]),
            first=tuple(found["first"]),
            limit=found["limit"],
            failed=_comparison(RateComparison, found["failed"]),
            slow=_comparison(RateComparison, found["slow"]),
            loss=_comparison(IndependentComparison, found["loss"]),
            judged=tuple(found["judged"]),
        )
    except FileNotFoundError:
        return RolloutEvidence()
    except (OSError, ValueError, KeyError, TypeError) as error:
        _LOG.error("%s cannot be read, so the comparison begins anew: %s", path.name, error)
        return RolloutEvidence()


def _text(evidence: RolloutEvidence) -> bytes:
    content = {name: getattr(evidence, name) for name in ("first", "limit", "judged")}
    content["counts"] = evidence.counts.model_dump()
    for name in ("failed", "slow", "loss"):
        content[name] = asdict(getattr(evidence, name))
    return json.dumps(content).encode()


def _comparison(kind: type[C], found: Mapping[str, Any]) -> C:
    evidence: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found["evidence"].items()
    }
    return kind(MeanEvidence(**evidence))
