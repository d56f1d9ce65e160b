"""The state of drift detection of one version: of its inputs, and of its outputs.

Inputs are compared with the rows that the model learned from. Outputs are compared with those of
the test rows: for rows that it learned from, a model is surer of itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from factory_assets.ml.drift.columns import WatchedColumn
from factory_assets.ml.drift.look import look
from factory_assets.ml.drift.report import DriftFinding
from factory_assets.ml.drift.state import DriftState, begin
from factory_assets.ml.drift.storage import load, save
from factory_assets.monitoring.report import ReportedChange
from factory_assets.monitoring.watched import WatchedInputs

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Side = Literal["inputs", "outputs"]

SHARES: dict[Side, float] = {"inputs": 0.8, "outputs": 0.2}
"""Shares of the false alarms."""

FEWEST = 20
"""Rows below which there is nothing to compare with."""


@dataclass(frozen=True)
class ComparedRows:
    """Rows as they are compared."""

    inputs: pa.Table
    outputs: NDArray[np.float64]
    """Probabilities [rows, classes], or predictions [rows]; those of inputs or of other rows."""


@dataclass(frozen=True)
class DriftStates:
    """What one look hands to the next."""

    states: dict[Side, DriftState]

    @classmethod
    def begin(
        cls,
        inputs: WatchedInputs,
        reference: ComparedRows,
        classes: tuple[str, ...],
        strata: NDArray[np.int64] | None,
        seed: int,
    ) -> DriftStates:
        """Return the states before the first look.

        Args:
            strata: the season of each row of the inputs; outputs are compared without seasons.
        """
        states: dict[Side, DriftState] = {}
        columns = [WatchedColumn(one.name, one.kind) for one in inputs.columns]
        if columns and reference.inputs.num_rows >= FEWEST:
            states["inputs"] = begin(reference.inputs, columns, seed=seed, strata=strata)
        if len(reference.outputs) >= FEWEST:
            table = output_table(reference.outputs, classes)
            named = [WatchedColumn(name, "number", "output") for name in table.column_names]
            states["outputs"] = begin(table, named, seed=seed + 1)
        return cls(states)

    @classmethod
    def load(cls, folder: Path) -> DriftStates:
        """Read the states of a look.

        Raises:
            StorageError: a file is damaged.
        """
        names: tuple[Side, ...] = ("inputs", "outputs")
        return cls({n: load(_file(folder, n)) for n in names if _file(folder, n).exists()})

    def fit(self, inputs: WatchedInputs, *, seasonal: bool) -> bool:
        """Whether these columns, within seasons or not, are what the states are of."""
        state = self.states.get("inputs")
        watched = {WatchedColumn(one.name, one.kind) for one in inputs.columns}
        return state is None or (state.seasonal == seasonal and {*state.columns} == watched)

    def save(self, folder: Path) -> None:
        """Write the states into the folder of a look.

        Raises:
            StorageError: the disk cannot be written.
        """
        for side, state in self.states.items():
            save(state, _file(folder, side))

    def look(
        self,
        rows: ComparedRows,
        classes: tuple[str, ...],
        *,
        days: float,
        strata: NDArray[np.int64] | None,
        number: int,
        hidden: Collection[str] = (),
    ) -> tuple[DriftStates, tuple[ReportedChange, ...], float]:
        """Return the states after these rows, what changed, and the strongest evidence in days.

        Args:
            days: since the look before.
            number: of this look.
            hidden: the columns whose values may not be shown.
        """
        after: dict[Side, DriftState] = {}
        findings: list[ReportedChange] = []
        evidence = 0.0
        tables = {"inputs": rows.inputs, "outputs": output_table(rows.outputs, classes)}
        for side, state in self.states.items():
            codes = strata if side == "inputs" else None
            after[side], report = look(state, tables[side], days=days, strata=codes)
            evidence = max(evidence, report.evidence * SHARES[side])
            findings += _findings(side, report.findings, number, hidden)
        return DriftStates(after), tuple(sorted(findings, key=lambda f: -f.evidence)), evidence


def output_table(outputs: NDArray[np.float64], classes: tuple[str, ...]) -> pa.Table:
    """Return outputs as columns; of two classes, the second says everything."""
    import pyarrow as pa

    if not classes:
        return pa.table({"prediction": outputs})
    shown = range(1 if len(classes) == 2 else 0, len(classes))
    return pa.table({f"p_{classes[i]}": outputs[:, i] for i in shown})


def _file(folder: Path, side: Side) -> Path:
    return folder / f"{side}.npz"


def _findings(
    side: Side, found: tuple[DriftFinding, ...], number: int, hidden: Collection[str]
) -> Iterator[ReportedChange]:
    for one in found:
        is_shown = one.what != "values" or one.column not in hidden
        yield ReportedChange(
            column=one.column,
            what="outputs" if side == "outputs" and one.what == "values" else one.what,
            evidence=one.evidence * SHARES[side],
            effect=one.effect,
            words=one.words if is_shown else "other values",
            since=number - one.since,
        )
