"""A profiled table and the choices for it as the text of a `defs.yaml`, with comments."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from factory_assets.cli.new.profile import SURE, ColumnSummary, FileProfile
from factory_assets.cli.new.recommend import Recommendation, personal
from factory_assets.declarations.loader import TYPES
from factory_assets.declarations.yaml_document import scalar

_KINDS = ("linear", "random_forest", "gradient_boosting", "mlp")

_PLAIN = re.compile(r"[A-Za-z_/.~$][\w/.~ $+-]*")


def draft(table: FileProfile, choices: Recommendation, *, file: str, schema: str) -> str:
    """The whole file.

    Args:
        table: the profile.
        choices: what was decided for it.
        file: the source as the declaration names it.
        schema: the comment that tells editors the schema; may be empty.
    """
    target = choices.names[choices.target.source]
    lines = [
        f"type: {TYPES[0]}",
        "",
        "attributes:",
        f"  purpose: {text(f'Predict {target}')}  # say for whom, and what they do with it",
        "",
        "  ingest:",
        *_source(table, file),
        *_missing(table, choices),
        "    contract:  # the columns as they are now; add range and values where you know them",
        *_contract(table, choices),
        "",
        *_split(choices, target),
        "",
        *_train(choices, target),
        "",
        *_evaluate(choices),
    ]
    return schema + "\n".join(lines) + "\n"


def text(value: str) -> str:
    """A string as YAML, quoted only where it must be, for YAML 1.1 and 1.2 alike."""
    plain = _PLAIN.fullmatch(value) and value == value.strip() and scalar(value) == value
    if plain and yaml.safe_load(value) == value:
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**6)
    return quoted.removesuffix("\n").removesuffix("...").rstrip()


def _source(table: FileProfile, file: str) -> Iterator[str]:
    parts = [f"files: {text(file)}"]
    if table.member:
        parts.append(f"member: {text(table.member)}")
    if table.rules.encoding != "utf-8":
        parts.append(f"encoding: {table.rules.encoding}")
    if not table.rules.header:
        parts.append("header: false")
    yield f"    source: {{{', '.join(parts)}}}"


def _missing(table: FileProfile, choices: Recommendation) -> Iterator[str]:
    used = {token for column in table.columns for token in column.tokens}
    common = [token for token in SURE if token in used]
    if common:
        tokens = ", ".join(['""', *(text(token) for token in common)])
        yield f"    missing: [{tokens}]  # tokens that mean: no value"
    share = 1 - choices.target.present / table.rows
    if share > 0.45:
        why = f"{share:.0%} of the rows have no target"
        yield f"    max_quarantine: {min(1.0, share + 0.05):.2f}  # {why}"


def _contract(table: FileProfile, choices: Recommendation) -> Iterator[str]:
    entries = []
    for column in table.columns:
        parts = [f"name: {text(choices.names[column.source])}"]
        if choices.names[column.source] != column.source:
            parts.append(f"from: {text(column.source)}")
        parts.append(f"type: {column.type}")
        if unit := choices.units.get(column.source):
            parts.append(f"unit: {text(unit)}")
        if own := [token for token in column.tokens if token not in SURE]:
            parts.append(f"missing: [{', '.join(text(token) for token in own)}]")
        if column is choices.target:
            parts.append("nullable: false")
        seen = _seen(column, table.rows)
        if why := personal(column):
            seen = f"{why}: personal data?"
            if column is not choices.target:
                parts.append("sensitive: personal")
        entries.append((f"      - {{{', '.join(parts)}}}", seen))
    width = min(88, max(len(entry) for entry, _ in entries))
    for entry, seen in entries:
        yield f"{entry:<{width}}  # {seen}"


def _seen(column: ColumnSummary, rows: int) -> str:
    """What the profile saw, in a few words."""
    absent = rows - column.present
    lack = f", {max(absent / rows, 0.001):.1%} missing" if absent else ""
    if not column.present:
        return "no value at all"
    if column.type == "string" and not 0 < len(column.values) <= 8:
        return f"{column.distinct} different{lack}"
    if column.type in ("string", "bool") or len(column.values) == 2:
        return ", ".join(_short(value) for value in column.values) + lack
    return f"{_short(column.low)} to {_short(column.high)}{lack}"


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    safe = "".join(c if c.isprintable() else " " for c in shown)
    return safe if len(safe) <= 20 else f"{safe[:17]}..."


def _split(choices: Recommendation, target: str) -> Iterator[str]:
    parts = ["test: 0.2", "validation: 0.1"]
    why = ""
    if choices.group:
        parts.append(f"group: {text(choices.group)}")
        why = "  # all rows of one group in one part, or the test would be too easy"
    elif choices.task != "regression":
        parts.append(f"stratify: {text(target)}")
        why = "  # the same share of each class in every part"
    yield f"  split: {{{', '.join(parts)}}}{why}"


def _train(choices: Recommendation, target: str) -> Iterator[str]:
    yield "  train:"
    yield f"    target: {text(target)}"
    yield f"    task: {choices.task}"
    if choices.exclude:
        yield "    exclude:  # no inputs; add whatever is known only after the outcome"
        yield from (f"      - {text(name)}  # {why}" for name, why in choices.exclude.items())
    else:
        yield "    exclude: []  # add whatever is known only after the outcome: it would leak"
    if choices.categorical:
        names = ", ".join(text(name) for name in choices.categorical)
        yield f"    categorical: [{names}]  # numbers that are names"
    others = ", ".join(kind for kind in _KINDS if kind != choices.model)
    yield f"    model: {{kind: {choices.model}}}  # or {others}"


def _evaluate(choices: Recommendation) -> Iterator[str]:
    yield "  evaluate:"
    yield f"    metric: {choices.metric}"
    yield "    gates:  # a candidate that fails one is not deployed; add at_least or at_most"
    yield f"      - {{metric: {choices.metric}, better_than: trivial}}"
    yield f"      - {{metric: {choices.metric}, no_worse_than: champion}}"
    if choices.slices:
        yield f"    slices: [{', '.join(text(name) for name in choices.slices)}]"
