"""A home with two versions whose declaration and data have hostile names and values."""

import copy
from pathlib import Path

import pytest

from tests.approvals import Factory, make_factory
from tests.hostile import BREAKING, IMPORT, MARKDOWN, READ, REVERSED, SCRIPT
from tests.pipelines import APPLES, declare, enter, write_governance

ANSWERS = {
    "annex-iv.1a": f"To sort apples {SCRIPT} {READ}",
    "annex-iv.4": f"They count what is sorted wrongly:\n\n- one by one,\n{'- again, ' * 80}at last",
    "annex-iv.7": f"None was applied {MARKDOWN}",
    "article.9": "See the risk register",
}

RISK = {
    "id": "bad-apple",
    "what": f"A bad apple is sold {IMPORT}",
    "affected": "Whoever eats it",
    "likelihood": "remote",
    "severity": "minor",
    "measure": "A person looks at each tenth apple",
    "residual": f"Nine of ten are not looked at, {'nor the next ten, ' * 40}nor the last",
}

COLOURS = (SCRIPT, READ, REVERSED, "a | b, *c*")


def make_home(root: Path) -> Factory:
    """Make a home: jane approved version 1 and signed answers about it; version 2 waits."""
    factory = make_factory(root)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        factory.approve()
        write_governance(factory.defs / "apples", statements=ANSWERS, risks=[RISK])
        code, text = factory.factory("governance", "sign", "apples", by="jane")
        assert code == 0, text
        _write_hostile(factory.defs / "apples")
        attributes = copy.deepcopy(APPLES)
        attributes["purpose"] = f"{SCRIPT} {IMPORT} {READ} {BREAKING} " + "x" * 10_000
        attributes["train"]["seed"] = 8
        attributes["evaluate"] |= {
            "slices": ["colour"],
            "protected": ["colour"],
            "folds": 2,
            "robustness": {"repeats": 1},
        }
        attributes["deploy"] = {"approval": {"signatures": 1}}
        declare(factory.defs / "apples", attributes)
        factory.run()
    return factory


def _write_hostile(folder: Path) -> None:
    import csv

    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "colour", "label"])
        for i in range(1, 401):
            label = "good" if i % 7 > 3 else "bad"
            writer.writerow([i % 7 + i / 100, COLOURS[i % 4], label])
