"""Which labelled answers a candidate and its champion are compared on: those that taught neither.

They are a function of the two versions and of the outcomes until the candidate was registered, so
that the evaluation of a candidate stays the same whatever is recorded later.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from factory_assets.execution.costs import upstream_records
from factory_assets.results.data import IngestResult
from factory_assets.results.latest import value_of
from factory_assets.results.model import Candidate
from factory_assets.spec import Evaluate, Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    from factory_assets.data.labelled_answers import ChosenAnswers

_ANSWERS = "answers:"
"""How the name of a source of answers begins."""


def new_answers(
    pipeline: Pipeline,
    candidate: Candidate,
    champion: int | None,
    training: Sequence[Record],
    home: Home,
) -> "ChosenAnswers | None":
    """Return the newest answers whose first outcome came between the two trainings.

    So the champion cannot have learned from them; those that are a source of the candidate are left
    out. None if there is no champion, no comparison is declared, or no outcome came.

    Args:
        training: the records of the candidate's training.

    Raises:
        StorageError: the outcomes cannot be read.
    """
    declared = pipeline.spec.evaluate
    if champion is None or not compares_champion(declared) or not declared.answers.newest:
        return None
    from factory_resources.outcomes.engines import has_outcomes

    if not has_outcomes(home):
        return None
    registry = Registry(home)
    after = registry.registered(candidate.model, champion)
    until = registry.registered(candidate.model, candidate.version)
    if after is None or until is None or after >= until:
        return None
    from factory_assets.data.labelled_answers import choose_answers

    chosen = choose_answers(
        home,
        pipeline.name,
        after=after * 1000,
        until=until * 1000,
        without=_learned(training, home),
        newest=declared.answers.newest,
    )
    return chosen if chosen.rows else None


def compares_champion(declared: Evaluate) -> bool:
    """Whether a candidate must be no worse than the champion, by a declared gate or by default."""
    return declared.guards_champion or any(gate.no_worse_than for gate in declared.conditions)


def _learned(training: Sequence[Record], home: Home) -> frozenset[str]:
    """Return the ids of the answers among the sources of a training."""
    from factory_assets.data.sources.answers import answer_ids

    records = Records(home)
    return frozenset(
        identifier
        for record in training
        for earlier in upstream_records(record, records)
        if earlier.stage == "ingest" and isinstance(value := value_of([earlier]), IngestResult)
        for source in value.sources
        if source.name.startswith(_ANSWERS)
        for identifier in answer_ids(source.name, source.rows, home)
    )
