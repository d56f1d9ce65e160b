"""Markdown for the asset pages: previews, tables, pictures, links. No Dagster.

Markdown of an evaluation belongs in `evaluation`.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.execution.requests import StageRequest
from factory_assets.results.data import CleanResult, SourceFile
from factory_assets.results.latest import ResultQuery, latest_result
from factory_assets.results.model import Candidate, Champion, Portfolio, Tuned
from factory_assets.spec import IDENTITY, Pipeline
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, fetched_paths

_ROWS = 8

_COLUMNS = 24


_IDENTITY = {
    "_file": "The source that the row comes from, by its SHA-256.",
    "_row": "The number of its record there, from 1 on.",
}
"""What each column of `IDENTITY` is."""

_LONGEST_CELL = 40
"""Characters."""


def table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], longest: int = _LONGEST_CELL
) -> str:
    """Return a Markdown table; cells are shortened and cannot break out of it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(escaped(value, longest) for value in line) + " |" for line in lines
    )


def escaped(value: Any, longest: int = _LONGEST_CELL) -> str:
    """Return a value as text that is no markup, shortened if it is long."""
    text = f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    # Data is not markup: a cell must not end the table, add a link or load a picture.
    for character, harmless in (
        ("\\", "\\\\"),
        ("|", "\\|"),
        ("[", "\\["),
        ("&", "&amp;"),
        ("<", "&lt;"),
        ("`", "'"),
    ):
        text = text.replace(character, harmless)
    # Remove line ends, and characters that are invisible or reverse the direction of the text.
    return "".join(character if character.isprintable() else " " for character in text)


def column(pipeline: Pipeline, name: str) -> str | None:
    """Return the declaration's description of a column."""
    if name in _IDENTITY:
        return _IDENTITY[name]
    if name in pipeline.spec.clean.derive:
        return f"= {pipeline.spec.clean.derive[name]}"
    declared = next((c for c in pipeline.spec.ingest.contract.columns if c.name == name), None)
    if declared is None:
        return None
    unit = f"[{declared.unit}]" if declared.unit else None
    return " ".join(filter(None, (declared.description, unit, declared.sensitive))) or None


def preview(pipeline: Pipeline, snapshot: Snapshot, home: Home) -> str:
    """Return the first rows without sensitive columns; none if the pipeline's risk is high."""
    if pipeline.spec.risk.tier == "high":
        return "Not shown: the pipeline's risk is high."
    hidden = set(sensitive_columns(pipeline))
    shown = [c for c in snapshot.columns if c not in hidden and c not in IDENTITY][:_COLUMNS]
    left_out = f"\n\nSensitive columns, not shown: {', '.join(sorted(hidden))}." if hidden else ""
    return _cached_preview(snapshot, home, shown) + left_out


def _cached_preview(snapshot: Snapshot, home: Home, columns: list[str]) -> str:
    """Return the preview, cached: a reused snapshot must not cost the import of pyarrow (0.2 s)."""
    name = sha256(json.dumps([snapshot.data_version, columns]).encode()).hexdigest()
    path = home.pictures / "previews" / f"{name}.md"
    if not path.is_file():
        rows = _first_rows(snapshot, home, columns)
        home.write_atomic(path, table(columns, rows).encode())
    return path.read_text(encoding="utf-8")


def _first_rows(snapshot: Snapshot, home: Home, columns: list[str]) -> list[list[Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(fetched_paths(snapshot, home)[0]) as file:
        batch = next(file.iter_batches(batch_size=_ROWS, columns=columns), None)
    return [] if batch is None else [[row[c] for c in columns] for row in batch.to_pylist()]


def quarantine(
    pipeline: Pipeline, quarantined: dict[str, int], snapshot: Snapshot | None, home: Home
) -> str:
    """Return how many rows broke each rule, and the first of these rows."""
    if snapshot is None:
        return "No row broke a rule."
    by_rule = table(("rule", "rows"), sorted(quarantined.items(), key=lambda item: -item[1]))
    return f"{by_rule}\n\n{preview(pipeline, snapshot, home)}"


def points(lines: Iterable[str]) -> str:
    """Return a Markdown list."""
    return "\n".join(f"- {escaped(line, 400)}" for line in lines)


def sources(files: Sequence[SourceFile]) -> str:
    rows = [
        (f.name, f"joined: {f.join}" if f.join else ", ".join(f.labels.values()), f.rows, f.sha256)
        for f in files
    ]
    header = ("source", "label", "rows", "SHA-256")
    return "\n".join(
        [
            "| " + " | ".join(header) + " |",
            "|---|---|---|---|",
            *(f"| {escaped(n)} | {escaped(label)} | {r} | {sha} |" for n, label, r, sha in rows),
        ]
    )


def picture(title: str, png: bytes) -> str:
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def loss_curve(candidate: Candidate, home: Home) -> str:
    """Return the plot, cached: a reused candidate must not cost importing a plotting library."""
    path = home.pictures / candidate.model / str(candidate.version) / "loss.png"
    if not path.is_file():
        from factory_assets.ml.plots.training import plot_loss

        home.write_atomic(path, plot_loss(candidate))
    return picture("loss curve", path.read_bytes())


def search(candidate: Candidate, tuned: Tuned, home: Home) -> str:
    """Return what was tried and chosen, with a plot that is cached like the loss curve."""
    path = home.pictures / candidate.model / str(candidate.version) / "search.png"
    if not path.is_file():
        from factory_assets.ml.plots.training import plot_search

        home.write_atomic(path, plot_search(candidate, tuned))
    figures = table(("search", ""), tuned.figures().items())
    settings = table(("setting", "chosen"), tuned.settings.items())
    return f"{picture('search', path.read_bytes())}\n\n{figures}\n\n{settings}"


def portfolio(candidate: Candidate, tried: Portfolio, home: Home) -> str:
    """Return all members from the best, with a plot that is cached like the loss curve."""
    path = home.pictures / candidate.model / str(candidate.version) / "members.png"
    if not path.is_file():
        from factory_assets.ml.plots.training import plot_portfolio

        home.write_atomic(path, plot_portfolio(candidate, tried))
    rows = [
        ("blend", _figure(tried.value, tried.sd), ""),
        *((m.name, _figure(m.value, m.sd), f"{m.weight:.0%}") for m in tried.ranked),
    ]
    judged = f"{tried.text}. Judged on {tried.rows:,} rows that no member had learned from."
    leaderboard = table(("member", tried.metric, "weight"), rows)
    return f"{picture('members', path.read_bytes())}\n\n{judged}\n\n{leaderboard}"


def _figure(value: float | None, sd: float | None) -> str:
    """Return a value with its standard deviation over the folds."""
    if value is None:
        return "undefined"
    return f"{value:.4g}" if sd is None else f"{value:.4g} ± {sd:.2g}"


def mlflow_links(value: Candidate | Champion) -> str:
    """Return links to the run and the version in MLflow's UI.

    They are relative: whoever reads the page came through the front door, behind which MLflow is,
    and a run does not know by which names and port others reach it.
    """
    ui = "/mlflow/#"
    version = f"{ui}/models/{value.model}/versions/{value.version}"
    run = f"[run {value.run_id[:8]}]({ui}/runs/{value.run_id})"
    return f"{run} · [{value.model} v{value.version}]({version})"


def rows_before_split(call: StageRequest) -> int:
    clean = latest_result(ResultQuery(call.pipeline, "clean", call.home, call.run_id))
    return clean.snapshot.rows if isinstance(clean, CleanResult) else 0
