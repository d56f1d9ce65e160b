"""The components of a key that are known only after the computation.

One is what the user's code loaded: the next run finds the record by the other components, and
expects that the same is loaded again, in its present content. The other numbers the trainings of
the same rows, settings and code: each made a model version, and keeps its record. What a function
loaded belongs in `loaded_code`, the other components in `cache_key`.
"""

from factory_assets.execution.cache_key import user_references
from factory_assets.execution.loaded_code import Loaded, as_it_is_now, loaded_code
from factory_assets.execution.requests import StageRequest
from factory_assets.results.base import KeyComponents, digest, result_as
from factory_assets.results.model import Candidate
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry

LOADED, REPETITION = "loaded", "repetition"


def expected_components(
    call: StageRequest, components: KeyComponents, record: Record | None = None
) -> KeyComponents:
    """Add what the user's code loaded before, as it is now, and the number of the last training.

    Args:
        record: the record of that time; by default the last one with these components.
    """
    if call.stage != "train" and not user_references(call.pipeline, call.stage):
        return components
    name, key = call.pipeline.name, digest(components)
    record = record or Records(call.home).foreseen(name, call.stage, key)
    found = dict(components)
    if loaded := record.parts.get(LOADED) if record else None:
        found[LOADED] = as_it_is_now(loaded, call.pipeline.folder)
    if number := record.parts.get(REPETITION) if record else None:
        found[REPETITION] = number
    return found


def actual_components(
    call: StageRequest, components: KeyComponents, elsewhere: Loaded
) -> KeyComponents:
    """Return the components after the computation, with what was really loaded in it.

    A training that repeats one whose model version exists is numbered.

    Args:
        elsewhere: what other processes loaded for it; empty if this one worked alone.
    """
    references = user_references(call.pipeline, call.stage)
    if not references:
        return _numbered(call, foreseen(components))
    loaded = {
        kind: {**found, **elsewhere.get(kind, {})}
        for kind, found in loaded_code(references, call.pipeline.folder).items()
    }
    partition = call.partition.key if call.partition else None
    before = Records(call.home).latest(call.pipeline.name, call.stage, partition)
    if before and before.parts.get("user code") == components["user code"]:
        # A source whose stored rows were taken again was not called, so it loaded nothing now.
        earlier = expected_components(call, {}, before).get(LOADED, {})
        loaded = {kind: {**earlier.get(kind, {}), **found} for kind, found in loaded.items()}
    return _numbered(call, {**foreseen(components), LOADED: loaded})


def _numbered(call: StageRequest, components: KeyComponents) -> KeyComponents:
    """Add the number of a training that repeats others, so that it takes the record of none."""
    if call.stage != "train":
        return components
    records, registry = Records(call.home), Registry(call.home)
    found, number = components, 0
    while record := records.find(call.pipeline.name, call.stage, digest(found)):
        candidate = result_as(Candidate, record)
        if not registry.has_version(candidate.model, candidate.version, candidate.run_id):
            break
        number += 1
        found = {**components, REPETITION: number}
    return found


def foreseen(components: KeyComponents) -> KeyComponents:
    """Return the components that are known before the computation."""
    return {n: value for n, value in components.items() if n not in (LOADED, REPETITION)}
