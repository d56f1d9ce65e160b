"""Pieces of YAML that every draft has, and strings and comments in it."""

import re

import yaml

from factory_assets.declarations.loader import TYPES
from factory_assets.declarations.yaml_document import scalar
from factory_assets.spec.evaluate import Metric

_PLAIN = re.compile(r"[A-Za-z_/.~$][\w/.~ $+-]*")


def heading(target: str) -> tuple[str, ...]:
    """Return the lines up to the source."""
    return (
        f"type: {TYPES[0]}",
        "",
        "attributes:",
        f"  purpose: {yaml_string(f'Predict {target}')}  # say for whom, and what it is used for",
        "",
        "  ingest:",
    )


def gates(metric: Metric) -> tuple[str, ...]:
    """Return the lines that say what a candidate must reach."""
    return (
        "    gates:  # a candidate that fails one is not deployed; add at_least or at_most",
        f"      - {{metric: {metric}, better_than: trivial}}",
        f"      - {{metric: {metric}, no_worse_than: champion}}",
    )


def yaml_string(value: str) -> str:
    """Return a string as YAML that 1.1 and 1.2 read alike; quoted only if necessary."""
    is_plain = _PLAIN.fullmatch(value) and value == value.strip() and scalar(value) == value
    if is_plain and yaml.safe_load(value) == value:
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**6)
    return quoted.removesuffix("\n").removesuffix("...").rstrip()


def comment(text: str) -> str:
    """Return a text, which may quote values of the file, as a comment of one line."""
    return f"# {printable(text)}"


def printable(text: str) -> str:
    """Return a text with a blank in place of each character that cannot be printed."""
    return "".join(c if c.isprintable() else " " for c in text)
