"""`factory answers`: find and prove logged answers; the keys of their sensitive values.

One answer is shown by `factory trace ID`; how proofs are made belongs in
`factory_resources.prediction_log`.
"""

import shlex
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.cli.output_file import write_output
from factory_assets.spec.base import suggest
from factory_resources.durations import parse_day
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.proofs import with_entry
from factory_resources.prediction_log.record import decode


def write_proof(identifier: str, out: Path) -> tuple[str, str]:
    """Write the proof that a request was answered so, or never.

    Returns:
        What was written, and a warning if it shows other rows too: what is proven is the record of
        a request, with all its rows.

    Raises:
        UnknownNameError: it is not an id, or nobody can tell yet.
        StorageError: the log cannot be read, or the file not written.
    """
    home = Home.from_env()
    if not has_store(home) and not journal_folder(home).is_dir():
        raise UnknownNameError(
            "no answer was ever logged in this home",
            where=str(home.path),
            remedy="name the folder of the factory in FACTORY_HOME",
        )
    with PredictionLog(home) as log:
        log.collect()
        proof = with_entry(log.prove(identifier), home)
    write_output(out, proof.format())
    told = (
        f"wrote {out}\nnext: python factory_verify.py COPY_OF_THE_HOME "
        f"--prediction {shlex.quote(out.name)}"
    )
    others = decode(proof.record).rows - 1 if proof.record else 0
    if others < 1:
        return told, ""
    shown = f"inputs and answers of {amount(others, 'other rows')}"
    return told, f"the proof has the whole request, with {shown}"


def found_answers(pipeline: str, named: str) -> Iterator[str]:
    """Yield the ids of all answers about a value of a column, and when they were given.

    Args:
        named: the column of the source and the value, as in `case=F1`.

    Raises:
        UnknownNameError: it has no `=`, or there is no such pipeline or answer.
        DataError: the column is hidden in the log, or not in it.
        DeclarationError: the pipeline's declaration does not load.
        ModelError: the pipeline has no champion.
        StorageError: the log cannot be read.
    """
    from factory_assets.serving.feedback.keys import answers_about
    from factory_resources.outcomes.targets import Targets
    from factory_resources.prediction_log import ids
    from factory_resources.tracking.registry import Registry

    key, equals, value = named.partition("=")
    if not (key and equals):
        raise UnknownNameError(
            f"{named!r} does not name a value", remedy="write COLUMN=VALUE, as in case=F1"
        )
    home = Home.from_env()
    _require_answering(pipeline, Registry(home).versions())
    protected = Targets(home).of_champion(pipeline).sensitive
    found = answers_about(pipeline, key, value, protected, home)
    if not found:
        raise UnknownNameError(
            f"no answer about {key} = {value} is on record",
            where=pipeline,
            remedy="write the value as it was sent, and the column as the source names it",
        )
    for identifier in found:
        given = datetime.fromtimestamp(ids.time_of(identifier) / 1e6, UTC)
        yield f"{given:%Y-%m-%d %H:%M:%S} UTC  {ids.text(identifier)}"
    yield f"next: factory trace {ids.text(found[-1])}"


def destroy_answer_keys(pipeline: str, until: str, reason: str) -> str:
    """Destroy the keys of the sensitive values of a pipeline; return which months they were of.

    Args:
        until: a day, `2026-03-01`; the keys of the months before its month are destroyed.

    Raises:
        UnknownNameError: there is no such pipeline, it is not a day, or there is no reason.
        RefusedError: it is in the future.
        StorageError: the disk or the ledger cannot be written.
    """
    from factory_assets.execution.signed_decision import require_reason
    from factory_resources.prediction_log.protection import destroy_keys, protected_pipelines
    from factory_resources.tracking.registry import Registry

    home = Home.from_env()
    _require_answering(pipeline, {*protected_pipelines(home), *Registry(home).versions()})
    months = destroy_keys(home, pipeline, parse_day(until), require_reason(reason))
    if not months:
        return f"{pipeline} has no keys of months before {until}"
    return f"destroyed the keys of {pipeline} of {', '.join(months)}"


def _require_answering(pipeline: str, known: Collection[str]) -> None:
    if pipeline not in known:
        raise UnknownNameError(
            f"{pipeline!r} has given no answers", remedy=suggest(pipeline, sorted(known))
        )
