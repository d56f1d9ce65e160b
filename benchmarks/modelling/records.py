"""Measure contestants fold by fold, and keep each figure in a file so that a run can go on.

A line of the file is one contestant on one fold. What the figures say together belongs in `ranks`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.modelling.autogluon import LEAST_SECONDS, AutoGluon, NothingFittedError
from benchmarks.modelling.contestants import DECLARED, PLAIN, Contestant, Kind, Plain
from benchmarks.modelling.folds import Fold
from benchmarks.modelling.groups import GroupCounts
from benchmarks.modelling.problems import Problem
from factory_resources.home.home import Home


@dataclass(frozen=True)
class Record:
    """How one contestant did on one fold."""

    problem: str
    contestant: str
    seed: int
    fold: int
    metrics: dict[str, float]
    """Empty if the contestant had no answer."""
    validation: float | None
    cpu: float
    """CPU seconds of fit and prediction."""
    wall: float
    groups: Mapping[str, GroupCounts] = field(default_factory=dict)
    """Empty without bounds of groups."""

    @property
    def shown(self) -> str:
        """The metrics and the cost, on one line."""
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"{metrics or 'no answer'} in {self.cpu:.1f} s of CPU"


@dataclass
class Records:
    """The records of a file, which a new one is added to at once."""

    file: Path
    all: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.file.is_file():
            lines = self.file.read_text(encoding="utf-8").splitlines()
            self.all = [_read(json.loads(line)) for line in lines]

    def find(self, problem: str, contestant: str, seed: int, fold: int) -> Record | None:
        wanted = (problem, contestant, seed, fold)
        found = (r for r in self.all if (r.problem, r.contestant, r.seed, r.fold) == wanted)
        return next(found, None)

    def add(self, record: Record) -> None:
        self.all.append(record)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")


@dataclass(frozen=True)
class Plan:
    """Who is measured, how often."""

    kinds: tuple[str, ...]
    """The factory's kinds, with their defaults."""
    seeds: int
    home: Home
    autogluon: Path | None
    """The Python that has it; None leaves it out."""
    declared: bool = True
    """Whether examples are also measured as they are declared."""

    def measure(self, problem: Problem, records: Records) -> Iterator[Record]:
        """Measure what the records lack; yield each record, also those that were there."""
        for seed in range(self.seeds):
            for fold in problem.divide(seed, self.home):
                yield from self._measure_fold(problem, fold, records)

    def _measure_fold(self, problem: Problem, fold: Fold, records: Records) -> Iterator[Record]:
        ours = [Kind(kind, self.home) for kind in self.kinds]
        if self.declared and isinstance(problem.source, Path):
            ours.append(Kind(None, self.home))
        spent = []
        for kind in ours:
            spent.append(record := _measured(problem, kind, fold, records))
            yield record
        for name in PLAIN:
            yield _measured(problem, Plain(name), fold, records)
        if self.autogluon:
            limit = allowed_seconds(spent)
            yield _measured(problem, AutoGluon(self.autogluon, limit), fold, records)


def allowed_seconds(spent: Sequence[Record]) -> float:
    """Return the CPU seconds that AutoGluon gets: those that the factory's choice took.

    That is `auto`, or all kinds together, of which one is chosen.
    """
    auto = [r.cpu for r in spent if r.contestant == "auto"]
    kinds = [r.cpu for r in spent if r.contestant != DECLARED]
    return max(LEAST_SECONDS, sum(auto or kinds))


def _read(line: Mapping[str, Any]) -> Record:
    groups = {name: GroupCounts(*counts) for name, counts in line.get("groups", {}).items()}
    return Record(**{**line, "groups": groups})


def _measured(problem: Problem, contestant: Contestant, fold: Fold, records: Records) -> Record:
    known = records.find(problem.name, contestant.name, fold.seed, fold.number)
    if known:
        return known
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        answer = contestant.answer(fold)
    except NothingFittedError:
        answer = None
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    record = Record(
        problem.name,
        contestant.name,
        fold.seed,
        fold.number,
        metrics=fold.score(answer) if answer else {},
        validation=answer.validation if answer else None,
        cpu=answer.cpu if answer and answer.cpu is not None else cpu,
        wall=wall,
        groups=fold.count_groups(answer) if answer else {},
    )
    records.add(record)
    return record
