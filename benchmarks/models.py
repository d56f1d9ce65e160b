"""Compare the models with plain estimators and AutoGluon on public data, fold by fold.

    python -m benchmarks.models [NAME ...] [--seeds 3] [--records FILE] [--report FILE]
    python -m benchmarks.models --by-group [NAME ...] ...

All contestants get the same rows, and use their defaults. A seed determines split, folds and
training. No choice depends on test rows. Examples have bounds to reach, from published results;
the exit status is 1 if one is missed. With `--records`, figures are kept, and a later run measures
only what is missing. With `--by-group`, the values of an input have a bound each, and the coverage
of each is measured; keep these figures in a file of their own.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from benchmarks.modelling.autogluon import find_python
from benchmarks.modelling.contestants import KINDS
from benchmarks.modelling.groups import GROUPS
from benchmarks.modelling.problems import PROBLEMS
from benchmarks.modelling.records import Plan, Records
from benchmarks.modelling.report import Report
from factory_resources.home.home import Home
from factory_resources.security.offline import go_offline


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    go_offline()
    console = Console(stderr=True)
    with TemporaryDirectory() as name:
        home = Home(Path(name) / "home")
        records = Records(given.records or Path(name) / "records.jsonl")
        autogluon = None if given.without_autogluon else find_python()
        plan = Plan(tuple(given.kinds), given.seeds, home, autogluon)
        names = given.names or [*(GROUPS if given.by_group else PROBLEMS)]
        for problem in map(PROBLEMS.__getitem__, names):
            if given.by_group:
                problem = replace(problem, group=GROUPS[problem.name])
            for record in plan.measure(problem, records):
                place = f"{record.problem} seed {record.seed} fold {record.fold}"
                console.print(f"{place}: {record.contestant} {record.shown}", highlight=False)
        report = Report.of(records.all, names)
    text = report.markdown()
    print(text)
    if given.report:
        given.report.write_text(text, encoding="utf-8")
    return 1 if report.missed else 0


def _parse(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser("python -m benchmarks.models")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PROBLEMS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=KINDS, help=f"default: {' '.join(KINDS)}")
    parser.add_argument("--records", type=Path, help="keep each figure in this file, and go on")
    parser.add_argument("--report", type=Path, help="also write the tables into this file")
    parser.add_argument("--without-autogluon", action="store_true")
    parser.add_argument("--by-group", action="store_true", help="measure the coverage of groups")
    given = parser.parse_args(arguments)
    known = GROUPS if given.by_group else PROBLEMS
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(known)}")
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    return given


if __name__ == "__main__":
    sys.exit(main())
