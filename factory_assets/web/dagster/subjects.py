"""What a mutation is about: pipelines, runs, schedules and sensors, by their names.

Which operations there are is read in `documents`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSchema
from graphql.execution.values import get_argument_values, get_variable_values

from factory_assets.web.dagster.documents import Operation
from factory_assets.web.dagster.workspace import VisitorContext

_PIPELINES = frozenset({"jobname", "pipelinename"})

_RUNS = frozenset({"runid", "runids", "parentrunid", "backfillid"})

_NAMES = frozenset(
    {
        "concurrencykey",
        "partitionsdefname",
        "partitionsetname",
        "schedulename",
        "sensorname",
    }
)

_SWITCHES = frozenset(
    {"id", "joboriginid", "jobselectorid", "scheduleoriginid", "scheduleselectorid"}
)
"""The ids of a schedule or a sensor that is stopped."""

_FREE = frozenset({"runconfigdata", "cursor"})
"""Arguments in which words of the others mean nothing."""


def subjects_of(
    operation: Operation,
    variables: Mapping[str, Any] | None,
    schema: GraphQLSchema,
    context: VisitorContext,
) -> tuple[str, ...]:
    """Return what the arguments of an operation name, each once, pipelines first.

    It reads the arguments as Dagster will, from the variables and from the document.
    """
    values = list(_arguments(operation, variables or {}, schema))
    runs = [value for name, value in values if name in _RUNS]
    pipelines = [value for name, value in values if name in _PIPELINES]
    switches = {value for name, value in values if name in _SWITCHES}
    named = [value for name, value in values if name in _NAMES]
    found = (*pipelines, *_jobs(runs, context), *named, *_switches(switches, context), *runs)
    return tuple(dict.fromkeys(one for one in found if one and not one.startswith("__")))


def _arguments(
    operation: Operation, variables: Mapping[str, Any], schema: GraphQLSchema
) -> Iterator[tuple[str, str]]:
    """Yield the words in the arguments with their names, in small letters without `_`."""
    definitions = operation.definition.variable_definitions
    coerced = get_variable_values(schema, definitions, dict(variables))
    root = schema.mutation_type
    if isinstance(coerced, list) or root is None:
        # Dagster finds the same mistakes, and does nothing.
        return
    for field in operation.roots:
        definition = root.fields.get(field.name.value)
        if definition is None:
            continue
        try:
            arguments = get_argument_values(definition, field, coerced)
        except GraphQLError:
            continue
        yield from _words("", arguments)


def _words(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _words(key.replace("_", "").lower(), one)
    elif name in _FREE:
        return
    elif name == "path" and isinstance(value, list) and value:
        # The key of an asset begins with its pipeline.
        yield "pipelinename", str(value[0])
    elif isinstance(value, list):
        for one in value:
            yield from _words(name, one)
    elif isinstance(value, str):
        yield name, value


def _jobs(runs: list[str], context: VisitorContext) -> Iterator[str]:
    """Yield the pipelines of runs; a person who repeats or ends a run names only the run."""
    from dagster import RunsFilter

    if runs:
        for run in context.instance.get_runs(RunsFilter(run_ids=runs)):
            assets = run.asset_selection or ()
            yield from sorted({key.path[0] for key in assets}) if assets else (run.job_name,)


def _switches(ids: set[str], context: VisitorContext) -> Iterator[str]:
    """Yield the names of schedules and sensors; an id that is not known as it is."""
    known: dict[str, str] = {}
    if not ids:
        return
    for location in context.code_locations:
        for repository in location.get_repositories().values():
            switches = [(one.name, one.get_compound_id()) for one in repository.get_schedules()]
            switches += [(one.name, one.get_compound_id()) for one in repository.get_sensors()]
            for name, identifier in switches:
                known[identifier.to_string()] = name
                known[identifier.selector_id] = known[identifier.remote_origin_id] = name
    yield from sorted({known.get(one, one) for one in ids})
