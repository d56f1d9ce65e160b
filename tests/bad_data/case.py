"""A case of the corpus: files, their declaration, and the expected result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Files = Mapping[str, bytes] | Callable[[Path], None]


@dataclass(frozen=True)
class Rows:
    """The rows are read, and those that break the contract are in quarantine."""

    good: Mapping[str, Sequence[Any]]
    """Column to its values, for all columns in the order of the snapshot."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rule to the number of rows that broke it."""
    broken: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Column to the source values in quarantine, for all columns if there are such rows."""


@dataclass(frozen=True)
class Refused:
    """The data is refused with one line that contains these words; nothing is stored."""

    said: tuple[str, ...]

    def __init__(self, *said: str) -> None:
        object.__setattr__(self, "said", said)


@dataclass(frozen=True)
class Case:
    """One bad file, or a few.

    Args:
        name: the id of the test; the family comes first.
        files: content by name, or a function that creates the files in the folder `data`.
        expected: the expected result.
        source: keys of `ingest.source`; by default `files` names the only file, in `data/`.
        contract: the columns of the contract.
        ingest: additional keys of `ingest`.
    """

    name: str
    files: Files
    expected: Rows | Refused
    source: Mapping[str, Any] = field(default_factory=dict)
    contract: Sequence[Mapping[str, Any]] = ()
    ingest: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> dict[str, Any]:
        """Create the files in `folder/data`; return the attributes of a `defs.yaml`."""
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
            "purpose": "Show what happens to bad data",
            "ingest": ingest,
            "train": {"target": target, "exclude": secrets, "model": {"kind": "linear"}},
        }


def csv(name: str, content: bytes | str, expected: Rows | Refused, **more: Any) -> Case:
    """Return a case of one CSV file; text is written as UTF-8."""
    raw = content.encode() if isinstance(content, str) else content
    return Case(name, {"d.csv": raw}, expected, **more)


def typed(kind: str | None, cells: Sequence[str], good: Sequence[Any], *, name: str) -> Case:
    """Return a case of one column `y` beside a counter `n`.

    Args:
        kind: the declared type of `y`; None to have it inferred.
        cells: the text of each cell of `y`.
        good: the value of each cell, or `BROKEN` if it goes to quarantine.
        name: the name of the case.
    """
    text = "n,y\n" + "".join(f'{i},"{cell}"\n' for i, cell in enumerate(cells, 1))
    contract = [{"name": "y", "type": kind}, {"name": "n", "type": "int64"}] if kind else []
    valid = [(i, value) for i, value in enumerate(good, 1) if value is not BROKEN]
    broken = [(i, cell) for i, cell in enumerate(cells, 1) if good[i - 1] is BROKEN]
    names = ("y", "n") if kind else ("n", "y")

    def columns(rows: Sequence[tuple[Any, Any]], as_text: bool) -> dict[str, list[Any]]:
        by_name = {"n": [str(n) if as_text else n for n, _ in rows], "y": [v for _, v in rows]}
        return {name: by_name[name] for name in names}

    rows = Rows(
        columns(valid, False),
        {"type:y": len(broken)} if broken else {},
        columns(broken, True) if broken else {},
    )
    return csv(name, text, rows, contract=contract)


BROKEN = object()
