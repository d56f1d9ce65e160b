"""An approval: how long until a person is asked for the passphrase, and what signing adds.

    python -m benchmarks.approvals

What a deployment does anyway, with approval or without, is not counted: exporting, and MLflow's
alias.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import FACTORY, Result, measure
from factory_assets.declarations.loader import DEFS, load_pipeline
from factory_assets.execution.decisions import enter_decision, sign_decision, waiting_candidate
from factory_assets.execution.ledger_entries import champion_entry
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.personal_keys import create_key, load_key
from factory_resources.tracking.registry import Registry

_PIPELINE = "tumour_diagnosis"

_TO_THE_PROMPT = """
import sys
from factory_assets.cli.main import main
from factory_resources.security import personal_keys
personal_keys.load_key = lambda *_: sys.exit(0)
main(["approve", "tumour_diagnosis", "--reason", "a benchmark", "--key", "none"])
"""


def run(rounds: int = 5) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        places = {"FACTORY_HOME": str(root / "home"), "FACTORY_DEFS": str(root / "defs")}
        (root / "defs").mkdir()
        public = create_key(root / "jane", b"passphrase")
        people = f"jane:\n  roles: [approver]\n  keys: [{public}]\n"
        (root / "defs" / "people.yaml").write_text(people)
        measure([FACTORY, "run", _PIPELINE], places)
        prompts = [measure([sys.executable, "-c", _TO_THE_PROMPT], places) for _ in range(rounds)]
        fastest = min(prompts, key=lambda used: used.wall)
        with patch.dict(os.environ, places):
            added = _added(Home(root / "home"), root / "jane")
    return [
        Result(
            "factory approve to the prompt",
            f"{fastest.wall:.2f} s ({fastest.cpu:.2f} CPU s)",
            "<= .8 s",
            fastest.wall <= 0.8,
        ),
        Result("signing adds to a deployment", f"{added * 1e3:.1f} ms", "<= 20 ms", added <= 0.02),
    ]


def _added(home: Home, key: Path) -> float:
    """Return the seconds of signing and entering an approval, less those of a plain entry."""
    pipeline = load_pipeline(DEFS / _PIPELINE)
    unlocked = load_key(key, lambda: b"passphrase")

    waiting = waiting_candidate(pipeline, 1, home)

    def approve() -> None:
        content = sign_decision(waiting, "approved", "good", unlocked, "0" * 64, home)
        enter_decision(pipeline, 1, "approved", content, home)

    deployed = waiting.deployed
    # Every deployment takes a lock, and imports what that needs.
    with home.lock("benchmark"):
        pass
    with patch.object(Registry, "mirror"):
        signed = _seconds(approve)
    champion = champion_entry(deployed.value, deployed.record)
    return signed - _seconds(lambda: Ledger(home).append([champion]))


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, result.target, sep=": ")
