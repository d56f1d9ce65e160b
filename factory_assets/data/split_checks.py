"""Check what `split` measured: the shares of a split by time, and spellings of one value.

The search for leaks is checked in `leakage.policy`.
"""

from collections.abc import Iterator, Set

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import Spellings, SplitResult
from factory_assets.spec import Pipeline

_CLOSE = 0.02
"""Largest difference between a share and the declared one that is not reported."""

_SHOWN = 5
"""Columns that the message about spellings lists."""


def declared_split_checks(pipeline: Pipeline) -> dict[str, tuple[str, bool]]:
    """Return each check of a split: its description, and whether it stops the pipeline."""
    checks = {
        "spellings": (
            "No values of the target or of a category differ only in case, blanks or Unicode form.",
            False,
        )
    }
    if pipeline.spec.split.time:
        what = "The parts have about the declared shares, though rows of one moment stay together."
        checks["shares"] = (what, False)
    return checks


def split_checks(pipeline: Pipeline, parts: SplitResult) -> Iterator[TableCheck]:
    """Yield the result of every check of `declared_split_checks`, in that order."""
    # A column may have become sensitive since the examples were stored.
    yield _spellings(parts.spellings, sensitive_columns(pipeline).keys())
    if pipeline.spec.split.time:
        yield _shares(pipeline, parts)


def _spellings(found: dict[str, Spellings], hidden: Set[str]) -> TableCheck:
    words = [_spellings_in_words(name, one, name in hidden) for name, one in found.items()]
    more = f"; and {len(words) - _SHOWN} more columns" if len(words) > _SHOWN else ""
    return TableCheck(
        "spellings",
        not found,
        "; ".join(words[:_SHOWN]) + more
        if found
        else "no value of the target or of a category is spelt in several ways",
        blocking=False,
        remedy=f"make each one value with clean.unify: [{', '.join(found)}]",
        numbers={f"rows of {name!r}": spellings.rows for name, spellings in found.items()},
    )


def _spellings_in_words(name: str, spellings: Spellings, hidden: bool) -> str:
    values = "1 value" if spellings.values == 1 else f"{spellings.values} values"
    shown = [
        " and ".join(f"{text[:40]!a} ({rows} rows)" for text, rows in example.items())
        for example in spellings.examples
    ]
    such_as = f", such as {'; '.join(shown)}" if shown and not hidden else ""
    return f"{name!r} spells {values} in several ways ({spellings.rows} rows{such_as})"


def _shares(pipeline: Pipeline, parts: SplitResult) -> TableCheck:
    rule = pipeline.spec.split
    rows = parts.train.rows + parts.validation.rows + parts.test.rows
    shares = {"test": parts.test.rows / rows, "validation": parts.validation.rows / rows}
    declared = {"test": rule.test, "validation": rule.validation}
    words = " and ".join(
        f"{part} has {share:.1%} of the rows (split.{part}: {declared[part]:g})"
        for part, share in shares.items()
    )
    return TableCheck(
        "shares",
        all(abs(share - declared[part]) <= _CLOSE for part, share in shares.items()),
        f"{words}; rows with the same {rule.time!r} stay together",
        blocking=False,
        remedy="if that is not what you want, split by a finer time or declare other shares",
        numbers={f"{part} share": share for part, share in shares.items()},
    )
