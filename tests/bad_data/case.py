"""What a case of the corpus is: files, how they are declared, and what must come of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Files = Mapping[str, bytes] | Callable[[Path], None]


@dataclass(frozen=True)
class Rows:
    """The rows are read, and those that break the contract are apart."""

    good: Mapping[str, Sequence[Any]]
    """Column to its values, of all columns in the snapshot's order."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rule to the number of rows that broke it."""
    broken: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Column to the source's values in quarantine; all columns, where rows are there."""


@dataclass(frozen=True)
class Refused:
    """One clear line that holds these words; nothing is kept."""

    said: tuple[str, ...]

    def __init__(self, *said: str) -> None:
        object.__setattr__(self, "said", said)


@dataclass(frozen=True)
class Case:
    """One bad file, or a few.

    Args:
        name: the test's id, the family first.
        files: name to bytes, or what makes them in the folder `data` that it is given.
        expected: what must come of it.
        source: keys of `ingest.source`; by default `files` names the only file, in `data/`.
        contract: of the pipeline.
        ingest: further keys of `ingest`.
    """

    name: str
    files: Files
    expected: Rows | Refused
    source: Mapping[str, Any] = field(default_factory=dict)
    contract: Sequence[Mapping[str, Any]] = ()
    ingest: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> dict[str, Any]:
        """Make the files below `folder/data`; the attributes of a `defs.yaml` in `folder`."""
        data = folder / "data"
        data.mkdir()
        if callable(self.files):
            self.files(data)
        else:
            for name, content in self.files.items():
                (data / name).parent.mkdir(parents=True, exist_ok=True)
                (data / name).write_bytes(content)
        only = next(iter(self.files)) if isinstance(self.files, Mapping) else "*"
        source = {"files": f"data/{only}", **self.source}
        ingest = {"source": source, "max_quarantine": 1.0, **self.ingest}
        if self.contract:
            ingest["contract"] = [dict(column) for column in self.contract]
        target = self.contract[0]["name"] if self.contract else "y"
        secrets = [c["name"] for c in self.contract if c.get("sensitive") == "secret"]
        return {
            "purpose": "Show what comes of bad data",
            "ingest": ingest,
            "train": {"target": target, "exclude": secrets, "model": {"kind": "linear"}},
        }


def csv(name: str, content: bytes | str, expected: Rows | Refused, **more: Any) -> Case:
    """A case of one CSV file; text is written as UTF-8."""
    raw = content.encode() if isinstance(content, str) else content
    return Case(name, {"d.csv": raw}, expected, **more)


def typed(kind: str | None, cells: Sequence[str], good: Sequence[Any], *, name: str) -> Case:
    """Cells of one column `y` beside a counter `n`: `good` holds a value, or `BROKEN`, a cell.

    Without a `kind` the factory finds the type.
    """
    text = "n,y\n" + "".join(f'{i},"{cell}"\n' for i, cell in enumerate(cells, 1))
    contract = [{"name": "y", "type": kind}, {"name": "n", "type": "int64"}] if kind else []
    kept = [(i, value) for i, value in enumerate(good, 1) if value is not BROKEN]
    bad = [(i, cell) for i, cell in enumerate(cells, 1) if good[i - 1] is BROKEN]
    names = ("y", "n") if kind else ("n", "y")

    def columns(rows: Sequence[tuple[Any, Any]], text_: bool) -> dict[str, list[Any]]:
        found = {"n": [str(n) if text_ else n for n, _ in rows], "y": [v for _, v in rows]}
        return {name: found[name] for name in names}

    rows = Rows(
        columns(kept, False),
        {"type:y": len(bad)} if bad else {},
        columns(bad, True) if bad else {},
    )
    return csv(name, text, rows, contract=contract)


BROKEN = object()
