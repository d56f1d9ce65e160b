"""The tables of a comparison, in Markdown: bounds, figures, mean ranks, wins, and what it cost.

Arithmetic belongs in `ranks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

from benchmarks.modelling.contestants import DECLARED, KINDS, PLAIN
from benchmarks.modelling.groups import total
from benchmarks.modelling.problems import COVERAGE, PROBLEMS, Bound
from benchmarks.modelling.ranks import (
    BEST_KIND,
    Figures,
    best_kind,
    differences,
    figures,
    mean_ranks,
    ranks,
    spread,
    wins,
)
from benchmarks.modelling.records import Record
from benchmarks.modelling.tables import BY_NAME as PUBLIC
from factory_assets.ml.metrics.metrics import higher_is_better

AUTO, AUTOGLUON = "auto", "AutoGluon"
_ORDER = (DECLARED, AUTO, BEST_KIND, *(k for k in KINDS if k != AUTO), *PLAIN, AUTOGLUON)
_ABSENT, _NONE = "not measured", "-"


@dataclass(frozen=True)
class Report:
    """The records of some problems, with the best kind of each fold added."""

    names: tuple[str, ...]
    records: tuple[Record, ...]

    @classmethod
    def of(cls, records: Iterable[Record], names: Iterable[str]) -> Self:
        """Select the records of the problems, and choose the best kind of each fold."""
        names, kept = tuple(names), []
        singles = [kind for kind in KINDS if kind != AUTO]
        for name in names:
            of_problem = [record for record in records if record.problem == name]
            kept += of_problem
            kept += best_kind(of_problem, singles, PROBLEMS[name].metrics[0])
        return cls(names, tuple(kept))

    @property
    def missed(self) -> bool:
        return any(line[-1] == "NO" for line in self._bounds())

    def markdown(self) -> str:
        """Return all tables."""
        ours = [name for name in (AUTO, BEST_KIND) if name in self._contestants][:1]
        field = (*ours, *PLAIN, AUTOGLUON)
        singles = [kind for kind in KINDS if kind != AUTO]
        parts = [
            _table(("figure", "declared", "must", "aim", "met"), self._bounds()),
            _table(("figure", *self._contestants), self._figures()),
            "Mean rank of defaults, on the tables chosen beforehand, and on all:",
            _table(("contestant", "chosen tables", "all"), self._ranks(field)),
        ]
        if any(kind in self._contestants for kind in singles):
            parts += [
                "Mean rank of the single kinds:",
                _table(("contestant", "chosen tables", "all"), self._ranks((*singles, *PLAIN))),
            ]
        if ours:
            parts += [
                f"By how much `{ours[0]}` was better on the same rows, over the seeds:",
                _table(
                    ("figure", "than the best of the plain", "than AutoGluon"), self._gains(ours[0])
                ),
                f"How often `{ours[0]}` was better, of all problems and seeds:",
                _table(("than", "share", "95 % interval"), self._wins(ours[0])),
            ]
        if covered := _table(("problem", *self._factory), self._coverage()):
            share = f"Share of judged rows whose set or interval of {COVERAGE:.0%}"
            parts += [f"{share} contains the truth:", covered]
        if grouped := _table(("group", "rows", *self._factory), self._groups()):
            parts += [
                "The same of each group, with a bound of its own / with one for all:",
                grouped,
            ]
        parts += ["CPU seconds a fold:", _table(("problem", *self._contestants), self._costs())]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def _contestants(self) -> list[str]:
        found = {record.contestant for record in self.records}
        return [name for name in _ORDER if name in found]

    @property
    def _factory(self) -> list[str]:
        return [name for name in self._contestants if name in (DECLARED, *KINDS)]

    def _of(self, name: str) -> list[Record]:
        return [record for record in self.records if record.problem == name]

    def _bounds(self) -> Iterator[tuple[str, ...]]:
        for name in self.names:
            for bound in PROBLEMS[name].bounds:
                values = figures(self._of(name), bound.metric).get(DECLARED)
                if values:
                    met = _met(bound, fmean(values))
                    label = f"{name}: {bound.metric}"
                    yield label, _shown(values), f"{bound.must:g}", f"{bound.aim:g}", met

    def _figures(self) -> Iterator[tuple[str, ...]]:
        for name in self.names:
            for metric in PROBLEMS[name].metrics:
                found = figures(self._of(name), metric)
                cells = (_shown(found[c]) if c in found else _NONE for c in self._contestants)
                yield f"{name}: {metric}", *cells

    def _ranks(self, field: Sequence[str]) -> Iterator[tuple[str, ...]]:
        here = [name for name in field if name in self._contestants]
        every = self._ranked(self.names)
        chosen = {name: found for name, found in every.items() if name in PUBLIC}
        of_chosen = mean_ranks(chosen, here) if chosen else {}
        for name, rank in mean_ranks(every, here).items() if every else ():
            yield name, f"{of_chosen[name]:.2f}" if of_chosen else _NONE, f"{rank:.2f}"
        yield from ((name, _ABSENT, _ABSENT) for name in field if name not in here)

    def _ranked(self, names: Iterable[str]) -> dict[str, tuple[str, Figures]]:
        metrics = {name: PROBLEMS[name].metrics[0] for name in names}
        found = {n: (metric, figures(self._of(n), metric)) for n, metric in metrics.items()}
        return {name: (metric, values) for name, (metric, values) in found.items() if values}

    def _gains(self, ours: str) -> Iterator[tuple[str, ...]]:
        for name, (metric, found) in self._ranked(self.names).items():
            places = ranks(found, PLAIN, metric)
            best = min(places, key=places.__getitem__)
            cells = []
            for other in (best, AUTOGLUON):
                by_seed = differences(found, ours, other, metric)
                cells.append(_shown(by_seed, signed=True) if by_seed else _NONE)
            yield f"{name}: {metric}", f"{best}: {cells[0]}", cells[1]

    def _wins(self, ours: str) -> Iterator[tuple[str, ...]]:
        ranked = self._ranked(self.names)
        for other in (*PLAIN, AUTOGLUON):
            if (counted := wins(ranked, ours, other)).of:
                low, high = counted.interval
                yield other, f"{counted.won} of {counted.of}", f"{low:.2f} to {high:.2f}"

    def _coverage(self) -> Iterator[tuple[str, ...]]:
        for name in self.names:
            found = figures(self._of(name), "coverage")
            if found:
                yield name, *(_shown(found[c]) if c in found else _NONE for c in self._factory)

    def _groups(self) -> Iterator[tuple[str, ...]]:
        """Each group's share of all judged rows together, of any fold or seed."""
        for name in self.names:
            found = {
                c: total(r.groups for r in self._of(name) if r.contestant == c) for c in _ORDER
            }
            for group in sorted({group for counts in found.values() for group in counts}):
                counts = [found[c].get(group) for c in self._factory]
                cells = (
                    _NONE if n is None else f"{n.own / n.rows:.4f} / {n.shared / n.rows:.4f}"
                    for n in counts
                )
                yield f"{name}: {group}", f"{max(n.rows for n in counts if n):,}", *cells

    def _costs(self) -> Iterator[tuple[str, ...]]:
        for name in self.names:
            spent = {c: [r.cpu for r in self._of(name) if r.contestant == c] for c in _ORDER}
            cells = (f"{fmean(spent[c]):.1f}" if spent[c] else _NONE for c in self._contestants)
            yield name, *cells


def _met(bound: Bound, value: float) -> str:
    sign = 1 if higher_is_better(bound.metric) else -1
    reached = [sign * value >= sign * limit for limit in (bound.must, bound.aim)]
    return ("NO", "yes", "aim")[sum(reached)]


def _shown(values: Sequence[float], *, signed: bool = False) -> str:
    size = abs(fmean(values))
    digits = 4 if size < 1 else 3 if size < 10 else 2
    sd = spread(values)
    mean = f"{fmean(values):{'+' if signed else ''}.{digits}f}"
    return mean if sd is None else f"{mean} ± {sd:.{digits}f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [*lines]
    if not rows:
        return ""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
