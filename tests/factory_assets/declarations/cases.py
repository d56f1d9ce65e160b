"""A declaration that uses most keys, a short one, and helpers to write one into a folder."""

from pathlib import Path

FULL = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Tell which machines will fail
  owners: [team:maintenance, jane@example.org]
  risk: {tier: high, area: safety of machinery}
  ingest:
    source: {files: machines.csv, delimiter: ";"}
    missing: ["", "?"]
    contract:
      - {name: torque, from: "Torque [Nm]", type: float64, unit: Nm, range: [0, null]}
      - {name: speed, type: int64, nullable: false}
      - name: kind
        type: string
        values: [L, M, H]
      - {name: failed, type: int64, values: [0, 1]}
  clean:
    where: {turning: speed > 0}
    deduplicate: speed
    derive:
      power: torque * speed
  split: {test: 0.25, validation: 0.1, stratify: failed, seed: 3}
  train:
    target: failed
    exclude: [kind]
    model: {kind: mlp, hidden: [8, 4], learning_rate: 1e-3}
  evaluate:
    metric: roc_auc
    gates:
      - {metric: roc_auc, at_least: 0.6}
      - {metric: roc_auc, no_worse_than: champion, margin: 0.01}
    slices: kind
  deploy: {max_difference: 1e-5, approval: {valid: 7d}}
  schedule: {cron: "0 2 * * *", timezone: Europe/Berlin}
"""

SHOWN_DIGITS = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Tell good apples from bad
  ingest:
    source: {files: apples.csv}
  train:
    target: grade
    model: {kind: linear}
"""


def declare(folder: Path, text: str | bytes, name: str = "machines") -> Path:
    """Write this declaration and return the folder of the pipeline."""
    pipeline = folder / name
    pipeline.mkdir(parents=True, exist_ok=True)
    (pipeline / "defs.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return pipeline


def line_of(text: str, part: str) -> int:
    """Return the number of the first line that contains `part`."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)
