"""Forests, and `auto`, whose splits lower the entropy or Gini's impurity, judged on new rows.

    python -m benchmarks.split_criterion [forests] [auto]

Forests alone have the settings of `auto` for few rows. Their tables are simulated, 3,000 rows to
learn from and 10,000 to judge of each, and those of classes of `benchmarks.tolerance`, on which
`auto` is judged as there. Its network, which has no such splits, is left out.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Literal, get_args

import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.interactions import rules, smooth
from benchmarks.tolerance import MOST_NEW, ROWS, classes, compare, has_rows, mean_and_error
from factory_assets.ml.models.portfolio.defaults import FOREST_MAX_FEATURES, TREES, members_of
from factory_assets.spec.models import Auto, Forest, MemberSpec, Network

Criterion = Literal["gini", "entropy"]

DRAWN, DRAWN_ROWS, DRAWN_NEW = 12, 3_000, 10_000

SURE = 1e-3
"""No probability is surer than this: trees of pure leaves may all agree and be wrong."""

KINDS: dict[str, Callable[..., RandomForestClassifier | ExtraTreesClassifier]] = {
    "random_forest": partial(RandomForestClassifier, TREES, max_features=FOREST_MAX_FEATURES),
    "extra_trees": partial(ExtraTreesClassifier, TREES),
}


@dataclass(frozen=True)
class Task:
    """A table of two classes, and how many of its first rows are learned from."""

    table: pd.DataFrame
    rows: int
    seed: int


def main() -> None:
    given = sys.argv[1:] or ["forests", "auto"]
    if "forests" in given:
        for name, tasks in (
            ("textbook", textbook),
            ("rules", drawn_rules),
            ("smooth", drawn_smooth),
        ):
            for kind in KINDS:
                print(f"{name}: {kind} {compared(kind, tasks())}", flush=True)
    if "auto" in given:
        sys.argv[1:] = ["classes"]
        compare(portfolios, "gini")


def textbook() -> Iterator[Task]:
    """Yield the tables of two classes that have enough rows."""
    for seed, table in enumerate(classes()):
        if has_rows(table, ROWS):
            drawn = table.sample(min(len(table), ROWS + MOST_NEW), random_state=seed)
            yield Task(drawn.assign(y=drawn["y"] == "yes"), ROWS, seed)


def drawn_rules() -> Iterator[Task]:
    """Yield simulated tables on which limits of single columns decide."""
    return _drawn(rules)


def drawn_smooth() -> Iterator[Task]:
    """Yield simulated tables on which smooth terms of single columns decide."""
    return _drawn(smooth)


def _drawn(draw: Callable[[Literal["none"], int, int], pd.DataFrame]) -> Iterator[Task]:
    for seed in range(DRAWN):
        table = draw("none", seed, DRAWN_ROWS + DRAWN_NEW)
        yield Task(table.assign(y=table["y"] == "fails"), DRAWN_ROWS, seed)


def compared(kind: str, tasks: Iterator[Task]) -> str:
    """Return what a forest reaches by Gini's impurity, and the gain by entropy, as a line."""
    found = [[judged(kind, one, task) for one in get_args(Criterion)] for task in tasks]
    losses = [after[0] - before[0] for before, after in found]
    aucs = [after[1] - before[1] for before, after in found]
    return (
        f"{len(found)} tables, log loss {mean(before[0] for before, _ in found):.4f} "
        f"{mean_and_error(losses)}, "
        f"ROC AUC {mean(before[1] for before, _ in found):.4f} "
        f"{mean_and_error(aucs)}"
    )


def judged(kind: str, criterion: Criterion, task: Task) -> tuple[float, float]:
    """Return log loss and ROC AUC of a forest on the rows that it has not learned from."""
    inputs, target = task.table.drop(columns="y").to_numpy(), task.table["y"].to_numpy()
    forest = KINDS[kind](criterion=criterion, random_state=task.seed, n_jobs=-1)
    forest.fit(inputs[: task.rows], target[: task.rows])
    found = forest.predict_proba(inputs[task.rows :])[:, 1].clip(SURE, 1 - SURE)
    truth = target[task.rows :]
    return float(log_loss(truth, found)), float(roc_auc_score(truth, found))


def portfolios(rows: int) -> dict[str, Auto]:
    """Return the default members without the network, with each measure of splits."""
    default = members_of(Auto(kind="auto"), rows, rows, FOREST_MAX_FEATURES, classes=2)
    tried = [member for member in default if not isinstance(member, Network)]
    return {
        one: Auto(kind="auto", members=tuple(_splitting(member, one) for member in tried))
        for one in get_args(Criterion)
    }


def _splitting(member: MemberSpec, criterion: Criterion) -> MemberSpec:
    if isinstance(member, Forest):
        return member.model_copy(update={"criterion": criterion})
    return member


if __name__ == "__main__":
    main()
