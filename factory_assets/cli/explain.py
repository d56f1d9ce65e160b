"""`factory run --explain`: what would run and why; nothing runs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

import dagster as dg
from rich.console import Console

from factory_assets.cli.shared import RunRequest, ask
from factory_assets.components.partitions import known_keys
from factory_assets.execution.backfill import Wanted, wanted
from factory_assets.execution.explain import Explained, explain
from factory_assets.execution.requests import StageRequest
from factory_resources.home.home import Home
from factory_resources.instance import prepare

_SHOWN = 3
"""Of more partitions than this only some are named."""


def plan(
    names: Sequence[str],
    *,
    stages: Sequence[str] = (),
    partitions: Sequence[str] = (),
    reuse: bool = True,
    console: Console,
) -> None:
    """Say for each stage of the named pipelines what a run would do with it, and why.

    Raises:
        FactoryError: as `run` does of names, stages and partitions.
    """
    asked = ask(names, stages, partitions, reuse)
    home = Home.from_env()
    prepare(home)
    with dg.DagsterInstance.get() as instance:
        for one in asked:
            for line in explained(one, home, instance):
                console.print(line, highlight=False, markup=False, soft_wrap=True)


def explained(asked: RunRequest, home: Home, instance: dg.DagsterInstance) -> Iterator[str]:
    """The lines of one pipeline."""
    pipeline = asked.pipeline
    there = Wanted((), 0, {})
    if pipeline.spec.partitions:
        keys = known_keys(pipeline, instance)
        there = wanted(pipeline, datetime.now(UTC), keys, home, asked.partitions)
    call = StageRequest(pipeline, "ingest", home, run_id="", reuse=asked.reuse)
    for stage, told in groupby(
        explain(call, asked.stages, there.partitions), key=lambda one: one.stage
    ):
        for how in _summed(list(told)):
            yield f"{pipeline.name} · {stage:<8}  {how}"
    if there.absent:
        yield f"{pipeline.name} · {there.absent} partitions have no data yet"


def _summed(told: Sequence[Explained]) -> Iterator[str]:
    """One line for all partitions of which the same is to be said."""
    by_words: dict[tuple[str, str], list[Explained]] = {}
    for one in told:
        words = "" if one.what == "reuse" and one.partition else one.why
        by_words.setdefault((one.what, words), []).append(one)
    for (what, words), same in by_words.items():
        yield _line(what, words, same)


def _line(what: str, words: str, same: Sequence[Explained]) -> str:
    if what == "reuse":
        line = f"reuse ({same[0].why if len(same) == 1 else _of_records(same)})"
    else:
        line = f"{what}: {words}"
    keys = [one.partition for one in same if one.partition]
    if not keys:
        return line
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{line} [{', '.join(keys[:_SHOWN])}{more}]"


def _of_records(same: Sequence[Explained]) -> str:
    records = [one.record for one in same if one.record]
    newest = max(record.finished for record in records)[:16].replace("T", " ")
    return f"{len(same)} partitions, {sum(r.seconds for r in records):.1f} s, newest of {newest}"
