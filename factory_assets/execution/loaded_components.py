"""The component of a key that is known only after the user's code has run: what it loaded.

A record's key covers what was loaded when it was computed. The next run finds the record by the
other components, and expects that the same is loaded again, in its present content. What a function
loaded belongs in `loaded_code`, the other components in `cache_key`.
"""

from factory_assets.execution.cache_key import user_references
from factory_assets.execution.loaded_code import Loaded, as_it_is_now, loaded_code
from factory_assets.execution.requests import StageRequest
from factory_assets.results.base import KeyComponents, digest
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records

LOADED = "loaded"


def expected_components(
    call: StageRequest, components: KeyComponents, record: Record | None = None
) -> KeyComponents:
    """Add what the user's code loaded before, as it is now; nothing if it never ran.

    Args:
        record: the record of that time; by default the last one with these components.
    """
    if not user_references(call.pipeline, call.stage):
        return components
    name, key = call.pipeline.name, digest(components)
    record = record or Records(call.home).foreseen(name, call.stage, key)
    loaded = record.parts.get(LOADED) if record else None
    if not loaded:
        return components
    return {**components, LOADED: as_it_is_now(loaded, call.pipeline.folder)}


def actual_components(
    call: StageRequest, components: KeyComponents, elsewhere: Loaded
) -> KeyComponents:
    """Return the components after the computation, with what was really loaded in it.

    Args:
        elsewhere: what other processes loaded for it; empty if this one worked alone.
    """
    references = user_references(call.pipeline, call.stage)
    if not references:
        return components
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
    return {**foreseen(components), LOADED: loaded}


def foreseen(components: KeyComponents) -> KeyComponents:
    """Return the components that are known before the user's code runs."""
    return {name: value for name, value in components.items() if name != LOADED}
